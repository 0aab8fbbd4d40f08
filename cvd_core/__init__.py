"""Collaborative Video Diffusion: videos of one scene, each along its own camera path, in step with each other."""

__version__ = "0.1.0"
