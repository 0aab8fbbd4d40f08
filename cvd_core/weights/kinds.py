"""Telling what a checkpoint is from its keys and shapes: artists pick files by name, and names say little."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from torch import Tensor

from cvd_core.networks.sd15 import LATENT_CHANNELS, NORM_GROUPS, SD15_LAYERS, SD15_WIDTHS
from cvd_core.weights.checkpoint import Checkpoint

SDXL_WIDTHS = (320, 640, 1280)
SD15_TEXT_WIDTH = 768
SD2_TEXT_WIDTH = 1024
SDXL_TEXT_WIDTH = 2048
V1_FRAMES = 24
FOR_WAN = "for Wan"
"""Variant of a LoRA."""


class Kind(Enum):
    """What a checkpoint is; the value reads well after "looks like"."""

    BASE = "a Stable Diffusion 1.x checkpoint"
    UNET = "a diffusers UNet"
    VAE = "a VAE"
    TEXT_ENCODER = "a CLIP text encoder"
    MOTION = "an AnimateDiff motion module"
    MOTION_LORA = "an AnimateDiff motion LoRA"
    ADAPTER = "an AnimateDiff adapter LoRA"
    CAMERA = "a CameraCtrl checkpoint"
    SYNC = "a CVD sync module"
    LORA_KOHYA = "a LoRA in kohya format"
    LORA_DIFFUSERS = "a LoRA in diffusers format"
    LORA_PEFT = "a LoRA in PEFT format"
    SYNCAM = "SynCamMaster modules"
    RECAMMASTER = "a ReCamMaster checkpoint"
    WAN = "a Wan 2 video model"
    DYNAMICRAFTER = "a DynamiCrafter checkpoint"
    CAMI2V = "a CamI2V checkpoint"
    CAMERACTRL_I2V = "a CameraCtrl checkpoint for DynamiCrafter"
    CAMI2V_PARTS = "the camera's part of a CamI2V checkpoint"
    SD2 = "a Stable Diffusion 2 checkpoint"
    SDXL = "a Stable Diffusion XL model"
    SPARSECTRL = "a SparseCtrl checkpoint"
    CONTROLNET = "a ControlNet"
    T2I_ADAPTER = "a T2I-Adapter"
    IP_ADAPTER = "an IP-Adapter"
    PIA = "a PIA checkpoint (motion module for image to video)"
    ANIMATELCM = "an AnimateLCM motion module"
    ANIMATELCM_I2V = "an AnimateLCM image-to-video checkpoint"
    HOTSHOTXL = "a HotshotXL motion module"
    FANCYVIDEO = "a FancyVideo motion module"
    MOTIONCTRL = "a MotionCtrl checkpoint"
    EMBEDDING = "a textual-inversion embedding"
    UNKNOWN = "no kind of model known here"


@dataclass(frozen=True)
class Place:
    """Where a kind of file goes: the argument of :func:`cvd_core.load_pipeline` and ComfyUI's folder."""

    argument: str
    folder: str


