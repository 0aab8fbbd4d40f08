"""CamI2V and DynamiCrafter: one picture becomes a video, along a camera path."""

from __future__ import annotations

from typing import Any, cast

import comfy.model_management
import node_helpers
import torch
from comfy_api.latest import io

from cvd_core.cami2v.ddim import TIMESTEPS, Spacing
from cvd_core.cami2v.guidance import RESCALE, Schedule
from cvd_core.cami2v.network import FRAMES
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_CHANNELS, LATENT_STRIDE

from .host.camera_guider import CameraGuidance, CameraGuider
from .host.ddim_sampler import ddim_sampler, ddim_sigmas
from .host.dynamicrafter import load_model, load_other_models
from .host.path_features import PathSettings, apply_camera_path
from .host.picture_encoding import encode_picture
from .inputs import check_choices, verdict
from .model_files import ModelFile, ModelFileNode, file_names
from .schema import node_schema
from .types import CamerasType

CATEGORY = "CVD/cami2v"
FOLDER = "checkpoints"
_NO_BASE = "none"
_SIDE = 64
"""Pixels: the latent's stride times the network's."""
_MAX_SEED = 0xFFFFFFFFFFFFFFFF


def _side(name: str) -> io.Int.Input:
    return io.Int.Input(
        name,
        default=256,
        min=_SIDE,
        max=4096,
        step=_SIDE,
        tooltip=f"{name.capitalize()} of the video in pixels, a multiple of {_SIDE}; trained at 256x256 or 512x320.",
    )


