"""CamI2V and DynamiCrafter: videos that start from a picture."""
