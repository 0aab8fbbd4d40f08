"""Collaborative Video Diffusion: videos of one scene, each along its own camera path, in step with each other.

``import cvd_core`` loads nothing else; each name below loads what it needs when it is first used. docs/api.md explains
them.
"""

from importlib import import_module

TYPE_CHECKING = False  # typing's own would be most of what importing this costs
if TYPE_CHECKING:
    from typing import Any

    from cvd_core.engine.model_paths import ModelPaths as ModelPaths
    from cvd_core.engine.solvers import DiffusersSolver as DiffusersSolver
    from cvd_core.evaluation.footage import read_footage as read_footage
    from cvd_core.evaluation.measure import evaluate_views as evaluate_views
    from cvd_core.geometry.cameras import Cameras as Cameras
    from cvd_core.geometry.formats import read_cameras as read_cameras
    from cvd_core.geometry.formats import write_cameras as write_cameras
    from cvd_core.geometry.plucker import plucker_embedding as plucker_embedding
    from cvd_core.geometry.rigs import make_rig as make_rig
    from cvd_core.runs.make import Run as Run
    from cvd_core.runs.make import load_pipeline as load_pipeline
    from cvd_core.sampling.collaborate import sample_together as sample_together
    from cvd_core.sampling.draws import SeededDraws as SeededDraws
    from cvd_core.sampling.pairs import Pairing as Pairing
    from cvd_core.sampling.recurrence import Recurrence as Recurrence
    from cvd_core.sampling.settings import GivenView as GivenView
    from cvd_core.sampling.settings import Settings as Settings
    from cvd_core.sampling.settings import StartPicture as StartPicture
    from cvd_core.sync.bias import EpipolarBias as EpipolarBias

__version__ = "0.1.0"

_HOMES = {
    "Cameras": "geometry.cameras",
    "DiffusersSolver": "engine.solvers",
    "EpipolarBias": "sync.bias",
    "GivenView": "sampling.settings",
    "ModelPaths": "engine.model_paths",
    "Pairing": "sampling.pairs",
    "Recurrence": "sampling.recurrence",
    "Run": "runs.make",
    "SeededDraws": "sampling.draws",
    "Settings": "sampling.settings",
    "StartPicture": "sampling.settings",
    "evaluate_views": "evaluation.measure",
    "load_pipeline": "runs.make",
    "make_rig": "geometry.rigs",
    "plucker_embedding": "geometry.plucker",
    "read_cameras": "geometry.formats",
    "read_footage": "evaluation.footage",
    "sample_together": "sampling.collaborate",
    "write_cameras": "geometry.formats",
}
"""Module of every public name."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
