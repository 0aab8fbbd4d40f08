"""The layout of a folder of synchronised videos: what there is next to one MP4 per view."""

GRID = "grid.mp4"
"""All views in step."""
CAMERAS = "transforms.json"
"""Cameras as the networks were given them; its view names are the names of the videos."""
RECORD = "run.json"
"""Everything that repeats the run."""
