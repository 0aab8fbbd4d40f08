"""New views of a given video with SynCamMaster: an extension of the paper that the released weights did not learn."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.syncam.cameras import SIDE, latent_frames
from cvd_core.syncam.novel_view import TEXT_GUIDANCE, UNGUIDED, UNTRAINED, VIDEO_GUIDANCE

from .host.novel_view import NovelViewGuider
from .host.wan import CHANNELS, check_vae
from .inputs import guidance_input
from .schema import node_schema
from .syncam import CATEGORY


class EncodeReferenceView(io.ComfyNode):
    """A given video as the first of several views."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_EncodeReferenceView",
            display_name="Encode Reference View",
            category=CATEGORY,
            search_aliases=["SynCamMaster", "video to multi-view", "re-render", "novel view"],
            description="Encodes a video as the first of several views; the others are empty. For Novel View Guider.",
            is_experimental=True,
            inputs=[
                io.Vae.Input("vae", tooltip="Wan 2.1's VAE."),
                io.Image.Input(
                    "images",
                    tooltip=f"Frames of the given video: 4n + 1, with sides of a multiple of {SIDE} pixels.",
                ),
                io.Int.Input(
                    "views",
                    default=2,
                    min=2,
                    max=64,
                    tooltip="Number of videos with the given one, one per camera; the first camera is the given "
                    "video's own.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent", tooltip="The given video, and an empty one for every other view."
                )
            ],
        )

    @classmethod
    def execute(cls, vae: Any, images: torch.Tensor, views: int) -> io.NodeOutput:
        frames = latent_frames(len(images))
        for name, side in (("high", images.shape[1]), ("wide", images.shape[2])):
            if side % SIDE:
                raise ValueError(
                    f"the images are {side} pixels {name}; expected a multiple of {SIDE} - scale or crop them before, "
                    "for example with Upscale Image to 832x480"
                )
        check_vae(vae)
        encoded = vae.encode(images[..., :3])
        expected = (1, CHANNELS, frames, images.shape[1] // LATENT_STRIDE, images.shape[2] // LATENT_STRIDE)
        if encoded.shape != expected:
            raise ValueError(
                f"the VAE makes latents of shape {tuple(encoded.shape)} of the images; expected {expected} - load Wan "
                "2.1's VAE"
            )
        empty = torch.zeros_like(encoded).expand(views - 1, *expected[1:])
        return io.NodeOutput({"samples": torch.cat([encoded, empty])})


class NovelViewGuiderNode(io.ComfyNode):
    """The guider for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_NovelViewGuider",
            display_name="Novel View Guider",
            category=CATEGORY,
            search_aliases=["SynCamMaster", "video to multi-view", "re-render"],
            description="Makes new views of a given video with SynCamMaster, as a guider for SamplerCustomAdvanced. "
            "The released modules were not trained to take a given video: experimental.",
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="From Apply SynCamMaster; its first camera is the given video's own."),
                io.Conditioning.Input("positive", tooltip="What the given video shows."),
                io.Conditioning.Input("negative", tooltip="What the videos should not show."),
                guidance_input(
                    "cfg_video",
                    VIDEO_GUIDANCE,
                    "Guidance towards the given video. In the paper 1.8.",
                ),
                guidance_input(
                    "cfg_text",
                    TEXT_GUIDANCE,
                    "Guidance towards the prompt. In the paper 7.5.",
                ),
            ],
            outputs=[
                io.Guider.Output(
                    display_name="guider",
                    tooltip="For SamplerCustomAdvanced, with the latent of Encode Reference View.",
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, cfg_video: float, cfg_text: float) -> io.NodeOutput:
        guider = NovelViewGuider(model, cfg_video, cfg_text)
        guider.set_conds(positive, negative)
        return io.NodeOutput(guider, ui={"text": [UNTRAINED, *([] if guider.always_guided else [UNGUIDED])]})


NOVEL_VIEW_NODES: list[type[io.ComfyNode]] = [EncodeReferenceView, NovelViewGuiderNode]
