"""The entries of a training's configuration: what each may be is declared here and checked on construction."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from cvd_core.engine.prediction import Prediction
from cvd_core.geometry.epipolar import Mask
from cvd_core.scenes.paths import AXES, SPREAD
from cvd_core.scenes.world import LONGEST_PROMPT
from cvd_core.sync.module import ATTENTIONS

Precision = Literal["no", "bf16", "fp16"]
StageName = Literal["autoencoder", "images", "video", "sync", "consistency", "syncam", "cami2v"]
SD15_STAGES: tuple[StageName, ...] = ("autoencoder", "images", "video", "sync")
"""In the order in which they build on each other."""
STAGES: tuple[StageName, ...] = (*SD15_STAGES, "consistency", "syncam", "cami2v")
"""Those after the first four train what is added to a model, each alone; the last two, to one of another family."""
SceneKind = Literal["views", "pictures", "videos"]
SCENE_FOLDERS: dict[SceneKind, str] = {"views": "multi_camera", "pictures": "realestate10k", "videos": "videos"}
"""Field of :class:`FoldersConfig` by what SynCamMaster's stage takes from there."""
Axis = Annotated[str, Field(pattern=f"^({'|'.join(AXES)})$")]

Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
"""Whole numbers are numbers; true and "1" are not."""
Fraction = Annotated[Number, Field(ge=0, le=1)]

# Upper bounds are far beyond any use: they catch a slip of the keyboard before it costs memory or days.
Count = Annotated[Whole, Field(ge=1, le=10**9)]
Side = Annotated[Whole, Field(ge=8, le=4096, multiple_of=8)]
Width = Annotated[Whole, Field(ge=32, le=8192, multiple_of=32)]
"""Channels: the norms have 32 groups at most."""

Angle = Annotated[Number, Field(ge=0, le=180)]
Views = Annotated[Whole, Field(ge=2, le=16)]

CHECKED = ConfigDict(allow_inf_nan=False, extra="forbid")


@dataclass(frozen=True, config=CHECKED)
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

    steps: Count
    batch: Annotated[Whole, Field(ge=1, le=100_000)]
    learning_rate: Annotated[Number, Field(gt=0, le=1)]
    warmup: Annotated[Whole, Field(ge=0, le=10**9)] = 100
    final_rate: Fraction = 0.05
    weight_decay: Fraction = 0.01
    ema: Annotated[Number, Field(ge=0, lt=1)] = 0.999
    clip: Annotated[Number, Field(gt=0)] = 1.0
    save_seconds: Annotated[Number, Field(ge=0)] = 120.0
    log_every: Count = 20


@dataclass(frozen=True, config=CHECKED)
class DataConfig:
    """Clips: their size, and what the procedural ones show.

    Attributes:
        size: width of the pictures in pixels, and their height if no other is given.
        height: of pictures that are not square, for stages that take such.
        frames: F.
        spread: largest amounts of the camera paths, see :func:`cvd_core.scenes.paths.random_amounts`.
        clips: scenes whose latents are kept on disk.
        dynamic: fraction of the scenes that move.
        views: V synchronised videos of each clip. Two are the paper's pairs; with more, every step of the stage sync
            takes a random number of them, and each attends to all others.
        moving: what the views of a moving scene are: one video and "deformed" copies of it, without cameras, as in the
            paper; or "rendered" by V cameras, which real videos cannot be.
    """

    size: Side = 64
    height: Side | None = None
    frames: Annotated[Whole, Field(ge=2, le=1024)] = 8
    spread: Annotated[dict[Axis, Annotated[Number, Field(ge=0, le=360)]], Field(min_length=1)] = field(
        default_factory=lambda: dict(SPREAD)
    )
    clips: Annotated[Whole, Field(ge=1, le=10**7)] = 6000
    dynamic: Fraction = 0.3
    views: Views = 2
    moving: Literal["deformed", "rendered"] = "deformed"


@dataclass(frozen=True, config=CHECKED)
class FoldersConfig:
    """Clips on disk instead of procedural ones.

    Attributes:
        realestate10k: pose files with their videos, see :class:`cvd_core.training.data.folders.RealEstate10KViews`;
            None: no steps with cameras can be asked for.
        videos: any videos, see :class:`cvd_core.training.data.folders.VideoViews`; None: no steps without.
        multi_camera: synchronised videos around scenes, see
            :class:`cvd_core.training.data.multi_camera.MultiCameraVideos`.
    """

    realestate10k: Path | None = None
    videos: Path | None = None
    multi_camera: Path | None = None


@dataclass(frozen=True, config=CHECKED)
class NetworkConfig:
    """Sizes of untrained networks.

    Attributes:
        widths: channels of the UNet's down blocks.
        layers: resnets per down block.
        latent_channels, autoencoder_width: of the autoencoder.
        text_width, text_layers, text_length: of the text encoder; the length in tokens.
    """

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (32, 64, 128)
    layers: Annotated[Whole, Field(ge=1, le=16)] = 1
    latent_channels: Annotated[Whole, Field(ge=1, le=256)] = 8
    autoencoder_width: Annotated[Whole, Field(ge=1, le=4096)] = 64
    text_width: Annotated[Whole, Field(ge=4, le=8192, multiple_of=4)] = 64
    text_layers: Annotated[Whole, Field(ge=1, le=64)] = 2
    text_length: Annotated[Whole, Field(ge=LONGEST_PROMPT + 2, le=1024)] = 20


