"""CVD on Stable Diffusion 1.5: loading, the network with its added modules, sampling."""
