"""From model files to a pipeline that is ready to generate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.engine.sd15.loading import load_base
from cvd_core.engine.sd15.lora import apply_lora
from cvd_core.engine.sd15.motion import build_motion_unet
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.weights import motion_tensors, read_checkpoint

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""The types networks can compute in, by the names used on the command line and in run records."""


@dataclass(frozen=True)
class ModelFiles:
    """Names in the folder of a whole model, as ``cvd train --export`` writes it."""

    base: str = "base"
    motion: str = "motion.safetensors"
    camera: str = "camera.safetensors"
    sync: str = "sync.safetensors"


MODEL_FILES = ModelFiles()


@dataclass(frozen=True)
class ModelPaths:
    """The files of a run.

    Attributes:
        base: SD1.5 model, a diffusers folder or a single file.
        motion: AnimateDiff v3 motion module.
        camera: CameraCtrl; None: the videos do not follow their cameras.
        sync: CVD's sync modules; None: every view is a video of its own, the baseline.
        loras: files and strengths, merged into the base in this order.
        config: folder with configs and tokenizer for a single-file base.
    """

    base: Path
    motion: Path
    camera: Path | None = None
    sync: Path | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    config: Path | None = None

    @staticmethod
    def in_folder(folder: Path) -> ModelPaths:
        """All parts of a whole model, named as in :data:`MODEL_FILES`."""
        return ModelPaths(**{part: folder / name for part, name in asdict(MODEL_FILES).items()})


def load_pipeline(
    paths: ModelPaths,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    offload: bool = False,
    allow_download: bool = False,
) -> CollaborativePipeline:
    """Load all networks of a run, each in ``dtype``.

    Args:
        paths: the files.
        dtype: of all networks.
        device: where they compute.
        offload: keep them in main memory and move each to ``device`` only while it works.
        allow_download: see :func:`cvd_core.engine.sd15.loading.load_base`.

    Raises:
        ValueError: a file is missing, damaged, of another kind or for another network; the message names it, says what
            it is and where it belongs.
    """
    motion = motion_tensors(read_checkpoint(paths.motion))
    encoder, merges = load_camera_control(paths.camera, dtype=dtype) if paths.camera else (None, None)
    sync = load_sync_modules(paths.sync, dtype=dtype) if paths.sync else None
    base = load_base(paths.base, config=paths.config, dtype=dtype, allow_download=allow_download)
    for file, scale in paths.loras:
        apply_lora(base, file, scale)
    unet = build_motion_unet(base.unet, motion, file=paths.motion.name)
    for added, modules in ((paths.camera, merges), (paths.sync, sync)):
        if added is not None and modules is not None:
            _require_family(added, modules.widths, tuple(unet.config["block_out_channels"]))
    base.unet.to("meta")  # else its weights, shared until now, would stay when the motion UNet moves to a device
    return CollaborativePipeline(
        CollaborativeUNet(unet, encoder, merges, sync, base.prediction), base, device, offload=offload
    )


def _require_family(file: Path, widths: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if widths != expected:
        raise ValueError(
            f"{file.name} was made for a network of widths {widths}, the base model has {expected}; use files of one "
            "family - those of the full size go with SD1.5 models, those of the small model of the package with it"
        )


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``, e.g. ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here ({reason}); expected auto, cpu, cuda or mps") from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type called ``name``, a key of :data:`DTYPES`; ``auto``: float16 on a GPU, float32 on the CPU.

    Raises:
        ValueError: another name.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in DTYPES:
        raise ValueError(f"dtype is {name!r}; expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]
