"""The numbers of Stable Diffusion 1.5, and of AnimateDiff, CameraCtrl and CVD, which are built on it."""

from __future__ import annotations

SD15_WIDTHS = (320, 640, 1280, 1280)
"""Channels of the UNet's down blocks, outermost first."""
SD15_LAYERS = 2
"""Resnets per down block; up blocks have one more."""
HEADS = 8
"""Of every attention."""
NORM_GROUPS = 32
"""Of every GroupNorm: widths are multiples of it."""
LATENT_CHANNELS = 4
LATENT_STRIDE = 8
"""Image pixels per latent pixel and axis."""
