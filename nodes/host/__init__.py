"""The only files that know ComfyUI's insides."""
