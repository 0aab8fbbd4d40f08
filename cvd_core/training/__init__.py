"""Training: procedural data, and the stages that make a model from nothing (CVD paper, Sec. 4.2)."""
