"""Collaborative sampling of any number of views with a denoiser for few (CVD paper, Sec. 4.3)."""
