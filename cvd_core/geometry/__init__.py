"""Cameras, their files and trajectories, and the geometry the networks are conditioned on."""
