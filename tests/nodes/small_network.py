"""The golden network in the host's own classes: Stable Diffusion's topology at a tenth of the width.

ComfyUI and AnimateDiff-Evolved derive or fix their widths (320 ... 1280), so the networks are put together here from
their own parts: the UNet through ``supported_models.SD15``, the motion model around the width in its constructor.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_patcher
import comfy.ops
import comfy.samplers
import comfy.supported_models
import torch
from torch import Tensor, nn

from cvd_core.camera_control.checkpoint import merge_key
from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.geometry.rigs import make_rig
from cvd_core.motion.module import MotionModules
from cvd_core.sampling.windows import Windows
from cvd_core.sync.module import SyncModules
from tests import formula
from tests.nodes.host_process import Host
from tests.original_layout import original_layout

WIDTHS = (32, 64, 64, 64)
TEXT_WIDTH = 64
CPU = torch.device("cpu")


@cache
def _weights(part: str) -> dict[str, Tensor]:
    return formula.tensors(formula.key_list("reduced")[part])


def base_model(stored: torch.dtype = torch.float32) -> Any:
    """A MODEL: the host's UNet with formula weights, as a loader would return it; it computes in float32."""
    config = comfy.supported_models.SD15(
        {
            "use_checkpoint": False,
            "image_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "use_spatial_transformer": True,
            "legacy": False,
            "adm_in_channels": None,
            "dtype": stored,
            "model_channels": WIDTHS[0],
            "channel_mult": [width // WIDTHS[0] for width in WIDTHS],
            "num_res_blocks": [2, 2, 2, 2],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_middle": 1,
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "use_linear_in_transformer": False,
            "context_dim": TEXT_WIDTH,
            "use_temporal_attention": False,
            "use_temporal_resblock": False,
        }
    )
    config.set_inference_dtype(stored, None if stored == torch.float32 else torch.float32)
    model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType.EPS)
    prefix = "model.diffusion_model."
    state = original_layout(_weights("base"), {}, {})
    model.diffusion_model.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    model.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def _motion_weights(positions: int, middle: bool) -> dict[str, Tensor]:
    """Of a motion module; one in the middle is a copy of the last one on the way down."""
    state = {k: v[:, :positions] if k.endswith(".pe") else v for k, v in _weights("mm").items()}
    if middle:
        last = "down_blocks.3.motion_modules.1."
        state |= {"mid_block.motion_modules.0." + k.removeprefix(last): v for k, v in state.items() if last in k}
    return state


def motion_model(host: Host, *, camera: bool = True, positions: int = 32, middle: bool = False) -> Any:
    """A MOTION_MODEL_ADE with formula weights, with CameraCtrl unless told otherwise."""
    ade = host.animatediff("motion_module_ad")
    info = ade.AnimateDiffInfo("SD1.5", ade.AnimateDiffFormat.ANIMATEDIFF, ade.AnimateDiffVersion.V3, "small")
    model = ade.AnimateDiffModel.__new__(ade.AnimateDiffModel)
    nn.Module.__init__(model)
    plain: dict[str, Any] = {
        "mm_info": info,
        "encoding_max_len": positions,
        "has_position_encoding": True,
        "attn_len": 2,
        "attn_type": "Temporal_Self",
        "attn_block_types": ("Temporal_Self", "Temporal_Self"),
        "ops": comfy.ops.disable_weight_init,
        "layer_channels": WIDTHS,
        "mid_block": None,
        "AD_video_length": 24,
        "effect_model": 1.0,
        "effect_per_block_list": None,
        "img_encoder": None,
        "camera_encoder": None,
        "conv_in": None,
        "orig_conv_in": None,
        "fps_embedding": None,
        "motion_embedding": None,
        "get_unet_func": ade.get_unet_default,
    }
    for name, value in plain.items():
        setattr(model, name, value)
    shared = {
        "temporal_pe": True,
        "temporal_pe_max_len": positions,
        "attention_block_types": model.attn_block_types,
        "ops": model.ops,
    }
    for name, kind, widths in (("down_blocks", "down", WIDTHS), ("up_blocks", "up", WIDTHS[::-1])):
        blocks = [ade.MotionModule(w, block_type=kind, block_idx=i, **shared) for i, w in enumerate(widths)]
        setattr(model, name, nn.ModuleList(blocks))
    if middle:
        model.mid_block = ade.MotionModule(WIDTHS[-1], block_type="mid", **shared)
    model.load_state_dict(_motion_weights(positions, middle))
    if camera:
        _add_camera_control(host, model)
    model.eval().requires_grad_(False)
    create = host.animatediff("model_injection").create_MotionModelPatcher
    return create(model=model, load_device=CPU, offload_device=CPU)


def _add_camera_control(host: Host, model: Any) -> None:
    encoder = host.animatediff("adapter_cameractrl").CameraPoseEncoder(channels=WIDTHS, nums_rb=2, ops=model.ops)
    state = _weights("pose_encoder") | {
        k: formula.sinusoids(*v.shape[1:]) for k, v in encoder.state_dict().items() if k.endswith(".pe")
    }
    encoder.load_state_dict(state)
    model.set_camera_encoder(encoder)
    merges = _weights("attention_processor")
    for key in merges:
        if key.endswith("weight"):
            attention = model.get_submodule(key.split(".processor.")[0])
            attention.init_qkv_merge(ops=model.ops)
            base = key.removesuffix("weight")
            attention.qkv_merge.load_state_dict({n: merges[base + n] for n in ("weight", "bias")})


