"""Pictures of cameras and videos, and the report of an evaluation."""
