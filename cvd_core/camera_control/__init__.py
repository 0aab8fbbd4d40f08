"""CameraCtrl: Plücker rays -> camera features -> the motion modules (CameraCtrl, Sec. 3)."""
