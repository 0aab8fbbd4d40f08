"""SynCamMaster in the host's Wan models: what Apply SynCamMaster attaches, and what happens around network calls."""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import comfy.model_management
import comfy.ops
import torch
from comfy.patcher_extension import CallbacksMP, PatcherInjection, WrappersMP

from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.collaborate import predict_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.groups import evaluate_groups
from cvd_core.sampling.pairs import Group, Pairing
from cvd_core.syncam.attach import BlockParts, ViewCall, synchronised
from cvd_core.syncam.cameras import camera_embedding, latent_frames
from cvd_core.syncam.checkpoint import load_syncam
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.rope import ViewGrid

from .blocks import managed

if TYPE_CHECKING:
    import os

    from torch import Tensor, nn

    from cvd_core.sampling.collaborate import NetworkCall

KEY = "cvd syncam"
"""Name of what this file puts into the host's dictionaries."""
CHANNELS = 16
"""Of Wan 2.1's latents."""
_VAES = ("WanVAE", "TAEHV")
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Loaded:
    """Modules that are loaded with a network.

    Attributes:
        modules: SynCamMaster's.
        without: blocks that the current run is known to leave out.
    """

    modules: SynCamModules
    without: set[int] = field(default_factory=set)


_LOADED: WeakKeyDictionary[Any, _Loaded] = WeakKeyDictionary()
"""By the network; a run on a copy of the network has copies of the modules."""


@dataclass(frozen=True, eq=False)
class SynCamSettings:
    """How Apply SynCamMaster wants the modules used.

    Attributes:
        cameras: V views of 4n + 1 frames in metres.
        strength: factor on what the modules add.
        start, end: fractions of the noise schedule between which they are active, 0 its noisy beginning.
        pairing: who attends to whom.
        seed: of the random groups.
    """

    cameras: Cameras
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    pairing: Pairing = Pairing("joint")  # noqa: RUF009 - frozen
    seed: int = 0


def load_modules(path: str | os.PathLike[str]) -> Any:
    """A CVD_SYNCAM: the modules of a file under the host's memory management.

    Raises:
        ValueError: the file is something else or incomplete; the message says what and where it belongs.
    """

    def load() -> nn.Module:
        return load_syncam(path, ops=comfy.ops.manual_cast)

    return managed(load(), load)


def apply_syncam(model: Any, modules: Any, settings: SynCamSettings) -> Any:
    """A MODEL whose views attend to each other in any sampler.

    Raises:
        ValueError: the model is not a Wan text-to-video model of the modules' size, or the cameras do not have 4n + 1
            frames.
    """
    latent_frames(settings.cameras.frames)
    _check_model(model, modules.model)
    model = model.clone()
    model.set_additional_models(KEY, [modules.clone()])
    model.set_injections(KEY, [PatcherInjection(inject=_inject, eject=_eject)])
    model.set_attachments(KEY, settings)
    model.remove_callbacks_with_key(CallbacksMP.ON_PRE_RUN, KEY)
    model.add_callback_with_key(CallbacksMP.ON_PRE_RUN, KEY, _begin)
    sampling = model.get_model_object("model_sampling")
    sigmas = (float(sampling.percent_to_sigma(settings.start)), float(sampling.percent_to_sigma(settings.end)))
    for kind, wrapper in (
        (WrappersMP.OUTER_SAMPLE, partial(_sample, settings.cameras)),
        (WrappersMP.DIFFUSION_MODEL, partial(_evaluate, settings, sigmas)),
    ):
        model.remove_wrappers_with_key(kind, KEY)
        model.add_wrapper_with_key(kind, KEY, wrapper)
    return model


def syncam_settings(model: Any) -> SynCamSettings:
    """What Apply SynCamMaster attached to a model.

    Raises:
        ValueError: there is nothing.
    """
    settings = model.get_attachment(KEY)
    if settings is None:
        raise ValueError("the model has no SynCamMaster modules: put an Apply SynCamMaster node before this one")
    found: SynCamSettings = settings
    return found


