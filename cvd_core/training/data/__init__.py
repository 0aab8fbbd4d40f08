"""What training sees: procedural scenes, and the pairs of the paper's two phases made from videos."""
