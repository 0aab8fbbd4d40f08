"""CamI2V: model files and their wrappings, lists of pictures and paths, clips and configurations of its training."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from benchmarks.camera_table import read_list
from cvd_core.cami2v.checkpoint import AUTOENCODER, PICTURE_ENCODER, TEXT_ENCODER, load_picture_to_video
from cvd_core.cami2v.network import Camera
from cvd_core.engine.cami2v.loading import load_picture_model
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.runs import mini
from cvd_core.training.config import PACKAGED, load_config
from cvd_core.training.data.guided_clips import GuidedClips
from cvd_core.video.files import write_video
from tests.engine.test_cami2v import TRAINED, whole_file
from tests.fuzz import Target
from tests.fuzz.damage import (
    damaged_bytes,
    damaged_json,
    damaged_state,
    damaged_value,
    damaged_words,
    pick,
    written_state,
)

_ENCODERS = (AUTOENCODER, TEXT_ENCODER, PICTURE_ENCODER)
_CLIP, _SIDE = 20, 64


_ADDED: dict[Camera, tuple[str, ...]] = {"epipolar": (), "plucker": (".epipolar.",), "none": TRAINED}
"""Parts of CamI2V that other models do not have."""


@cache
def _cami2v() -> dict[str, Tensor]:
    return whole_file()


def _model(camera: Camera, learned: bool) -> dict[str, Tensor]:
    lacking = (*_ADDED[camera], *(() if learned else (".alpha",)))
    return {key: value for key, value in _cami2v().items() if not any(name in key for name in lacking)}


def _saved(rng: np.random.Generator, stem: Path, state: dict[str, Tensor]) -> Path:
    """The tensors as one of the programs that train writes them."""
    if rng.random() < 0.2:
        state = {key.replace("fps_embedding", "framestride_embed"): value for key, value in state.items()}
    return written_state(rng, stem, state)


def _damaged_model(rng: np.random.Generator, folder: Path) -> None:
    """A whole file, or the parts that were trained over another, one of them damaged; seldom with the encoders."""
    state = _model(pick(rng, ["epipolar", "epipolar", "plucker", "none"]), bool(rng.random() < 0.5))
    if not (with_encoders := rng.random() < 0.15):
        state = {key: value for key, value in state.items() if not key.startswith(_ENCODERS)}
    base, trained = folder / "model", None
    if rng.random() < 0.5:
        parts = {key: value for key, value in state.items() if any(name in key for name in TRAINED)}
        rest = _model("none", bool(rng.random() < 0.5)) if rng.random() < 0.2 else state
        rest = {key: value for key, value in rest.items() if key not in parts}
        if parts:
            trained = _saved(rng, folder / "trained", damaged_state(rng, parts) if rng.random() < 0.7 else parts)
        state = rest
    if trained is None or rng.random() < 0.3:
        state = damaged_state(rng, dict(state))
    base = _saved(rng, base, state)
    if with_encoders:
        load_picture_model(base, trained, config=mini.FOLDER / "base")
    else:
        load_picture_to_video(trained or base, base if trained else None)


def _table(rng: np.random.Generator, folder: Path) -> None:
    """A list for ``benchmarks.camera_table``, damaged in words or bytes, with the camera files that it names."""
    write_cameras(make_rig("stereo", 1, 4), folder / "path.txt", width=64, height=64)
    text = 'poses,prompt,image\npath.txt,"a red, shiny ball",a.png\npath.txt,a chair,b.png\n'
    content = damaged_words(rng, text.replace(",", " , ") if rng.random() < 0.2 else text).encode("utf-8", "replace")
    if rng.random() < 0.5:
        content = damaged_bytes(rng, content)
    (folder / "list.csv").write_bytes(content)
    for row in read_list(folder / "list.csv"):
        assert all(isinstance(value, str) for value in row.values())
        read_cameras(folder / row["poses"])


@cache
def _clip() -> tempfile.TemporaryDirectory[str]:
    made = tempfile.TemporaryDirectory()
    folder = Path(made.name)
    write_cameras(make_rig("stereo", 1, _CLIP), folder / "clip.txt", width=_SIDE, height=_SIDE)
    write_video(torch.zeros(_CLIP, _SIDE, _SIDE, 3, dtype=torch.uint8), folder / "clip.mp4", 8)
    (folder / "captions.json").write_text('{"clip": "a red ball"}')
    return made


def _clips(rng: np.random.Generator, folder: Path) -> None:
    """A folder that the stage learns from, one of its files damaged."""
    shutil.copytree(_clip().name, folder, dirs_exist_ok=True)
    file = folder / pick(rng, ["clip.txt", "clip.mp4", "captions.json"])
    if file.suffix == ".json" and rng.random() < 0.7:
        file.write_bytes(damaged_json(rng, {"clip": "a red ball"}))
    elif file.suffix == ".txt" and rng.random() < 0.7:
        file.write_bytes(damaged_words(rng, file.read_text()).encode("utf-8", "replace"))
    else:
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    GuidedClips(folder, 16, _SIDE, _SIDE, longest_stride=2).sample(0, int(rng.integers(5)))


def _config(rng: np.random.Generator, folder: Path) -> None:
    """The packaged configuration with a few values changed."""
    values = damaged_value(rng, yaml.safe_load((PACKAGED / "cami2v.yaml").read_text()))
    (folder / "config.yaml").write_text(yaml.safe_dump(values, allow_unicode=False))
    load_config(folder / "config.yaml")


TARGETS = (
    Target("cami2v model", _damaged_model, slow=True),
    Target("cami2v table", _table),
    Target("cami2v clips", _clips),
    Target("cami2v config", _config),
)
