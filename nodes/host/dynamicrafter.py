"""DynamiCrafter and CamI2V as one of the host's models: a latent batch of frames, 16 of every video in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models_base
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from einops import rearrange
from torch import Tensor, nn

from cvd_core.cami2v.checkpoint import PictureToVideo
from cvd_core.cami2v.network import FRAMES, TEXT_TOKENS, TRAINED_RATES
from cvd_core.networks.sd15 import LATENT_STRIDE

from .checks import check_cache
from .memory import advising

if TYPE_CHECKING:
    from cvd_core.cami2v.transformers import CameraFeatures

PICTURE, RATE, LATENT = "cvd_picture_tokens", "cvd_frame_rate", "concat_latent_image"
"""Entries of a CONDITIONING: CLIP's tokens ``(P, 257, 1280)`` of P pictures, what the model is told of speed, and the
pictures' latents ``(P, 4, h, w)``, which the host's own nodes call so too."""
CAMERA = "cvd camera features"
"""Option of a network call: :class:`CameraFeatures`."""
WITHOUT_CAMERA = "without_camera"
"""Entry of a prepared conditioning, and argument of its network calls: that they are to see no camera."""
_SMALLER = "make width and height of Picture To Video Conditioning smaller, or its videos fewer"


class VideoNetwork(nn.Module):
    """The networks of a file, called as the host calls a UNet: on rows that are frames.

    Args:
        parts: of the file.
        dtype: of the parameters; the host asks for it.
    """

    def __init__(self, parts: PictureToVideo, dtype: torch.dtype) -> None:
        super().__init__()
        self.unet, self.resampler, self.camera = parts.unet, parts.resampler, parts.camera
        self.predicts, self.label = parts.predicts, parts.label
        self.dtype = dtype

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        *,
        picture: Tensor,
        frame_rate: Tensor,
        without_camera: bool = False,
        **_: Any,
    ) -> Tensor:
        """``(N * 16, 8, h, w)`` to ``(N * 16, 4, h, w)``, frames innermost.

        Args:
            x: noisy latents and the picture's.
            timesteps, context, frame_rate: one per row, the same for all frames of a video.
            picture: ``(N * 16, 16, C)``, the picture's tokens for every frame.
            control: refused.
            transformer_options: the host's; :data:`CAMERA` is what the network is told of its cameras.
            without_camera: for the wrapper that tells it.
        """
        if control is not None:
            raise ValueError("DynamiCrafter takes no ControlNet; remove it from the conditioning")
        options = transformer_options or {}
        check_cache(options)
        executor = WrapperExecutor.new_class_executor(
            self._forward, self, get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        )
        with advising(_SMALLER):
            out: Tensor = executor.execute(
                x,
                timesteps,
                context,
                control,
                options,
                picture=picture,
                frame_rate=frame_rate,
                without_camera=without_camera,
            )
        return out

    def _forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        _control: None,
        options: dict[str, Any],
        *,
        picture: Tensor,
        frame_rate: Tensor,
        without_camera: bool,
    ) -> Tensor:
        camera: CameraFeatures | None = options.get(CAMERA)
        tokens = rearrange(picture, "(n f) t c -> n (f t) c", f=FRAMES)
        found = self.unet(
            rearrange(x, "(n f) c h w -> n c f h w", f=FRAMES),
            timesteps[::FRAMES],
            torch.cat([context[::FRAMES], tokens], 1),
            frame_rate[::FRAMES],
            camera,
        )
        return rearrange(found, "n c f h w -> (n f) c h w")


class ModelConfig(comfy.supported_models_base.BASE):  # type: ignore[misc]
    """What the host asks of a kind of model."""

    unet_extra_config: dict[str, Any] = {}  # noqa: RUF012 - the host's
    latent_format = comfy.latent_formats.SD15


class PictureToVideoModel(comfy.model_base.BaseModel):  # type: ignore[misc]
    """The model behind a MODEL: noise schedule, and what a CONDITIONING must hold.

    Args:
        network: of a file.
        cast: the dtype to compute in, None for that of the parameters.
    """

    def __init__(self, network: VideoNetwork, cast: torch.dtype | None) -> None:
        velocity = network.predicts == "velocity"
        config = ModelConfig({"disable_unet_model_creation": True})
        config.sampling_settings = {"zsnr": velocity}
        config.set_inference_dtype(network.dtype, cast)
        kind = comfy.model_base.ModelType
        super().__init__(config, kind.V_PREDICTION if velocity else kind.EPS)
        self.diffusion_model = network

    def extra_conds(self, **given: Any) -> dict[str, Any]:
        """One row per frame of everything that a network call is told.

        Raises:
            ValueError: no picture, or text, pictures and latents that do not fit each other.
        """
        network, noise, device = self.diffusion_model, given["noise"], given["device"]
        videos = _videos(noise)
        if PICTURE not in given or LATENT not in given:
            raise ValueError(
                f"the conditioning holds no picture, from which {network.label} makes its video; put Picture To Video "
                "Conditioning between the prompts and the sampler"
            )
        if "area" in given:
            raise ValueError(
                "the conditioning is for a part of the picture; DynamiCrafter sees whole pictures - remove "
                "Conditioning (Set Area)"
            )
        latent = self.process_latent_in(given[LATENT])
        if latent.shape[1:] != noise.shape[1:]:
            raise ValueError(
                f"the picture is encoded as {_pixels(latent)}, the latent is for {_pixels(noise)}; use the latent of "
                "Picture To Video Conditioning"
            )
        text = _text(given.get("cross_attn"), network, videos)
        seen = _for_videos(given[PICTURE], "pictures", videos)
        if seen.shape[-1] != network.resampler.proj_in.in_features:
            raise ValueError(
                f"the picture encoder's tokens have width {seen.shape[-1]}; {network.label} takes "
                f"{network.resampler.proj_in.in_features}, OpenCLIP ViT-H: connect the loader's clip vision, or load "
                "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
            )
        tokens = network.resampler(seen.to(device, self.manual_cast_dtype or self.get_dtype()))
        rate = given.get(RATE) or TRAINED_RATES[network.predicts]
        return {
            "c_concat": comfy.conds.CONDNoiseShape(
                _for_videos(latent, "pictures", videos).repeat_interleave(FRAMES, 0).to(device)
            ),
            "c_crossattn": comfy.conds.CONDCrossAttn(text.repeat_interleave(FRAMES, 0)),
            "picture": comfy.conds.CONDRegular(rearrange(tokens, "p (f t) c -> (p f) t c", f=FRAMES)),
            "frame_rate": comfy.conds.CONDRegular(torch.tensor([float(rate)])),
        }

    def network_output(self, denoised: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """Noise or velocity from the denoised latents that the host makes of it, which are affine in it."""
        nothing = self.model_sampling.calculate_denoised(sigma, torch.zeros_like(x), x)
        factor = self.model_sampling.calculate_denoised(sigma, torch.ones_like(x), torch.zeros_like(x))
        said: Tensor = (denoised - nothing) / factor
        return said


def _videos(noise: Tensor) -> int:
    if noise.ndim != 4 or len(noise) % FRAMES:
        raise ValueError(
            f"the latent has shape {tuple(noise.shape)}; expected (videos x {FRAMES}, 4, height / 8, width / 8), for "
            f"DynamiCrafter makes exactly {FRAMES} frames - use the latent of Picture To Video Conditioning"
        )
    return len(noise) // FRAMES


def _text(text: Tensor | None, network: VideoNetwork, videos: int) -> Tensor:
    layout = network.unet.layout
    found = None if text is None else text.shape[-1]
    if text is None or found != layout.context:
        raise ValueError(
            f"the prompt's width is {found}; {network.label} takes {layout.context}, the text encoder of Stable "
            "Diffusion 2 (OpenCLIP ViT-H): connect the loader's clip, or load that one"
        )
    if text.shape[1] != TEXT_TOKENS:
        raise ValueError(
            f"the prompt takes {text.shape[1]} tokens; {network.label} reads {TEXT_TOKENS}, about 50 words - shorten "
            "it, and remove Conditioning (Concat)"
        )
    return _for_videos(text, "prompts", videos)


def _for_videos(rows: Tensor, what: str, videos: int) -> Tensor:
    if videos % len(rows):
        raise ValueError(
            f"the conditioning holds {len(rows)} {what} for {videos} videos; give one for all, or one for each"
        )
    return rows


def _pixels(latent: Tensor) -> str:
    return f"{latent.shape[-1] * LATENT_STRIDE}x{latent.shape[-2] * LATENT_STRIDE} with {latent.shape[1]} channels"


def as_host_model(parts: PictureToVideo, dtype: torch.dtype, cast: torch.dtype | None = None) -> PictureToVideoModel:
    """The networks of a file as what the host's samplers call."""
    made: PictureToVideoModel = PictureToVideoModel(VideoNetwork(parts, dtype), cast).eval().requires_grad_(False)
    return made


def network_of(model: Any) -> VideoNetwork:
    """The network of a MODEL.

    Raises:
        ValueError: it is of another kind.
    """
    network = model.model.diffusion_model
    if not isinstance(network, VideoNetwork):
        raise ValueError(
            f"the model is a {type(network).__name__}; connect one from Load CamI2V / DynamiCrafter (CVD and "
            "SynCamMaster have nodes of their own)"
        )
    return network
