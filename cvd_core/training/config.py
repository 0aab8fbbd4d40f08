"""The configuration of a training run: a YAML file, checked name by name."""

from __future__ import annotations

import dataclasses
import os
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from cvd_core.engine.prediction import Prediction
from cvd_core.geometry.epipolar import Mask
from cvd_core.scenes.paths import SPREAD
from cvd_core.sync.module import ATTENTIONS

Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast a stage learns.

    Attributes:
        steps: optimizer steps of the whole stage.
        batch: samples per step and process.
        learning_rate: the highest; reached after ``warmup`` steps, then a cosine falls to ``final_rate`` of it.
        ema: decay of the averaged weights, which are what is evaluated and exported.
        clip: largest norm of the gradient.
        save_seconds: between checkpoints.
        log_every: steps between rows of the CSV.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    final_rate: float = 0.05
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    save_seconds: float = 120.0
    log_every: int = 20


@dataclass(frozen=True)
class DataConfig:
    """Procedural data.

    Attributes:
        size: width and height of the pictures in pixels.
        frames: F.
        spread: largest amounts of the camera paths, see :func:`cvd_core.scenes.paths.random_amounts`.
        clips: scenes whose latents are kept on disk.
        dynamic: share of the scenes that move; they are presented without cameras.
    """

    size: int = 64
    frames: int = 8
    spread: dict[str, float] = field(default_factory=lambda: dict(SPREAD))
    clips: int = 6000
    dynamic: float = 0.3


@dataclass(frozen=True)
class FoldersConfig:
    """Clips on disk instead of procedural ones.

    Attributes:
        realestate10k: pose files with their videos, see :class:`cvd_core.training.data.folders.RealEstate10KPairs`;
            None: no steps with cameras can be asked for.
        videos: any videos, see :class:`cvd_core.training.data.folders.VideoPairs`; None: no steps without.
    """

    realestate10k: Path | None = None
    videos: Path | None = None


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of networks made from nothing.

    Attributes:
        widths: channels of the UNet's down blocks.
        layers: resnets per down block.
        latent_channels, autoencoder_width: of the autoencoder.
        text_width, text_layers, text_length: of the text encoder; the length in tokens.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    layers: int = 1
    latent_channels: int = 8
    autoencoder_width: int = 64
    text_width: int = 64
    text_layers: int = 2
    text_length: int = 20


@dataclass(frozen=True)
class NoiseConfig:
    """What the diffusion trains on.

    Attributes:
        prediction: "epsilon" or "v_prediction", diffusers' names.
        shift: above 1, more samples at high noise, where layout and camera are decided.
        empty_text: share of samples without prompt, for classifier-free guidance.
    """

    prediction: Prediction = "v_prediction"
    shift: float = 1.0
    empty_text: float = 0.1


@dataclass(frozen=True)
class VideoConfig:
    """The training of single videos.

    Attributes:
        camera_share: share of the steps on static scenes with cameras; the others are on moving ones without.
    """

    camera_share: float = 0.85


@dataclass(frozen=True)
class SyncConfig:
    """The hybrid training of the sync modules, and what its ablations leave out.

    Attributes:
        camera_share: share of the steps on folded videos with cameras; the paper's 7 : 3. 1 leaves the videos out.
        band: of the epipolar bias; "none" trains without epipolar geometry.
        homography: deform the copy in the video phase.
        shared_timestep: one noise level for both videos of a pair, as in the paper; the released code draws two.
        attentions: of every sync module, one after the other; the paper's ablation "1 Layer" has one.
        camera_lora, video_lora: merged into the base in the camera phase, and in the video phase: LoRAs of the base on
            the data of that phase. None: the plain base.
    """

    camera_share: float = 0.7
    band: Mask = "soft"
    homography: bool = True
    shared_timestep: bool = True
    attentions: int = ATTENTIONS
    camera_lora: Path | None = None
    video_lora: Path | None = None


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        output: folder of checkpoints, metrics and caches.
        start_from: folder of an exported model whose weights to start with, relative to the configuration; None: from
            nothing. Its autoencoder goes with its UNet: then train the stages video and sync alone.
        seed: decides data, initial weights and noise.
        precision: of the networks' arithmetic, in accelerate's words. Weights stay float32, except for matrices that no
            stage trains: they are kept as the arithmetic takes them.
        gradient_checkpointing: compute activations again for gradients instead of keeping them: the same gradients, in
            less memory and more time.
        tensorboard: write the metrics for TensorBoard too, which the extra ``train`` installs.
        folders: clips to train on; None: procedural scenes.
        stages: loop of each stage by name, in the order in which they run.
    """

    output: Path
    stages: dict[str, LoopConfig]
    start_from: Path | None = None
    seed: int = 0
    precision: Precision = "no"
    gradient_checkpointing: bool = False
    tensorboard: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    folders: FoldersConfig | None = None
    networks: NetworkConfig = field(default_factory=NetworkConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)


T = TypeVar("T")
PACKAGED = Path(__file__).parent / "configs"


def load_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read a configuration: a file, or one of the package by its name, such as "mini".

    Raises:
        ValueError: no such file, not YAML, a name that is unknown or missing, or a value of another type; the message
            says where.
    """
    packaged = PACKAGED / f"{os.fspath(path)}.yaml"
    path = packaged if packaged.is_file() else Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a training configuration (YAML)") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    config = _build(TrainConfig, values, str(path))
    if config.start_from is None:
        return config
    return dataclasses.replace(config, start_from=path.parent / config.start_from)


def _build(cls: type[T], values: Any, where: str) -> T:
    """A dataclass from plain values, every name and type checked."""
    if not isinstance(values, dict):
        raise ValueError(f"{where} is {values!r}; expected names and values")
    types = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(map(str, values.keys() - fields.keys())):
        raise ValueError(f"{where} has unknown entries {', '.join(unknown)}; expected some of {', '.join(fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return cls(**{name: _convert(types[name], value, f"{where}: {name}") for name, value in values.items()})


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, dict):
        return {str(key): _convert(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Literal:
        if value in arguments:
            return value
        raise ValueError(f"{where} is {value!r}; expected one of {', '.join(arguments)}")
    if type(None) in arguments:
        return None if value is None else _convert(arguments[0], value, where)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {value!r}; expected {getattr(origin or kind, '__name__', kind)}")
