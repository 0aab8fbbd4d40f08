"""What several methods refuse in the same words."""

from __future__ import annotations

from cvd_core.fields import FieldError
from cvd_core.sampling.settings import Settings


def refuse_given(settings: Settings, base: str) -> None:
    """Raise FieldError if a video is given as the first view; ``base`` makes none of a given one."""
    if settings.given is not None:
        raise FieldError("reference", f"goes with SynCamMaster on Wan 2.1, the base is {base}; leave it out")


def refuse_picture(settings: Settings, base: str) -> None:
    """Raise FieldError if videos are to start from a picture; ``base`` is what starts from text alone."""
    if settings.picture is not None:
        raise FieldError(
            "image", f"goes with CamI2V and DynamiCrafter, the base is {base}; leave it out, or give such a `base`"
        )
