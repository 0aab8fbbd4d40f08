"""Videos: as files, in their formats, and what is shown when."""
