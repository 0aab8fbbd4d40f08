"""Measures of the papers on finished videos: cameras followed, views in agreement, pictures of quality.

Videos are ``(V, F, H, W, 3)`` uint8 RGB, cameras those that the videos were made for. Pixel positions are continuous as
in :meth:`cvd_core.geometry.cameras.Cameras.K`: the picture's corner is at 0, 0 and the first pixel's centre at .5, .5.
"""
