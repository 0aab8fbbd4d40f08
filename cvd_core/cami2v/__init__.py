"""CamI2V: one picture becomes a video along a camera path, on DynamiCrafter (Zheng et al., 2024)."""
