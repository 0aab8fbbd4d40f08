"""DynamiCrafter and CamI2V: their files, and the picture that becomes a video."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import node_helpers
import torch
from comfy_api.latest import io

from cvd_core.cami2v.network import FRAMES, SIDE
from cvd_core.networks.sd15 import LATENT_CHANNELS, LATENT_STRIDE

from .host.dynamicrafter_files import load_model, load_other_models
from .host.picture_encoding import encode_picture
from .inputs import check_sides, verdict
from .model_files import ModelFile, ModelFileNode, file_names
from .schema import node_schema

CATEGORY = "CVD/cami2v"
FOLDER = "checkpoints"
_NO_BASE = "none"


def _side(name: str) -> io.Int.Input:
    return io.Int.Input(
        name,
        default=256,
        min=SIDE,
        max=4096,
        step=SIDE,
        tooltip=f"{name.capitalize()} of the video in pixels, a multiple of {SIDE}; trained at 256x256 or 512x320.",
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
        check_sides(SIDE, width=width, height=height)
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


PICTURE_NODES: list[type[io.ComfyNode]] = [LoadDynamiCrafter, PictureConditioning]