PLACES = {
    Kind.BASE: Place("base", "models/checkpoints"),
    Kind.MOTION: Place("motion", "models/animatediff_models"),
    Kind.ANIMATELCM: Place("motion", "models/animatediff_models"),
    Kind.CAMERA: Place("camera", "models/animatediff_models"),
    Kind.SYNC: Place("sync", "models/cvd"),
    Kind.SYNCAM: Place("sync", "models/cvd"),
    Kind.WAN: Place("base", "models/diffusion_models"),
    Kind.DYNAMICRAFTER: Place("base", "models/checkpoints"),
    Kind.CAMI2V: Place("base", "models/checkpoints"),
    Kind.CAMERACTRL_I2V: Place("base", "models/checkpoints"),
    Kind.CAMI2V_PARTS: Place("camera", "models/checkpoints"),
    Kind.ADAPTER: Place("loras", "models/loras"),
    Kind.LORA_KOHYA: Place("loras", "models/loras"),
    Kind.LORA_DIFFUSERS: Place("loras", "models/loras"),
    Kind.LORA_PEFT: Place("loras", "models/loras"),
}
"""Kinds this project loads. The others are known so that a wrong pick can be named."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint is, with the facts its shapes tell.

    Args:
        kind: what it is.
        tensors: number of tensors.
        parameters: number of numbers in them.
        dtypes: their dtypes, most parameters first, as torch spells them without ``torch.``.
        variant: the kind's version or layout, e.g. ``"v3"``, ``"nested"``, ``""`` if there is only one.
        widths: channels per resolution, finest first; empty if the shapes do not tell.
        layers: added modules per down block, 0 if there are none.
        text_width: channels of the text embedding that the spatial attention takes or the encoder makes, or None.
        frames: length of the position table, so the most frames the network allows, or None.
        in_channels: latent channels the UNet takes, or None.
        parts: what a single-file base holds in addition to the UNet: ``"VAE"``, ``"text encoder"``,
            ``"picture encoder"``.
    """

    kind: Kind
    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    variant: str = ""
    widths: tuple[int, ...] = ()
    layers: int = 0
    text_width: int | None = None
    frames: int | None = None
    in_channels: int | None = None
    parts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The kind with its variant: "an AnimateDiff motion module (v3)"."""
        return f"{self.kind.value} ({self.variant})" if self.variant else self.kind.value


def identify(checkpoint: Checkpoint) -> CheckpointInfo:
    """Tell what a checkpoint is, wrapping included. Keys and shapes are read, values are not."""
    info = identify_tensors(checkpoint.tensors)
    if info.kind is Kind.CAMERA:
        return replace(info, variant="nested" if len(checkpoint.sections) > 1 else "flat")
    return info


def identify_tensors(tensors: Mapping[str, Tensor]) -> CheckpointInfo:
    """Tell what checkpoint ``tensors`` come from, by keys and shapes."""
    keys = _Keys(tensors)
    kind, variant = _kind(keys)
    sizes: dict[str, int] = {}
    for value in tensors.values():
        name = str(value.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + value.numel()
    parts = (("VAE", "first_stage_model."), ("text encoder", "cond_stage_model."), ("picture encoder", "embedder."))
    return CheckpointInfo(
        kind=kind,
        tensors=len(tensors),
        parameters=sum(sizes.values()),
        dtypes=tuple(sorted(sizes, key=lambda name: -sizes[name])),
        variant=variant,
        widths=_widths(keys),
        layers=_layers(keys),
        text_width=None if kind in _WITHOUT_TEXT else keys.size(_TEXT_KEY, -1),
        frames=keys.size(_FRAMES_KEY, 1),
        in_channels=keys.size(_INPUT_KEY, 1) if kind in _WITH_UNET else None,
        parts=tuple(name for name, prefix in parts if keys.start(prefix)) if kind in _WHOLE else (),
    )


def require_kind(info: CheckpointInfo, accepted: Collection[Kind], *, file: str, wanted: str) -> None:
    """Check that a file is what the place it was picked for takes.

    Args:
        info: what :func:`identify` says of it.
        accepted: the kinds that fit.
        file: the file's name for the message.
        wanted: what was expected, with an article: "an AnimateDiff motion module".

    Raises:
        ValueError: it is something else; the message says what, and where that belongs.
    """
    if info.kind not in accepted:
        raise ValueError(f"{file} is not {wanted}: its keys look like {info.label}. {where_it_belongs(info.kind)}")


def unet_layout(info: CheckpointInfo, *, file: str, groups: int = NORM_GROUPS) -> tuple[tuple[int, ...], int]:
    """Widths and layers per block of the UNet that added modules were made for.

    SD1.5's if too much is missing from the file to tell: loading then names the missing tensors.

    Raises:
        ValueError: the widths are such that no network can have them.
    """
    cut_off = info.widths == SD15_WIDTHS[: len(info.widths)]
    if not cut_off and any(width <= 0 or width % groups for width in info.widths):
        raise ValueError(
            f"{file} is {info.label} for a network of widths {', '.join(map(str, info.widths))}; expected multiples of "
            f"{groups} - the file is damaged, get it again"
        )
    return (SD15_WIDTHS, SD15_LAYERS) if cut_off else (info.widths, info.layers or SD15_LAYERS)


def where_it_belongs(kind: Kind) -> str:
    """Advice on a file that was picked in the wrong place."""
    if place := PLACES.get(kind):
        return f"Give it to `{place.argument}` instead ({place.folder} in ComfyUI)"
    return {
        Kind.RECAMMASTER: "It moves the camera of a given video; SynCamMaster's own file is step20000.ckpt",
        Kind.UNET: "Give `base` the diffusers folder it lies in, with unet, vae, text_encoder and tokenizer",
        Kind.SD2: "CVD runs on Stable Diffusion 1.5 models",
        Kind.SDXL: "CVD runs on Stable Diffusion 1.5 models",
        Kind.PIA: _OTHER_MOTION,
        Kind.ANIMATELCM_I2V: _OTHER_MOTION,
        Kind.HOTSHOTXL: _OTHER_MOTION,
        Kind.FANCYVIDEO: _OTHER_MOTION,
        Kind.UNKNOWN: "Check that it is the right file",
    }.get(kind, "This project does not use this kind of file")


_OTHER_MOTION = "CVD was trained with AnimateDiff's v3 motion module; use v3_sd15_mm.ckpt"
_WHOLE = (Kind.BASE, Kind.DYNAMICRAFTER, Kind.CAMI2V, Kind.CAMERACTRL_I2V)
"""Bases in a single file."""
_WITH_UNET = (Kind.BASE, Kind.UNET, Kind.SD2, Kind.SDXL)
_WITHOUT_TEXT = (Kind.MOTION, Kind.ANIMATELCM, Kind.MOTION_LORA, Kind.SYNC, Kind.CAMERA)
_ORIGINAL = "model.diffusion_model."
_WAN_KEY = "blocks.0.self_attn.norm_q.weight"
_LORA_KEY = re.compile(r"lora[._](up|down|mid|A|B|linear_layer|magnitude_vector)\b|\.hada_|\.lokr_|\.dora_scale$")
_TEXT_KEY = (
    r"attn2[._](?:processor\.)?to_k(?:\.weight|[._].*(?:down|lora_A)(?:\.\w+)?\.weight)$"
    r"|^(?:text_model\.)?embeddings\.token_embedding\.weight$"
)
_INPUT_KEY = r"^(?:conv_in|model\.diffusion_model\.input_blocks\.0\.0)\.weight$"
_OUTPUT_KEY = r"^(?:conv_out|model\.diffusion_model\.out\.2)\.weight$"
_FRAMES_KEY = r"pos_(?:encoder|embed)\.pe$"
_SECOND_TRANSFORMER = re.compile(r"(?:attentions[._]\d+|blocks_\d+_1)[._]transformer_blocks[._][1-9]")
"""SDXL's attention blocks have up to ten transformer layers, SD1.5's have one."""
_OTHER_NETWORK = re.compile(r"double_blocks|single_blocks|joint_blocks|(?:^|\.)transformer\.|single_transformer_blocks")
"""LoRA layers of diffusion transformers: Flux, SD3, Wan ..."""
_WAN_LAYER = re.compile(r"(?:^|\.|unet_)blocks[._]\d+[._](?:self_attn|cross_attn|attn[12]|ffn)[._]")
"""Of Wan, under its released names or those of diffusers."""


class _Keys:
    """Questions about the keys and shapes of a checkpoint."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.shapes = {key: tuple(value.shape) for key, value in tensors.items()}

    def start(self, *prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in self.shapes)

    def hold(self, *parts: str) -> bool:
        return any(part in key for key in self.shapes for part in parts)

    def is_embedding(self) -> bool:
        """Whether there is nothing but a few rows as wide as CLIP's tokens."""
        return len(self.shapes) <= 2 and all(
            0 < len(shape) <= 2 and shape[-1] in (768, 1024, 1280) for shape in self.shapes.values()
        )

    def size(self, pattern: str, axis: int) -> int | None:
        """Length of ``axis`` of the first tensor whose key matches."""
        shape = next((shape for key, shape in self.shapes.items() if re.search(pattern, key)), None)
        return shape[axis] if shape is not None and len(shape) > abs(axis + (axis < 0)) else None


