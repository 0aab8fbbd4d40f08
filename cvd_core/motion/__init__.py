"""AnimateDiff's motion modules (Guo et al., 2024): temporal self-attention behind every resnet of the UNet."""