class LoadDynamiCrafter(ModelFileNode):
    """Read CamI2V, DynamiCrafter, or the one over the other."""

    FILE = ModelFile("checkpoint_name", FOLDER, "256_cami2v.pt")
    BASE = ModelFile("base_name", FOLDER, "model.ckpt")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_LoadDynamiCrafter",
            display_name="Load CamI2V / DynamiCrafter",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "image to video", "picture to video"],
            description="Loads a CamI2V or DynamiCrafter model from models/checkpoints, with text encoder, picture "
            "encoder and VAE where the file holds them. 256 and 512 models, with and without camera, are told apart.",
            inputs=[
                cls.FILE.combo(
                    "File in models/checkpoints: 256_cami2v.pt or 512_cami2v_100k.pt, or DynamiCrafter's model.ckpt."
                ),
                io.Combo.Input(
                    cls.BASE.input,
                    options=[_NO_BASE, *file_names(FOLDER)],
                    default=_NO_BASE,
                    tooltip="DynamiCrafter's file of the same size, where checkpoint_name holds the trained parts "
                    "alone; none for a whole file.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For Apply CamI2V Cameras, or any sampler."),
                io.Clip.Output(display_name="clip", tooltip="The text encoder, if the file holds it."),
                io.ClipVision.Output(display_name="clip vision", tooltip="The picture encoder, if the file holds it."),
                io.Vae.Output(display_name="vae", tooltip="The autoencoder, if the file holds it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, **inputs: Any) -> bool | str:
        """Refuse files that are gone; a linked name is not known yet."""
        answer = super().validate_inputs(**inputs)
        base = inputs.get(cls.BASE.input)
        return answer if answer is not True or base in (None, _NO_BASE) else verdict(cls.BASE.path, str(base))

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Load again when another file takes a name."""
        found = [cls.FILE.fingerprint(inputs[cls.FILE.input])]
        if inputs[cls.BASE.input] != _NO_BASE:
            found.append(cls.BASE.fingerprint(inputs[cls.BASE.input]))
        return " ".join(found)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        name = inputs[cls.BASE.input]
        base = [] if name == _NO_BASE else [cls.BASE.path(name)]
        path = cls.FILE.path(inputs[cls.FILE.input])
        return io.NodeOutput(load_model(path, *base), *load_other_models(*base, path))


class PictureConditioning(io.ComfyNode):
    """The picture of a video, beside its prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_PictureConditioning",
            display_name="Picture To Video Conditioning",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "image to video", "img2vid"],
            description="Gives DynamiCrafter and CamI2V the picture that becomes a video, and makes the empty latent "
            f"of its {FRAMES} frames. The picture is cropped around its centre to the video's shape. Several videos of "
            "one picture are made independently of each other: each follows its own camera path, and nothing in "
            "these models keeps what they imagine in step.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="What happens in the video; encoded with the loader's clip."),
                io.Conditioning.Input("negative", tooltip="What should not be seen; an empty prompt will do."),
                io.ClipVision.Input("clip_vision", tooltip="OpenCLIP ViT-H, from the loader or Load CLIP Vision."),
                io.Vae.Input("vae", tooltip="Stable Diffusion's VAE, from the loader or Load VAE."),
                io.Image.Input("picture", tooltip="The first frame; a batch gives every video its own."),
                _side("width"),
                _side("height"),
                io.Int.Input(
                    "videos",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Number of videos made in one batch: one per camera path, or several takes of one path.",
                ),
                io.Int.Input(
                    "frame_rate",
                    default=0,
                    min=0,
                    max=60,
                    tooltip="How much happens from frame to frame; 0 is the default of the model. 256 models: the "
                    "stride between frames, 1 to 10, higher is faster, default 3. 512 models: frames per second, 5 to "
                    "30, lower is faster, default 10. Playback speed is set where the video is saved.",
                ),
                io.Boolean.Input(
                    "shared_noise",
                    default=False,
                    tooltip="Start all videos of the batch from the same noise, which makes them resemble each other. "
                    "Off: each from its own.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="With the picture."),
                io.Conditioning.Output(
                    display_name="negative", tooltip="With an empty picture in place of it for the picture encoder."
                ),
                io.Latent.Output(
                    display_name="latent",
                    tooltip=f"videos x {FRAMES} empty latents, all frames of the first video first.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Any,
        negative: Any,
        clip_vision: Any,
        vae: Any,
        picture: torch.Tensor,
        width: int,
        height: int,
        videos: int,
        frame_rate: int,
        shared_noise: bool,
    ) -> io.NodeOutput:
        _check_size(width, height)
        if videos % len(picture):
            raise ValueError(
                f"{len(picture)} pictures for {videos} videos; give one picture, or one for each video - a batch of "
                "frames is not what this node takes"
            )
        shown, hidden = encode_picture(clip_vision, vae, picture, width, height, frame_rate)
        shape = (videos * FRAMES, LATENT_CHANNELS, height // LATENT_STRIDE, width // LATENT_STRIDE)
        latent: dict[str, Any] = {"samples": torch.zeros(shape, device=comfy.model_management.intermediate_device())}
        if shared_noise:
            latent["batch_index"] = list(range(FRAMES)) * videos  # by which the host draws noise
        return io.NodeOutput(
            node_helpers.conditioning_set_values(positive, shown),
            node_helpers.conditioning_set_values(negative, hidden),
            latent,
        )


def _check_size(width: int, height: int) -> None:
    for name, side in (("width", width), ("height", height)):
        if side < _SIDE or side % _SIDE:
            raise ValueError(f"{name} is {side} pixels; expected a multiple of {_SIDE}")


class ApplyCamI2V(io.ComfyNode):
    """Give a CamI2V model its camera path."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ApplyCamI2V",
            display_name="Apply CamI2V Cameras",
            category=CATEGORY,
            search_aliases=["CamI2V", "camera control", "camera motion"],
            description="Makes the videos of a CamI2V model follow camera paths, in any sampler. The picture is what "
            "the camera of the reference frame sees.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter, a file with the camera parts."),
                CamerasType.Input(
                    "cameras",
                    tooltip=f"Paths of {FRAMES} frames, one per video of the batch, or one for all. Cropped to the "
                    "shape of the video; only poses relative to the reference frame matter.",
                ),
                io.Int.Input(
                    "reference_frame",
                    default=0,
                    min=0,
                    max=FRAMES - 1,
                    tooltip=f"The frame that shows the picture: 0, the first, to {FRAMES - 1}, the last.",
                ),
                io.Float.Input(
                    "trace_scale",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    tooltip="Factor on how far the camera moves; turns stay as they are. The models learned paths of "
                    "about one unit.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Factor on what the camera adds. 1 is as trained, 0 is DynamiCrafter.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Fraction of the noise schedule at which the camera starts; 0 is its noisy beginning.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Fraction of the noise schedule at which the camera stops; 1 is its clean end.",
                ),
                io.Int.Input(
                    "line_seed",
                    default=0,
                    min=0,
                    max=_MAX_SEED,
                    tooltip="Two frames from one place, such as a frame and itself, have no epipolar lines; the "
                    "model was trained with random ones there. This is their seed.",
                ),
            ],
            outputs=[io.Model.Output(display_name="camera model", tooltip="For CamI2V Guider, or any sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        cameras: Cameras,
        reference_frame: int,
        trace_scale: float,
        strength: float,
        start_percent: float,
        end_percent: float,
        line_seed: int,
    ) -> io.NodeOutput:
        settings = PathSettings(cameras, reference_frame, trace_scale, strength, start_percent, end_percent, line_seed)
        return io.NodeOutput(apply_camera_path(model, settings))


class CamI2VGuider(io.ComfyNode):
    """The guider for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamI2VGuider",
            display_name="CamI2V Guider",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "camera guidance", "camera cfg"],
            description="Guides text and camera apart, as CamI2V does, for SamplerCustomAdvanced. Also for "
            "DynamiCrafter without cameras.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter or Apply CamI2V Cameras."),
                io.Conditioning.Input("positive", tooltip="From Picture To Video Conditioning."),
                io.Conditioning.Input("negative", tooltip="From Picture To Video Conditioning."),
                io.Float.Input(
                    "cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Guidance towards text and picture; 1 turns it off. Published: 7.5; released demo: 5.5.",
                ),
                io.Float.Input(
                    "camera_cfg",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Guidance towards the camera: above 1 follows it more strictly, and costs one more network "
                    "call per step. 1, as published, turns it off.",
                ),
                io.Combo.Input(
                    "camera_cfg_schedule",
                    options=["constant", "cosine"],
                    default="constant",
                    tooltip="constant: camera_cfg in all steps. cosine: falling to none at the clean end.",
                ),
                io.Float.Input(
                    "rescale",
                    default=RESCALE,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How far guided predictions take on the spread of unguided ones, against oversaturation.",
                ),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def validate_inputs(cls, camera_cfg_schedule: str | None = None) -> bool | str:
        """Refuse a schedule that is not on offer."""
        return verdict(check_choices, cls, camera_cfg_schedule=camera_cfg_schedule)

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        cfg: float,
        camera_cfg: float,
        camera_cfg_schedule: str,
        rescale: float,
    ) -> io.NodeOutput:
        check_choices(cls, camera_cfg_schedule=camera_cfg_schedule)
        guider = CameraGuider(model, CameraGuidance(cfg, camera_cfg, cast(Schedule, camera_cfg_schedule), rescale))
        guider.set_conds(positive, negative)
        return io.NodeOutput(guider)


