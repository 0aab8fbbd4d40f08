"""Packages that only evaluation needs."""

from __future__ import annotations

from importlib.util import find_spec

INSTALL = "pip install 'collaborative-video-diffusion[eval]'"


def has_extra(module: str) -> bool:
    """Whether a package of the extra ``eval`` is installed; it is not imported."""
    return find_spec(module) is not None


def require_extra(module: str, what: str) -> None:
    """Raise ValueError if ``module`` is missing; ``what`` needs it."""
    if not has_extra(module):
        raise ValueError(f"{what} needs the package {module}, which is not installed; get it with: {INSTALL}")
