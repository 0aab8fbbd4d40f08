"""Which picture sizes the networks can make."""

from __future__ import annotations

from cvd_core.fields import FieldError
from cvd_core.networks.sd15 import LATENT_STRIDE

SMALLEST_SIDE = 64
LARGEST_SIDE = 8192
"""Far beyond what fits in memory, so that a typing error is reported before anything is loaded."""
SIDE_STEP = LATENT_STRIDE


def check_size(width: int, height: int) -> None:
    """Refuse a picture size, in pixels, that the networks cannot make.

    Raises:
        FieldError: not a multiple of 8, below 64 pixels or above 8192.
    """
    for name, side in (("width", width), ("height", height)):
        if side > LARGEST_SIDE:
            raise FieldError(
                name, f"is {side} pixels; expected at most {LARGEST_SIDE} - the networks make 256 to 768 well"
            )
        if side < SMALLEST_SIDE or side % SIDE_STEP:
            nearest = max(SMALLEST_SIDE, round(side / SIDE_STEP) * SIDE_STEP)
            raise FieldError(
                name,
                f"is {side} pixels; expected a multiple of {SIDE_STEP}, at least {SMALLEST_SIDE} - the nearest is "
                f"{nearest}",
            )