class CamI2VSampler(io.ComfyNode):
    """Sampler and noise levels for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamI2VSampler",
            display_name="CamI2V Sampler",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "DDIM"],
            description="DynamiCrafter's own DDIM sampler with its noise levels, for SamplerCustomAdvanced. The 512 "
            "models need it: they start from pure noise and scale their predictions, which no other sampler does.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter; its noise schedule is read."),
                io.Int.Input(
                    "steps", default=25, min=1, max=TIMESTEPS, tooltip="Number of denoising steps; published: 25."
                ),
                io.Combo.Input(
                    "spacing",
                    options=["uniform_trailing", "uniform"],
                    default="uniform_trailing",
                    tooltip="uniform_trailing, as published, starts from pure noise. uniform starts a little later.",
                ),
                io.Float.Input(
                    "eta",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Fresh noise in every step: 1 as published, 0 none.",
                ),
            ],
            outputs=[
                io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustomAdvanced."),
                io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels for SamplerCustomAdvanced."),
            ],
        )

    @classmethod
    def validate_inputs(cls, spacing: str | None = None) -> bool | str:
        """Refuse a spacing that is not on offer."""
        return verdict(check_choices, cls, spacing=spacing)

    @classmethod
    def execute(cls, model: Any, steps: int, spacing: str, eta: float) -> io.NodeOutput:
        check_choices(cls, spacing=spacing)
        return io.NodeOutput(ddim_sampler(eta), ddim_sigmas(model, steps, cast(Spacing, spacing)))


CAMI2V_NODES: list[type[io.ComfyNode]] = [
    LoadDynamiCrafter,
    PictureConditioning,
    ApplyCamI2V,
    CamI2VGuider,
    CamI2VSampler,
]