def _check_model(model: Any, modules: SynCamModules) -> None:
    network = model.model.diffusion_model
    kind = type(network).__name__
    if kind != "WanModel" or not hasattr(network, "blocks"):
        raise ValueError(f"the model is a {kind}; SynCamMaster runs on Wan 2.1 text-to-video, the 1.3B model")
    task, channels = getattr(network, "model_type", "t2v"), network.patch_embedding.in_channels
    if task != "t2v" or channels != CHANNELS:
        raise ValueError(
            f"the model is a Wan for {task} that takes {channels} channels, as image-to-video and Wan 2.2 models do; "
            f"SynCamMaster runs on Wan 2.1 text-to-video 1.3B, which takes {CHANNELS}"
        )
    found, expected = (len(network.blocks), network.dim), (len(modules.blocks), modules.width)
    if found != expected:
        raise ValueError(
            f"the Wan model has {found[0]} blocks of {found[1]} channels, but the SynCamMaster modules are for "
            f"{expected[0]} of {expected[1]}; the released ones fit Wan2.1-T2V-1.3B"
        )


def check_vae(vae: Any) -> None:
    """Raise ValueError unless a VAE is Wan 2.1's, or a small one in its place.

    Those of other models may make latents of the same shape.
    """
    kind = None if vae is None else type(vae.first_stage_model).__name__
    if kind not in _VAES:
        found = "there is no VAE" if kind is None else f"the VAE is a {kind}"
        raise ValueError(f"{found}; load Wan 2.1's, wan_2.1_vae.safetensors")


def _inject(patcher: Any) -> None:
    for modules in patcher.get_additional_models_with_key(KEY):
        _LOADED[patcher.model.diffusion_model] = _Loaded(modules.model)


def _eject(patcher: Any) -> None:
    _LOADED.pop(patcher.model.diffusion_model, None)


def _begin(patcher: Any) -> None:
    """Before a run: nothing has been said in it yet."""
    if loaded := _LOADED.get(patcher.model.diffusion_model):
        loaded.without.clear()


def _check_text(context: Tensor, width: int) -> None:
    if context.shape[-1] != width:
        raise ValueError(
            f"the conditioning has {context.shape[-1]} numbers per token, Wan takes {width}; encode the prompt with "
            "UMT5-XXL, from Load CLIP with type wan"
        )