def native_motion(host: Host, *, positions: int = 32, middle: bool = False) -> Any:
    """A CVD_MOTION with formula weights."""
    modules = MotionModules(WIDTHS, positions, comfy.ops.manual_cast, middle=middle)
    modules.load_state_dict(_motion_weights(positions, middle))
    return host.pack("nodes.host.blocks").managed(modules.eval().requires_grad_(False))


def native_camera(host: Host) -> Any:
    """A CVD_CAMERA_CONTROL with formula weights."""
    encoder, merges = PoseEncoder(WIDTHS, ops=comfy.ops.manual_cast), CameraMerges(WIDTHS, comfy.ops.manual_cast)
    encoder.load_state_dict(_weights("pose_encoder"))
    merges.load_state_dict({merge_key(key): value for key, value in _weights("attention_processor").items()})
    control = host.pack("nodes.host.native").CameraControl(encoder, merges)
    return host.pack("nodes.host.blocks").managed(control.eval().requires_grad_(False))


def sync_modules(identity: bool = False) -> SyncModules:
    """The sync modules with formula weights; ``identity`` ones add nothing."""
    modules = SyncModules(WIDTHS, comfy.ops.manual_cast)
    modules.load_state_dict(_weights("epi"))
    if identity:
        modules.reset_parameters()
    return modules.eval().requires_grad_(False)


def control_net(hints: Tensor, strength: float = 0.5) -> Any:
    """A ControlNet of the host with formula weights, showing ``hints`` ``(N, 3, H, W)``."""
    network = comfy.cldm.cldm.ControlNet(
        image_size=32,
        in_channels=4,
        model_channels=WIDTHS[0],
        hint_channels=3,
        num_res_blocks=[2, 2, 2, 2],
        channel_mult=[width // WIDTHS[0] for width in WIDTHS],
        num_heads=8,
        use_spatial_transformer=True,
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
        transformer_depth_middle=1,
        context_dim=TEXT_WIDTH,
        legacy=False,
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    network.load_state_dict({k: formula.weight(f"control.{k}", v.shape) for k, v in network.state_dict().items()})
    control = comfy.controlnet.ControlNet(network.eval().requires_grad_(False), load_device=CPU)
    return control.set_cond_hint(hints, strength)


def rig(views: int, frames: int) -> Cameras:
    """Cameras on a circle, all starting from one pose."""
    return make_rig("circle", views, frames)


def rays(host: Host, cameras: Cameras, size: int | tuple[int, int]) -> Any:
    """What CVD_PluckerEmbed returns for raw cameras."""
    width, height = (size, size) if isinstance(size, int) else size
    prepared = prepare_cameras(cameras, width, height)
    return host.pack("nodes.types").PluckerRays(prepared, width, height, plucker_embedding(prepared, width, height))


def epipolar(host: Host, cameras: Cameras, size: int | tuple[int, int]) -> Any:
    """What CVD_EpipolarMask returns for raw cameras."""
    width, height = (size, size) if isinstance(size, int) else size
    return host.pack("nodes.types").EpipolarSpec(prepare_cameras(cameras, width, height), width, height, "soft", 3.0)


def pose_rows(cameras: Cameras, view: int, size: int | tuple[int, int]) -> list[list[float]]:
    """CAMERACTRL_POSES of one view; the image size in columns 5 and 6 keeps the intrinsics as they are."""
    width, height = (size, size) if isinstance(size, int) else size
    prepared = prepare_cameras(cameras, width, height)
    return [
        [0.0, *k.tolist(), float(width), float(height), *m[:3].flatten().tolist()]
        for k, m in zip(prepared.intrinsics[view], prepared.w2c[view], strict=True)
    ]


def evolved(
    host: Host, model: Any, motion: Any, poses: list[list[float]] | None, context: tuple[int, int] | None = None
) -> Any:
    """The usual graph: Apply AnimateDiff+CameraCtrl Model, (context options,) Use Evolved Sampling."""
    if poses is None:
        (motion_models,) = host.call("ADE_ApplyAnimateDiffModel", motion_model=motion)
    else:
        (motion_models,) = host.call(
            "ADE_ApplyAnimateDiffModelWithCameraCtrl", motion_model=motion, cameractrl_poses=poses
        )
    options = None
    if context is not None:
        (options,) = host.call(
            "ADE_StandardStaticContextOptions", context_length=context[0], context_overlap=context[1]
        )
    (model,) = host.call(
        "ADE_UseEvolvedSampling",
        model=model,
        beta_schedule="autoselect",
        m_models=motion_models,
        context_options=options,
    )
    return model


def native(
    host: Host, model: Any, motion: Any, camera: Any, rays: Any, context: tuple[int, int] | None = None, **options: Any
) -> Any:
    """The same without another pack: Apply Motion + Camera."""
    windows = None if context is None else Windows(*context)
    return host.pack("nodes.host.native").apply_motion(model, motion, camera, rays, windows=windows, **options)


def prompt(name: str, batch: int = 1) -> Any:
    """A CONDITIONING of formula text."""
    return [[formula.noise(f"prompt/{name}", (batch, 77, TEXT_WIDTH)), {}]]


def latent(views: int, frames: int, size: int | tuple[int, int], name: str = "") -> dict[str, Tensor]:
    """A LATENT, empty or encoded from imagined pictures."""
    width, height = (size, size) if isinstance(size, int) else size
    shape = (views * frames, 4, height // 8, width // 8)
    return {"samples": formula.noise(f"latent/{name}", shape) if name else torch.zeros(shape)}