def _kind(keys: _Keys) -> tuple[Kind, str]:
    """Kind and variant; the most particular keys are asked for first."""
    if keys.start("lora_unet_", "lora_te") or any(_LORA_KEY.search(key) for key in keys.shapes):
        return _lora_kind(keys)
    if keys.hold(".epi_modules.", "epi_transformer."):
        return Kind.SYNC, ""
    if keys.hold(".mvs_attn."):
        return Kind.SYNCAM, "with the whole Wan 2.1" if keys.hold(_WAN_KEY) else ""
    if keys.hold(_WAN_KEY):
        return (Kind.RECAMMASTER if keys.hold(".cam_encoder.") else Kind.WAN), ""
    if keys.hold("qkv_merge") or keys.start("encoder_down_conv_blocks."):
        return Kind.CAMERA, ""
    if keys.start(*_CONTROL_PREFIXES):
        return (Kind.SPARSECTRL if keys.hold("motion_modules.") else Kind.CONTROLNET), ""
    if keys.hold("motion_modules.", "temporal_attentions."):
        return _motion_kind(keys)
    if keys.start(f"{_ORIGINAL}init_attn.", "pose_encoder.", "image_proj_model.") or keys.hold(".pluker_projection."):
        return _picture_to_video_kind(keys)
    for kind, prefixes in _BY_PREFIX:
        if keys.start(*prefixes):
            return kind, ""
    if keys.start(f"{_ORIGINAL}input_blocks."):
        is_sd2 = keys.start("cond_stage_model.model.") or keys.size(_TEXT_KEY, -1) == SD2_TEXT_WIDTH
        return (Kind.SD2 if is_sd2 else Kind.BASE), _input_variant(keys)
    if keys.start("down_blocks.0.resnets.") and keys.start("time_embedding."):
        is_sd2 = keys.size(_TEXT_KEY, -1) == SD2_TEXT_WIDTH
        return (Kind.SD2 if is_sd2 else Kind.UNET), _input_variant(keys)
    if keys.start("patch_encoder."):
        return Kind.VAE, "of patches"
    if keys.start("encoder.down_blocks.0.resnets.", "encoder.down.0.block.0.", "first_stage_model."):
        return Kind.VAE, ""
    if keys.hold("embeddings.token_embedding.weight"):
        return Kind.TEXT_ENCODER, ""
    if keys.is_embedding():
        return Kind.EMBEDDING, ""
    return Kind.UNKNOWN, ""


