"""Whether a model file would load, and into what, by asking the loaders with a base that holds no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cvd_core.networks.sd15 import SD15_WIDTHS
from cvd_core.weights import (
    FOR_WAN,
    LORA_KINDS,
    Checkpoint,
    CheckpointInfo,
    Kind,
    LoraFile,
    identify,
    load_exact,
    where_it_belongs,
)

COMPONENT_KINDS = {Kind.UNET: "unet", Kind.VAE: "vae", Kind.TEXT_ENCODER: "text_encoder"}
"""Kinds of file that are a part of a base model's folder."""


@dataclass
class Family:
    """Models whose files go together.

    Args:
        name: what people call them.
        configs: of the base's networks, by component.
    """

    name: str
    configs: Mapping[str, Mapping[str, Any]]
    _built: dict[str, Any] = field(default_factory=dict)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the UNet's down blocks."""
        return tuple(self.configs["unet"].get("block_out_channels", SD15_WIDTHS))

    def network(self, component: str) -> Any:
        """A network of the base; it has no data until a file is tried in it."""
        from cvd_core.engine.sd15.components import build_component

        if component not in self._built:
            self._built[component] = build_component(component, self.configs[component], self.name)
        return self._built[component]


def of_widths(widths: Sequence[int]) -> Family:
    """Whatever has SD1.5's topology and these widths."""
    inner = len(widths) - 1
    unet = {
        "block_out_channels": list(widths),
        "down_block_types": ["CrossAttnDownBlock2D"] * inner + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * inner,
    }
    return Family(f"networks of widths {', '.join(map(str, widths))}", {"unet": unet})


def stable_diffusion() -> Family:
    """Stable Diffusion 1.5 and its fine-tunes."""
    from cvd_core.engine.sd15.components import SD15_CONFIGS

    return Family("Stable Diffusion 1.5", SD15_CONFIGS)


