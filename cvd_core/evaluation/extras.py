"""Packages that only evaluation needs: the extra ``eval``."""

from __future__ import annotations

from importlib.util import find_spec

PACKAGES = {"pycolmap": "pycolmap", "cv2": "opencv-python-headless", "kornia": "kornia"}
"""What to install, by the name of the module."""


def has_extra(module: str) -> bool:
    """Whether a package of the extra ``eval`` is installed; it is not imported."""
    return find_spec(module) is not None


def missing_extra(module: str) -> str:
    """What to tell a user who lacks it."""
    return f"{PACKAGES[module]} is not installed; get it with: pip install {PACKAGES[module]}"


def require_extra(module: str, what: str) -> None:
    """Raise ValueError if ``module`` is missing; ``what`` needs it."""
    if not has_extra(module):
        raise ValueError(f"{what} needs a package that is missing: {missing_extra(module)}")