@dataclass(frozen=True, config=CHECKED)
class NoiseConfig:
    """What the diffusion trains on.

    Attributes:
        prediction: "epsilon" or "v_prediction", diffusers' names.
        shift: above 1, more samples at high noise, where layout and camera are decided.
        empty_text: fraction of samples without prompt, for classifier-free guidance.
    """

    prediction: Prediction = "v_prediction"
    shift: Annotated[Number, Field(gt=0, le=1000)] = 1.0
    empty_text: Fraction = 0.1


@dataclass(frozen=True, config=CHECKED)
class VideoConfig:
    """The training of single videos.

    Attributes:
        camera_share: fraction of the steps on static scenes with cameras; the others are on moving ones without.
    """

    camera_share: Fraction = 0.85


@dataclass(frozen=True, config=CHECKED)
class SyncConfig:
    """The hybrid training of the sync modules, and what its ablations leave out.

    Attributes:
        camera_share: fraction of the steps on folded videos with cameras; the paper's 7 : 3. 1 leaves the videos out.
        band: of the epipolar bias; "none" trains without epipolar geometry.
        homography: deform the copy in the video phase.
        shared_timestep: one noise level for all views of a clip, as in the paper; the released code draws one each.
        attentions: of every sync module, one after the other; the paper's ablation "1 Layer" has one.
        camera_lora, video_lora: merged into the base in the camera phase, and in the video phase: LoRAs of the base on
            the data of that phase. None: the plain base.
    """

    camera_share: Fraction = 0.7
    band: Mask = "soft"
    homography: Switch = True
    shared_timestep: Switch = True
    attentions: Annotated[Whole, Field(ge=1, le=16)] = ATTENTIONS
    camera_lora: Path | None = None
    video_lora: Path | None = None


@dataclass(frozen=True, config=CHECKED)
class ConsistencyConfig:
    """The distillation of few steps.

    Attributes:
        rank: of the LoRA.
        guidance: least and most of what is distilled, drawn anew for every sample.
    """

    rank: Annotated[Whole, Field(ge=1, le=1024)] = 16
    guidance: tuple[Annotated[Number, Field(ge=1, le=100)], Annotated[Number, Field(ge=1, le=100)]] = (5.0, 10.0)

    def __post_init__(self) -> None:
        if self.guidance[0] > self.guidance[1]:
            raise ValueError(f"guidance from {self.guidance[0]:g} to {self.guidance[1]:g}; expected the smaller first")


@dataclass(frozen=True, config=CHECKED)
class AngleRange:
    """How far from the first view the others look, from a step on (SynCamMaster, App. C).

    Attributes:
        from_step: the first.
        least, most: degrees.
    """

    from_step: Annotated[Whole, Field(ge=0)]
    least: Angle
    most: Angle


@dataclass(frozen=True, config=CHECKED)
class SynCamConfig:
    """The training of SynCamMaster's modules. Defaults are the paper's (Sec. 3.4, 3.5, 4.1, App. C).

    Attributes:
        views: V of every sample.
        mix: fraction of the steps on each kind of data: synchronised "views" of moving scenes (folders: multi_camera),
            "pictures" of static scenes (realestate10k), and single "videos", V times the same (videos).
        angles: of the synchronised views, in the order of their steps; none: any cameras of a scene.
        reference: fraction of the samples in which the first view is given clean, to train for novel views of a given
            video; 0.9 in the paper. 0 trains for text alone.
        neither: fraction of the samples without a given view and without text, for the first branch of the paper's
            Eq. 7; of all others, ``noise.empty_text`` have no text.
    """

    views: Views = 4
    mix: Annotated[dict[SceneKind, Fraction], Field(min_length=1)] = field(
        default_factory=lambda: {"views": 0.6, "pictures": 0.2, "videos": 0.2}
    )
    angles: tuple[AngleRange, ...] = ()
    reference: Fraction = 0.0
    neither: Fraction = 0.0

    def __post_init__(self) -> None:
        if abs(sum(self.mix.values()) - 1) > 1e-6:
            raise ValueError(f"the fractions of mix add up to {sum(self.mix.values()):g}; expected 1")
        if self.reference + self.neither > 1:
            raise ValueError(f"reference and neither add up to {self.reference + self.neither:g}; expected at most 1")
        steps = [angles.from_step for angles in self.angles]
        if steps and (steps[0] != 0 or sorted(set(steps)) != steps):
            raise ValueError(f"angles begin at the steps {steps}; expected 0 and then later ones, in order")
        for angles in self.angles:
            if angles.least > angles.most:
                raise ValueError(f"angles from {angles.least:g} to {angles.most:g} degrees; expected the smaller first")


@dataclass(frozen=True, config=CHECKED)
class CamI2VConfig:
    """The training of CamI2V's camera branch. Defaults are the paper's (Sec. 5.1).

    Attributes:
        longest_stride: source frames between two of a clip, drawn from 1 to so many.
    """

    longest_stride: Annotated[Whole, Field(ge=1, le=100)] = 10