_CONTROL_PREFIXES = (
    "controlnet_cond_embedding.",
    "controlnet_down_blocks.",
    "controlnet_mid_block.",
    "control_model.",
    "zero_convs.",
    "input_hint_block.",
)
"""ControlNets, diffusers' and the original; AnimateDiff's SparseCtrl is one with motion modules."""

_BY_PREFIX = (
    (Kind.SDXL, ("conditioner.embedders.", "add_embedding.", f"{_ORIGINAL}label_emb.")),
    (Kind.IP_ADAPTER, ("image_proj.", "ip_adapter.")),
    (Kind.T2I_ADAPTER, ("adapter.body.", "adapter.conv_in.", "body.0.block1.", "body.0.in_conv.")),
)
_INPUTS = {8: "for editing by instruction", 9: "for inpainting"}
"""UNets by the channels of their input, where these are more than the latent's, which are the output's."""


def _input_variant(keys: _Keys) -> str:
    channels = keys.size(_INPUT_KEY, 1)
    if channels is None or channels == keys.size(_OUTPUT_KEY, 0):
        return ""
    return _INPUTS.get(channels, "" if channels == LATENT_CHANNELS else f"with {channels} input channels")


def _motion_kind(keys: _Keys) -> tuple[Kind, str]:
    """Which of the networks with AnimateDiff's layout; the others than AnimateDiff hold keys of their own."""
    if keys.hold("temporal_attentions.", "pos_encoder.positional_encoding"):
        return Kind.HOTSHOTXL, ""
    if keys.hold("cc_projection", "omcm.") or keys.start("camera_encoder."):
        return Kind.MOTIONCTRL, ""
    if keys.start("fps_embedding.", "motion_embedding."):
        return Kind.FANCYVIDEO, ""
    if keys.start("img_encoder."):
        return Kind.ANIMATELCM_I2V, ""
    if keys.start("conv_in.") and not keys.hold(".resnets."):
        return Kind.PIA, ""
    version = _motion_version(keys)
    if version != "for SDXL" and not keys.hold("pos_encoder", "pos_embed"):
        return Kind.ANIMATELCM, ""
    return Kind.MOTION, version


