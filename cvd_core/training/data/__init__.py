"""What training sees: procedural scenes, and synchronised views made from videos as in the paper's two phases."""
