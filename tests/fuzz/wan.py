"""Files of SynCamMaster and Wan 2.1: modules, transformers in single files, diffusers folders, folders of scenes."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.fuzz import Target
from tests.fuzz.damage import damaged_bytes, damaged_json, damaged_state, damaged_value, pick, written_state

WEIGHTS = "diffusion_pytorch_model.safetensors"
SCENE_FRAMES = 5


@cache
def _good() -> Path:
    """A small Wan in ``wan/``, modules for it in ``syncam.safetensors`` and a scene by two cameras in ``scene/``."""
    from cvd_core.geometry.formats import write_cameras
    from cvd_core.syncam.module import SynCamModules
    from cvd_core.syncam.presets import preset_cameras
    from cvd_core.video.files import write_video
    from tests.wan_folder import BLOCKS, HEADS, WIDTH, write_wan

    folder = Path(tempfile.mkdtemp(prefix="fuzz-wan-"))
    atexit.register(shutil.rmtree, folder)
    write_wan(folder / "wan")
    save_file(SynCamModules(BLOCKS, WIDTH, HEADS).state_dict(), folder / "syncam.safetensors")
    (folder / "scene" / "cameras").mkdir(parents=True)
    extrinsics = folder / "scene" / "cameras" / "camera_extrinsics.json"
    write_cameras(preset_cameras("az", SCENE_FRAMES, 2), extrinsics, format="recammaster")
    for name in ("cam01", "cam02"):
        write_video(torch.zeros(SCENE_FRAMES, 32, 48, 3, dtype=torch.uint8), folder / "scene" / f"{name}.mp4", 8)
    return folder


def _modules(rng: np.random.Generator, folder: Path) -> None:
    """SynCamMaster's modules, alone or beside the transformer, damaged."""
    from cvd_core.syncam.checkpoint import load_syncam

    state = damaged_state(rng, load_file(_good() / "syncam.safetensors"))
    if rng.random() < 0.3:
        state |= _transformer()
    load_syncam(written_state(rng, folder / "x", state), dtype=pick(rng, [None, torch.float32, torch.float16]))


def _transformer() -> dict[str, Tensor]:
    from tests.wan_folder import released_layout

    return released_layout(load_file(_good() / "wan" / "transformer" / WEIGHTS))


def _single_file(rng: np.random.Generator, folder: Path) -> None:
    """A transformer under its released names, damaged; what is read must also run."""
    from cvd_core.engine.wan.loading import load_wan

    state = damaged_state(rng, _transformer())
    prefix = pick(rng, ["", "", "model.diffusion_model.", "diffusion_model."])
    file = written_state(rng, folder / "x", {f"{prefix}{key}": value for key, value in state.items()})
    _use(load_wan(file, config=_good() / "wan"))


def _folder(rng: np.random.Generator, folder: Path) -> None:
    """A diffusers folder with a damaged config, tokenizer or file of weights; what is read must also run."""
    from cvd_core.engine.wan.loading import WAN_FOLDER, load_wan

    place = folder / "wan"
    shutil.copytree(_good() / "wan", place)
    component = pick(rng, [*WAN_FOLDER.components, "tokenizer"])
    file = pick(rng, sorted((place / component).iterdir()))
    if file.suffix == ".json":
        file.write_bytes(damaged_json(rng, json.loads(file.read_text())))
    elif component == "tokenizer" or rng.random() < 0.3:
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    else:
        save_file(damaged_state(rng, load_file(file)), file)
    _use(load_wan(place))


@torch.no_grad()
def _use(model: object) -> None:
    """One evaluation of each network."""
    from cvd_core.engine.wan.latents import decode_latents, encode_videos
    from cvd_core.engine.wan.loading import WanModel
    from cvd_core.engine.wan.texts import embed, tokenize

    assert isinstance(model, WanModel)
    text = embed(model.text_encoder, tokenize(model.tokenizer, ["a red ball"]))
    latent = encode_videos(model.vae, torch.zeros(1, 3, 1, 16, 16))
    model.transformer(latent, torch.tensor([500.0]), text)
    decode_latents(model.vae, latent)


def _scene(rng: np.random.Generator, folder: Path) -> None:
    """A scene of SynCamVideo-Dataset with damage in its cameras, a video or a folder's names."""
    from cvd_core.training.data.multi_camera import MultiCameraVideos

    place = folder / "scene"
    shutil.copytree(_good() / "scene", place)
    extrinsics = place / "cameras" / "camera_extrinsics.json"
    victim = place / pick(rng, ["cam01.mp4", "cam02.mp4"])
    match int(rng.integers(5)):
        case 0:
            victim.write_bytes(damaged_bytes(rng, victim.read_bytes()))
        case 1:
            victim.rename(place / pick(rng, ["cam03.mp4", "cam01.txt", "CAM01.MP4", "x"]))
        case 2:
            extrinsics.rename(place / pick(rng, ["camera_extrinsics.json", "cameras.json"]))
        case _:
            extrinsics.write_bytes(damaged_json(rng, json.loads(extrinsics.read_text())))
    if rng.random() < 0.2:
        captions = damaged_value(rng, {"scene": "a red ball"})
        (folder / "captions.json").write_text(json.dumps(captions))
    scenes = MultiCameraVideos(folder, 2, SCENE_FRAMES, 48, 32)
    scenes.check([(0.0, 180.0)])
    scenes.sample(0, 1)


def _training(rng: np.random.Generator, folder: Path) -> None:
    """The packaged configuration of the stage, damaged mostly where it is about the stage."""
    import yaml

    from cvd_core.training.config import PACKAGED, load_config

    values = yaml.safe_load((PACKAGED / "syncam.yaml").read_text())
    name = pick(rng, ["syncam", "syncam", "folders", "noise", "stages"])
    values[name] = damaged_value(rng, values[name])
    file = folder / "syncam.yaml"
    file.write_text(yaml.safe_dump(values, allow_unicode=False))
    load_config(file)


TARGETS = (
    Target("syncam-modules", _modules),
    Target("wan-file", _single_file),
    Target("wan-folder", _folder),
    Target("syncam-scene", _scene),
    Target("syncam-config", _training),
)
