"""The standalone engine on diffusers: what ComfyUI does for the nodes, for Python and the command line."""
