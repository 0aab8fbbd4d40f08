"""What the networks of all systems share: layers, and the layout and sizes of Stable Diffusion 1.5."""