def try_in(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> str:
    """Load a file into a family's networks as a run would.

    Args:
        family: base and widths.
        checkpoint: the file.
        info: what it is.

    Returns:
        What should be known though it loads, or "".

    Raises:
        ValueError: it would not load; the message is the loader's.
    """
    if info.kind not in _TRIALS:
        raise ValueError(where_it_belongs(info.kind))
    return _TRIALS[info.kind](family, checkpoint, info) or ""


def try_alone(checkpoint: Checkpoint, info: CheckpointInfo) -> str | None:
    """Load a file that needs no base to tell what it fits; None if it is not of such a kind.

    Returns:
        what takes it.

    Raises:
        ValueError: it would not load; the message is the loader's.
    """
    if info.kind in LORA_KINDS and info.variant == FOR_WAN:
        return _try_wan_lora(checkpoint)
    return _ALONE[info.kind](checkpoint) if info.kind in _ALONE else None


def require_family(file: str, widths: Sequence[int], expected: Sequence[int]) -> None:
    """Check that added modules were made for a base's widths.

    Raises:
        ValueError: they were not.
    """
    if tuple(widths) != tuple(expected):
        raise ValueError(
            f"{file} was made for a network of widths {tuple(widths)}, the base model has {tuple(expected)}; use files "
            "of one family - those of the full size go with SD1.5 models, those of the small model of the package with "
            "it"
        )


def _try_sync(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> None:
    from cvd_core.sync.checkpoint import load_sync_modules

    require_family(checkpoint.path.name, load_sync_modules(checkpoint.path).widths, family.widths)


def _try_camera(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> None:
    from cvd_core.camera_control.checkpoint import load_camera_control

    _, merges = load_camera_control(checkpoint.path)
    require_family(checkpoint.path.name, merges.widths, family.widths)


def _try_motion(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> None:
    from cvd_core.engine.sd15.motion import build_motion_unet
    from cvd_core.motion.checkpoint import load_motion_modules
    from cvd_core.weights import motion_tensors

    load_motion_modules(checkpoint.path)
    build_motion_unet(family.network("unet"), motion_tensors(checkpoint), file=checkpoint.path.name)


def _try_lora(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> str:
    from cvd_core.engine.lora import match_lora
    from cvd_core.engine.sd15.lora import FAMILY, sd15_layers
    from cvd_core.weights import read_lora

    lora = read_lora(checkpoint.path)
    layers = sd15_layers(family.network("unet"), family.network("text_encoder"))
    _, unmatched = match_lora(layers, lora, family=FAMILY)
    return _remarks(lora, unmatched)


def _remarks(lora: LoraFile, unmatched: Sequence[str]) -> str:
    left_out = f"{len(unmatched)} of its {len(lora.layers)} layers are left out" if unmatched else ""
    return "; ".join(filter(None, [left_out, *lora.notes]))


def _try_component(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> None:
    from cvd_core.engine.sd15.components import fill_component

    component = COMPONENT_KINDS[info.kind]
    fill_component(component, family.network(component), checkpoint.tensors, file=checkpoint.path.name)


def _try_base(family: Family, checkpoint: Checkpoint, info: CheckpointInfo) -> None:
    from cvd_core.engine.sd15.components import fill_component, split_original
    from cvd_core.engine.sd15.loading import require_single_file

    require_single_file(checkpoint)
    for component, state in split_original(checkpoint, family.configs).items():
        fill_component(component, family.network(component), state, file=checkpoint.path.name)


def _try_syncam(checkpoint: Checkpoint) -> str:
    from cvd_core.syncam.checkpoint import load_syncam

    modules = load_syncam(checkpoint.path)
    size = len(modules.blocks), modules.width
    return "Wan 2.1 T2V 1.3B" if size == (30, 1536) else f"only a Wan 2.1 of {size[0]} blocks of width {size[1]}"


def _hollow_wan() -> Any:
    """The transformer of the size there are modules for."""
    from accelerate import init_empty_weights
    from diffusers import WanTransformer3DModel

    from cvd_core.engine.wan.lora import SIZES

    with init_empty_weights():
        return WanTransformer3DModel(**SIZES)


def _try_wan(checkpoint: Checkpoint) -> str:
    from cvd_core.engine.wan.loading import released_transformer
    from cvd_core.engine.wan.lora import FAMILY

    load_exact(_hollow_wan(), released_transformer(checkpoint), file=checkpoint.path.name, what=FAMILY)
    return f"{FAMILY}; outside of ComfyUI together with its diffusers folder"


def _try_wan_lora(checkpoint: Checkpoint) -> str:
    from cvd_core.engine.lora import match_lora
    from cvd_core.engine.wan.lora import FAMILY, wan_layers
    from cvd_core.weights import read_lora

    lora = read_lora(checkpoint.path)
    _, unmatched = match_lora(wan_layers(_hollow_wan()), lora, family=FAMILY)
    return "; ".join(filter(None, [FAMILY, _remarks(lora, unmatched)]))


def _try_picture_to_video(checkpoint: Checkpoint) -> str:
    from cvd_core.cami2v.checkpoint import load_picture_to_video

    networks = load_picture_to_video(checkpoint.path)
    lacking = [part for part in ("VAE", "text encoder", "picture encoder") if part not in identify(checkpoint).parts]
    return networks.label + (
        f"; it lacks {', '.join(lacking)}, which ComfyUI can take from other files" * bool(lacking)
    )


def _try_camera_parts(checkpoint: Checkpoint) -> str:
    return "DynamiCrafter's whole file as the base, of the size it was trained on"


_ALONE: Mapping[Kind, Callable[[Checkpoint], str]] = {
    Kind.SYNCAM: _try_syncam,
    Kind.WAN: _try_wan,
    Kind.DYNAMICRAFTER: _try_picture_to_video,
    Kind.CAMI2V: _try_picture_to_video,
    Kind.CAMERACTRL_I2V: _try_picture_to_video,
    Kind.CAMI2V_PARTS: _try_camera_parts,
}
"""Kinds whose tensors tell the network they are for."""

_TRIALS: Mapping[Kind, Callable[[Family, Checkpoint, CheckpointInfo], str | None]] = {
    Kind.SYNC: _try_sync,
    Kind.CAMERA: _try_camera,
    Kind.MOTION: _try_motion,
    Kind.ANIMATELCM: _try_motion,
    Kind.BASE: _try_base,
    **dict.fromkeys(LORA_KINDS, _try_lora),
    **dict.fromkeys(COMPONENT_KINDS, _try_component),
}
