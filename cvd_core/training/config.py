"""The configuration of a training, a YAML file, and what its entries must have in common."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from cvd_core.cami2v.network import FRAMES as CAMI2V_FRAMES
from cvd_core.cami2v.network import SIDE as CAMI2V_SIDE
from cvd_core.declared import read_declared
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.syncam.cameras import FRAME_STRIDE
from cvd_core.syncam.cameras import SIDE as SYNCAM_SIDE
from cvd_core.training.config_parts import (
    CHECKED,
    SCENE_FOLDERS,
    CamI2VConfig,
    ConsistencyConfig,
    DataConfig,
    FoldersConfig,
    LoopConfig,
    NetworkConfig,
    NoiseConfig,
    Precision,
    StageName,
    Switch,
    SynCamConfig,
    SyncConfig,
    VideoConfig,
    Whole,
)
from cvd_core.training.yaml_values import read_yaml


@dataclass(frozen=True, config=CHECKED)
class TrainConfig:
    """A whole training.

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
        stages: loop of each stage by name; they run in the order of :data:`STAGES`.
    """

    output: Path
    stages: Annotated[dict[StageName, LoopConfig], Field(min_length=1)]
    start_from: Path | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    precision: Precision = "no"
    gradient_checkpointing: Switch = False
    tensorboard: Switch = False
    data: DataConfig = field(default_factory=DataConfig)
    folders: FoldersConfig | None = None
    networks: NetworkConfig = field(default_factory=NetworkConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    syncam: SynCamConfig = field(default_factory=SynCamConfig)
    cami2v: CamI2VConfig = field(default_factory=CamI2VConfig)

    def __post_init__(self) -> None:
        if "syncam" in self.stages:
            self._check_alone("syncam", SYNCAM_SIDE)
            self._check_syncam()
            return
        if "cami2v" in self.stages:
            self._check_alone("cami2v", CAMI2V_SIDE)
            self._check_cami2v()
            return
        if "consistency" in self.stages:
            self._check_alone("consistency", LATENT_STRIDE)
        if self.data.height is not None:
            raise ValueError(
                "data.height is for the stages syncam and cami2v; the others' pictures are square, leave it out"
            )
        self._check_order()
        self._check_data()
        if self.start_from is None and (self.sync.camera_lora or self.sync.video_lora):
            raise ValueError("sync.camera_lora and sync.video_lora are LoRAs of a model; name it with start_from")

    def _check_alone(self, stage: StageName, step: int) -> None:
        """A stage of what is added to a model, whose pictures have sides that are multiples of ``step``."""
        if others := [name for name in self.stages if name != stage]:
            raise ValueError(f"stages has {', '.join(others)} beside {stage}, which is trained alone; train them apart")
        if self.start_from is None:
            raise ValueError(f"the stage {stage} adds modules to a model; name it with start_from")
        for name, side in (("size", self.data.size), ("height", self.data.height)):
            if side is not None and side % step:
                raise ValueError(f"data.{name} is {side}; the stage {stage} takes multiples of {step}")

    def _check_syncam(self) -> None:
        if (self.data.frames - 1) % FRAME_STRIDE:
            raise ValueError(f"data.frames is {self.data.frames}; the stage syncam takes 4n + 1")
        for kind, folder in SCENE_FOLDERS.items():
            if self.syncam.mix.get(kind, 0) > 0 and (self.folders is None or getattr(self.folders, folder) is None):
                raise ValueError(f"syncam.mix asks for {kind}, but folders names no {folder}; change one of them")

    def _check_cami2v(self) -> None:
        if self.data.frames != CAMI2V_FRAMES:
            raise ValueError(f"data.frames is {self.data.frames}; the stage cami2v takes {CAMI2V_FRAMES}")
        if self.folders is None or self.folders.realestate10k is None:
            raise ValueError("the stage cami2v takes clips with cameras, but folders names no realestate10k")

    def _check_order(self) -> None:
        """Every stage has what it builds on."""
        if self.start_from is not None:
            if "autoencoder" in self.stages:
                raise ValueError(
                    "stages has autoencoder, but the model of start_from has one that its UNet goes with; train the "
                    "other stages alone"
                )
            if "images" in self.stages and "video" not in self.stages:
                raise ValueError(
                    "stages has images but not video, and the motion modules of the model of start_from go with its "
                    "UNet; add video"
                )
            return
        for name, earlier in (("images", "autoencoder"), ("video", "autoencoder"), ("sync", "video")):
            if name in self.stages and earlier not in self.stages:
                raise ValueError(
                    f"stages has {name} but not {earlier}, which it builds on; add it, or name a trained model with "
                    "start_from"
                )

    def _check_data(self) -> None:
        """There are clips of every kind that a stage asks for."""
        shares = [self.sync.camera_share] * ("sync" in self.stages)
        shares += [self.video.camera_share] * any(name in self.stages for name in ("images", "video", "consistency"))
        folders = self.folders
        rests = self.data.dynamic < 1 if folders is None else folders.realestate10k is not None
        moves = self.data.dynamic > 0 if folders is None else folders.videos is not None
        if folders is not None and self.data.moving == "rendered":
            raise ValueError("data.moving is 'rendered', which procedural scenes alone can be; leave it or folders out")
        if not rests and any(share > 0 for share in shares):
            instead = "data.dynamic is 1" if folders is None else "folders names no realestate10k"
            raise ValueError(f"camera_share asks for clips with cameras, but {instead}; change one of them")
        if not moves and any(share < 1 for share in shares):
            instead = "data.dynamic is 0" if folders is None else "folders names no videos"
            raise ValueError(f"camera_share asks for clips without cameras, but {instead}; change one of them")


PACKAGED = Path(__file__).parent / "configs"


def load_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read a configuration: a file, or one of the package by its name, such as "mini".

    Raises:
        ValueError: no such file, not YAML, a name that is unknown or missing, or a value of another type or out of
            range; the message says where.
    """
    packaged = PACKAGED / f"{os.fspath(path)}.yaml"
    path = packaged if packaged.is_file() else Path(path)
    values = read_yaml(path)
    try:
        config = read_declared(TypeAdapter(TrainConfig), values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if config.start_from is None:
        return config
    return dataclasses.replace(config, start_from=path.parent / config.start_from)
