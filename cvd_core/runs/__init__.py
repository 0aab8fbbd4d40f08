"""A run from its request to its folder: planning, models, record, output."""
