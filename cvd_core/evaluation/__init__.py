"""The papers' measures of finished videos: camera accuracy, agreement of the views, quality of the pictures.

Videos are ``(V, F, H, W, 3)`` uint8 RGB, cameras those they were made with. Pixel positions are continuous as
in :meth:`cvd_core.geometry.cameras.Cameras.K`: the picture's corner is at 0, 0 and the first pixel's centre at .5, .5.
"""