def _picture_to_video_kind(keys: _Keys) -> tuple[Kind, str]:
    """DynamiCrafter and what CamI2V's authors trained on it; a file of trained parts does not tell the model's size."""
    if not keys.start(f"{_ORIGINAL}init_attn."):
        return (Kind.CAMI2V_PARTS if keys.hold(".pluker_projection.") else Kind.UNKNOWN), ""
    kind = Kind.DYNAMICRAFTER
    if keys.hold(".pluker_projection."):
        kind = Kind.CAMI2V if keys.hold(".epipolar.") else Kind.CAMERACTRL_I2V
    if not keys.hold(".attn2.to_k_ip."):
        return kind, ""
    return kind, "256" if keys.hold(".attn2.alpha") else "512"


def _lora_kind(keys: _Keys) -> tuple[Kind, str]:
    if any(re.search(r"motion_modules[._]", key) for key in keys.shapes):
        return Kind.MOTION_LORA, ""
    text_width = keys.size(_TEXT_KEY, -1)
    variant = {SD15_TEXT_WIDTH: "for SD1.5", SD2_TEXT_WIDTH: "for SD2"}.get(text_width or 0, "")
    if any(_WAN_LAYER.search(key) for key in keys.shapes):
        variant = FOR_WAN
    elif any(_OTHER_NETWORK.search(key) for key in keys.shapes):
        variant = "for a diffusion transformer"
    elif (
        text_width == SDXL_TEXT_WIDTH
        or keys.start("lora_te1_", "lora_te2_", "text_encoder_2.")
        or any(_SECOND_TRANSFORMER.search(key) for key in keys.shapes)
    ):
        variant = "for SDXL"
    if keys.start("base_model.model."):
        return Kind.LORA_PEFT, variant
    if keys.start("lora_unet_", "lora_te"):
        return Kind.LORA_KOHYA, variant
    if keys.hold(".processor.to_q_lora.down.") and not keys.start("unet.", "text_encoder."):
        return Kind.ADAPTER, variant
    return Kind.LORA_DIFFUSERS, variant


def _motion_version(keys: _Keys) -> str:
    if _widths(keys) == SDXL_WIDTHS:
        return "for SDXL"
    if keys.start("mid_block."):
        return "v2"
    return "v1" if keys.size(_FRAMES_KEY, 1) == V1_FRAMES else "v3"


_WIDTH_KEYS = (
    r"^down_blocks\.(\d{1,2})\.(?:motion|epi)_modules\.0\.(?:\w+_transformer\.)?proj_in\.weight$",
    r"^encoder_down_conv_blocks\.(\d{1,2})\.0\.block1\.weight$",
    r"^down_blocks\.(\d{1,2})\.resnets\.0\.conv1\.weight$",
    r"^model\.diffusion_model\.input_blocks\.(1|4|7|10)\.0\.in_layers\.2\.weight$",
    r"^encoder\.down(?:_blocks)?\.(\d{1,2})\.(?:resnets|block)\.0\.conv1\.weight$",
)


def _widths(keys: _Keys) -> tuple[int, ...]:
    for pattern in _WIDTH_KEYS:
        found = {int(m[1]): shape[0] for key, shape in keys.shapes.items() if shape and (m := re.search(pattern, key))}
        if found:
            return tuple(found[level] for level in sorted(found))
    return ()


def _layers(keys: _Keys) -> int:
    """Numbers of the first down block's added modules that occur."""
    pattern = re.compile(r"^down_blocks\.0\.(?:motion|epi)_modules\.(\d+)\.")
    return len({m[1] for key in keys.shapes if (m := pattern.search(key))})


def describe_keys(keys: Iterable[str], limit: int = 3) -> str:
    """The first names of a set of keys and how many more there are: "a, b, c and 9 more"."""
    names = sorted(keys)
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
