"""What ``cvd generate`` takes where nothing is said: shared by its help and by what reads its options."""

from __future__ import annotations

from cvd_core.geometry.rigs import RIGS

DEFAULT_FPS = 8.0
DEFAULT_FRAMES = 16
DEFAULT_VIEWS = 2
RIG_PARAMETERS = sorted({parameter.name for rig in RIGS.values() for parameter in rig.parameters})
