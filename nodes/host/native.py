"""This pack's own motion modules in a ComfyUI model: loading, attaching, and their way into the UNet for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import comfy.lora
import comfy.model_sampling
import comfy.ops
from comfy.patcher_extension import CallbacksMP, PatcherInjection, WrappersMP
from torch import nn

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.motion.checkpoint import load_motion_modules, read_motion_lora
from cvd_core.motion.module import MotionModule, MotionModules
from cvd_core.motion.noise_schedule import sigmas
from cvd_core.networks.sd15 import NORM_GROUPS
from cvd_core.sampling.windows import Windows
from cvd_core.weights.kinds import V1_FRAMES

from .blocks import behind_attention, check_fit, in_unet_dtype, managed, remove, site_layers, unet_of
from .memory import keep_schedule
from .native_calls import KEY, NativeMotion, has_evolved, run_module

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from ..types import PluckerRays


class CameraControl(nn.Module):
    """CameraCtrl's two parts as one of the host's models."""

    def __init__(self, encoder: PoseEncoder, merges: CameraMerges) -> None:
        super().__init__()
        self.encoder = encoder
        self.merges = merges


def load_motion(path: str | os.PathLike[str], *, groups: int = NORM_GROUPS) -> Any:
    """A CVD_MOTION: the motion modules of a file under the host's memory management.

    Raises:
        ValueError: the file is something else or incomplete, or of AnimateDiff v1.
    """

    def load() -> nn.Module:
        modules = load_motion_modules(path, ops=comfy.ops.manual_cast, groups=groups)
        if modules.positions == V1_FRAMES and modules.middle is None:
            raise ValueError(
                f"{path} is of AnimateDiff v1, which was trained with normalisation over all frames at "
                "once in the whole UNet; load v3_sd15_mm.ckpt, which CVD is trained with"
            )
        return in_unet_dtype(modules)

    return managed(load(), load)


def load_camera(path: str | os.PathLike[str]) -> Any:
    """A CVD_CAMERA_CONTROL: the pose encoder and the merges of a CameraCtrl file.

    Raises:
        ValueError: the file is something else or incomplete.
    """

    def load() -> nn.Module:
        return in_unet_dtype(CameraControl(*load_camera_control(path, ops=comfy.ops.manual_cast)))

    return managed(load(), load)


def with_motion_lora(motion: Any, path: str | os.PathLike[str], strength: float) -> Any:
    """A CVD_MOTION with a motion LoRA as weight patches of the host.

    Raises:
        ValueError: the file is not a motion LoRA, or is for other motion modules.
    """
    changes = read_motion_lora(path, motion.model)
    names = {parameter.removesuffix(".weight"): parameter for parameter in changes}
    matrices: dict[str, Tensor] = {}
    for name, parameter in names.items():
        matrices[f"{name}.lora_up.weight"] = changes[parameter].up
        matrices[f"{name}.lora_down.weight"] = changes[parameter].down
    patched = motion.clone()
    patched.add_patches(comfy.lora.load_lora(matrices, names), strength)
    return patched


def has_native_motion(model: Any) -> bool:
    """Whether :func:`apply_motion` was used on a model."""
    return model.get_attachment(KEY) is not None


def apply_motion(
    model: Any,
    motion: Any,
    camera: Any | None,
    rays: PluckerRays,
    *,
    camera_strength: float = 1.0,
    windows: Windows | None = None,
    linear_betas: bool = True,
) -> Any:
    """A MODEL that makes one video per view of ``rays``, each along its cameras, with any sampler.

    A batch is V views x F frames, all frames of the first view first.

    Args:
        model: of Stable Diffusion's architecture.
        motion: from :func:`load_motion`.
        camera: from :func:`load_camera`; None leaves the cameras to chance.
        rays: cameras, which also say what F is.
        camera_strength: 1 as trained.
        windows: for clips longer than the position tables.
        linear_betas: give the model AnimateDiff's noise schedule; otherwise it keeps its own.

    Raises:
        ValueError: the parts do not fit each other, F is too long for a network, or the model has motion modules of
            AnimateDiff-Evolved.
    """
    if has_evolved(model):
        raise ValueError(
            "the model already has motion modules of AnimateDiff-Evolved; remove Use Evolved Sampling, or this node"
        )
    check_fit(model, motion.model, "motion modules")
    if camera is not None:
        check_fit(model, camera.model.merges, "CameraCtrl merges")
    model = model.clone()
    parts = [motion.clone()] if camera is None else [motion.clone(), camera.clone()]
    model.set_additional_models(KEY, parts)
    model.set_injections(KEY, [PatcherInjection(inject=_inject, eject=_eject)])
    native = NativeMotion(
        motion.model,
        None if camera is None else camera.model.encoder,
        None if camera is None else camera.model.merges,
        rays,
        camera_strength,
        windows,
    )
    native.check_frames(rays.cameras.frames)
    model.set_attachments(KEY, native)
    for kind, wrapper in (
        (WrappersMP.CALC_COND_BATCH, native.in_windows),
        (WrappersMP.APPLY_MODEL, native.name_windows),
        (WrappersMP.DIFFUSION_MODEL, native.all_views),
        (WrappersMP.PREPARE_SAMPLING, keep_schedule),
    ):
        model.remove_wrappers_with_key(kind, KEY)
        model.add_wrapper_with_key(kind, KEY, wrapper)
    model.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, KEY)
    model.add_callback_with_key(CallbacksMP.ON_CLEANUP, KEY, lambda _patcher: native.forget())
    patches = model.model_options["transformer_options"].setdefault("patches", {})
    handlers = patches.setdefault("forward_timestep_embed_patch", [])
    patches["forward_timestep_embed_patch"] = [h for h in handlers if h[1] is not run_module]
    model.set_model_forward_timestep_embed_patch((MotionModule, run_module))
    if linear_betas:
        model.add_object_patch("model_sampling", _with_linear_betas(model))
    return model


def _with_linear_betas(model: Any) -> Any:
    """The model's kind of prediction on AnimateDiff's noise schedule."""
    current = model.get_model_object("model_sampling")
    if not isinstance(current, comfy.model_sampling.ModelSamplingDiscrete):
        raise ValueError(
            f"the model's sampling is {type(current).__mro__[1].__name__}, which has no betas; load a Stable Diffusion "
            "1.5 checkpoint, or set beta_schedule to model"
        )
    sampling = type(current)(model.model.model_config)
    # Of a model distilled to a few steps (LCM) the host knows only every so manyth timestep.
    stride = getattr(sampling, "skip_steps", 1)
    sampling.set_sigmas(sigmas()[stride - 1 :: stride])
    return sampling


def _inject(patcher: Any) -> None:
    """Put the modules of ``patcher`` into its UNet; safe to call again, and over another model's modules."""
    unet = unet_of(patcher)
    remove(unet, MotionModule)
    modules = _modules(patcher)
    for site, layers in site_layers(unet, modules.sites):
        layers.insert(behind_attention(layers), modules.at(site))
    if modules.middle is not None:
        unet.middle_block.insert(behind_attention(unet.middle_block[:2]), modules.middle)


def _eject(patcher: Any) -> None:
    """Take the modules of ``patcher`` out of its UNet; those of another model sharing the UNet stay."""
    remove(unet_of(patcher), MotionModule, {id(module) for module in _modules(patcher).modules()})


def _modules(patcher: Any) -> MotionModules:
    return cast(MotionModules, patcher.get_additional_models_with_key(KEY)[0].model)