def _modulation(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """The host's block takes ``(x, e, freqs, context)``, e being ``(N, 1, 6, d)``."""
    e: Tensor = named["e"] if "e" in named else inputs[1]
    if e.ndim == 4 and e.shape[1] != 1:
        raise ValueError(
            "the model takes a separate timestep for every frame, as Wan 2.2 5B does; SynCamMaster runs on Wan 2.1 "
            "text-to-video 1.3B"
        )
    return e.squeeze(1) if e.ndim == 4 else e


PARTS = BlockParts("norm3", "cross_attn", _modulation)


def _sample(cameras: Cameras, executor: Any, noise: Tensor, latent: Tensor, *arguments: Any, **named: Any) -> Any:
    """The host's run: what cannot be sampled is refused before models are loaded."""
    _check_latent(latent, cameras)
    return executor(noise, latent, *arguments, **named)


def _evaluate(
    settings: SynCamSettings, sigmas: tuple[float, float], executor: Any, x: Tensor, *arguments: Any, **named: Any
) -> Tensor:
    """The host's network call on ``(chunks * scenes * V, 16, f, h, w)``, views innermost."""
    network = executor.class_obj
    options = _transformer_options(arguments, named)
    sigma = float(options["sigmas"][0]) if "sigmas" in options else sigmas[0]
    if settings.strength == 0 or not sigmas[1] <= sigma <= sigmas[0]:
        return executor(x, *arguments, **named)
    loaded = _LOADED.get(network)
    if loaded is None:
        raise ValueError(
            "SynCamMaster's modules are not loaded with the model: a node behind Apply SynCamMaster took them away; "
            "exchange the two"
        )
    cameras = settings.cameras
    _check_latent(x, cameras, len(options.get("cond_or_uncond", (0,))))
    _check_text(named["context"] if "context" in named else arguments[1], network.text_dim)
    scenes = len(x) // cameras.views
    _, patch_height, patch_width = network.patch_size

    def call(rows: Tensor, groups: tuple[Group, ...]) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        views = [view for group in groups for view in group]
        chosen = [scene * cameras.views + view for scene in range(scenes) for view in views]
        embedding = torch.cat([camera_embedding(cameras, group) for group in groups]).to(rows.device)
        grid = ViewGrid(len(groups[0]), x.shape[2], -(-x.shape[3] // patch_height), -(-x.shape[4] // patch_width))
        view_call = ViewCall(embedding.repeat(scenes, 1, 1), grid, settings.strength)
        with synchronised(network.blocks, loaded.modules, view_call, PARTS) as added:
            output: Tensor = executor(
                rows,
                *(_rows(value, chosen, len(x)) for value in arguments),
                **{name: _rows(value, chosen, len(x)) for name, value in named.items()},
            )
        _report_without(loaded, added, len(network.blocks))
        return output

    def predict(rows: Tensor, together: NetworkCall) -> Tensor:
        return evaluate_groups(rows, together.groups, call)

    # The groups of a noise level, not of a call: both guidance branches and all calls of a step have the same.
    draws = SeededDraws(settings.seed ^ int.from_bytes(struct.pack("<d", sigma), "little"))
    schedule = settings.pairing.rounds(cameras.views, draws)
    by_view = x.unflatten(0, (scenes, cameras.views)).transpose(0, 1)
    found = predict_together(predict, by_view, schedule, draws, settings.pairing.views_per_pass)
    return found.transpose(0, 1).flatten(0, 1)


def _report_without(loaded: _Loaded, added: Set[int], blocks: int) -> None:
    """Say once in a run which blocks were evaluated without their modules."""
    without = set(range(blocks)) - added
    if without <= loaded.without:
        return
    loaded.without |= without
    which = "all blocks" if len(without) == blocks else f"blocks {', '.join(map(str, sorted(without)))}"
    _log.warning(
        "Apply SynCamMaster: another node skips or replaces %s of the model, as Skip Layer Guidance and caches do; "
        "wherever it does, the views do not attend to each other in there",
        which,
    )


def _transformer_options(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Mapping[str, Any]:
    found = named.get("transformer_options")
    candidates = [found, *arguments] if found is None else [found]
    return next((value for value in reversed(candidates) if isinstance(value, dict)), {})


def _rows(value: Any, chosen: list[int], rows: int) -> Any:
    """The chosen rows of a value with one row per video; any other value unchanged."""
    if isinstance(value, torch.Tensor) and value.ndim and len(value) == rows:
        return value[chosen]
    return value


def _check_latent(x: Tensor, cameras: Cameras, chunks: int = 1) -> None:
    """``chunks``: how many guidance branches the batch holds, each with all videos."""
    shape = None if x.is_nested else (len(x) // chunks, *x.shape[1:])
    if shape is None or len(shape) != 5 or shape[0] % cameras.views or shape[1] != CHANNELS:
        found = "several streams" if shape is None else f"shape {shape}"
        raise ValueError(
            f"the latent batch has {found}; expected one video of {CHANNELS} channels for each of the {cameras.views} "
            "cameras - use Empty Multi-View Video Latent with that many views"
        )
    if x.shape[2] != latent_frames(cameras.frames):
        raise ValueError(
            f"the latent has {x.shape[2]} latent frames ({4 * x.shape[2] - 3} frames of video), but the cameras have "
            f"{cameras.frames} frames; give both the same length"
        )
