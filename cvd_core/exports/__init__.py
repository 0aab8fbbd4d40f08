"""What other programs go on from: datasets for reconstruction of videos and cameras, 3D scenes of cameras."""
