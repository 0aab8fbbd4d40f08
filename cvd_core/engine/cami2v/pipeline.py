"""From a picture, a prompt and camera paths to videos on DynamiCrafter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cvd_core.cami2v.camera import SMALLEST_STEPS, relative_path
from cvd_core.cami2v.ddim import DDIM, NoiseSchedule
from cvd_core.cami2v.network import FRAMES, TRAINED_RATES, DynamiCrafterUNet
from cvd_core.cami2v.picture import clip_pixels
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.engine.branches import encode_branches
from cvd_core.engine.cami2v.denoise import DDIMSolver, predictions_of_views
from cvd_core.engine.cami2v.loading import PictureModel
from cvd_core.engine.decoding import decode_frames
from cvd_core.engine.placement import Placement
from cvd_core.engine.prompts import encode_prompts
from cvd_core.fields import FieldError
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.collaborate import Progress, sample_together
from cvd_core.sampling.draws import SeededDraws, seeded_generator
from cvd_core.sampling.settings import Settings, StartPicture
from cvd_core.video.stills import fit_picture, read_still


class PicturePipeline:
    """The networks of a run and the device they work on.

    Args:
        model: DynamiCrafter with or without camera.
        placement: where the networks compute.
    """

    def __init__(self, model: PictureModel, placement: Placement) -> None:
        self.model = model
        self.placement = placement
        networks = model.networks
        self.denoiser = nn.ModuleList([networks.unet, *([networks.camera] if networks.camera else [])]).eval()
        placement.settle(self.denoiser, networks.resampler, model.text_encoder, model.picture_encoder, model.vae)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError unless there are 16 frames."""
        require_frames(frames)

    @torch.no_grad()
    def generate(
        self, cameras: Cameras, settings: Settings, on_progress: Callable[[Progress], object] | None = None
    ) -> Tensor:
        """Make one video per camera path, all from one picture; nothing else connects them.

        Args:
            cameras: V paths of 16 frames; only their motion relative to the reference frame counts.
            settings: the run, with its picture.
            on_progress: called after every denoising pass.

        Returns:
            ``(V, 16, H, W, 3)`` uint8 RGB on the CPU.

        Raises:
            ValueError: another number of frames, no picture, or prompts that do not match the views.
        """
        start, team = require_picture(settings), self.placement.team
        unet, predicts = self.model.networks.unet, self.model.networks.predicts
        picture = fit_picture(read_still(start.image)[None], settings.width, settings.height)
        draws = SeededDraws(settings.seed)
        context, latent = self.encode(picture, settings, cameras.views)
        sampler = DDIM(NoiseSchedule.of(predicts), settings.steps, eta=start.eta)
        noise = _Noise(draws, settings.seed, start.shared_noise)
        size = (settings.height // LATENT_STRIDE, settings.width // LATENT_STRIDE)
        noisy = noise.first((cameras.views, DynamiCrafterUNet.OUTPUTS, FRAMES, *size))
        with self.placement.working(self.denoiser):
            predict = predictions_of_views(
                unet,
                self.encode_cameras(cameras, settings, noise.lines((cameras.views, FRAMES, FRAMES, 3))),
                latent,
                context,
                sampler,
                frame_rate=start.frame_rate or TRAINED_RATES[predicts],
                guidance=settings.guidance,
                camera_guidance=settings.camera_guidance,
                camera_guidance_schedule=settings.camera_guidance_schedule,
            )
            latents = sample_together(
                predict,
                noisy.to(self.placement.device),
                DDIMSolver(sampler, noise.next),
                draws,
                pairing=settings.pairing,
                recurrence=settings.recurrence,
                on_progress=on_progress,
                team=team,
                divisible=True,  # no view sees another
            )
        return team.spread(self.decode, latents)

    def decode(self, latents: Tensor) -> Tensor:
        """``(V, C, F, h, w)`` latents -> ``(V, F, 8h, 8w, 3)`` uint8 RGB on the CPU."""
        vae = self.model.vae
        scale = vae.config["scaling_factor"]
        with self.placement.working(vae):
            return decode_frames(lambda part: vae.decode((part / scale).to(vae.dtype)).sample, latents)

    def encode(self, picture: Tensor, settings: Settings, views: int) -> tuple[Tensor, Tensor]:
        """What the network is told of text and picture.

        Args:
            picture: ``(1, 3, H, W)`` in -1 ... 1, of the videos' size.
            settings: prompts, guidance and seed.
            views: V.

        Returns:
            tokens ``(V, B, 77 + 256, C)``, branches uncond (negative text, tokens of a gray picture) and cond, or cond
            alone; and the picture's latent ``(1, 4, 1, h, w)``, the mean of its posterior (the released code draws a
            sample, which no VAE of ComfyUI gives).
        """
        model, device = self.model, self.placement.device
        with self.placement.working(model.text_encoder):
            text = encode_branches(lambda texts: encode_prompts(model, texts), settings, views)
        shown = torch.cat([torch.zeros_like(picture), picture])[-text.shape[1] :]
        with self.placement.working(model.picture_encoder):
            pixels = clip_pixels(shown).to(device, model.picture_encoder.dtype)
            tokens = model.picture_encoder(pixel_values=pixels).last_hidden_state
        resampler = model.networks.resampler
        with self.placement.working(resampler):
            tokens = resampler(tokens.to(resampler.proj_in.weight))
        vae = model.vae
        with self.placement.working(vae):
            latent = vae.encode(picture.to(device, vae.dtype)).latent_dist.mode() * vae.config["scaling_factor"]
        context = torch.cat([text, tokens.expand(views, -1, -1, -1).to(text)], 2)
        return context.to(device), latent[:, :, None].float().to(device)

    def encode_cameras(self, cameras: Cameras, settings: Settings, lines: Tensor) -> list[CameraFeatures | None]:
        """What the network is told of each view's path; None without CamI2V, or with strength 0.

        Args:
            cameras: V paths.
            settings: size, reference frame, scale and strength.
            lines: ``(V, 16, 16, 3)`` standard normal numbers, see
                :meth:`cvd_core.cami2v.epipolar.EpipolarLines.of`.
        """
        networks = self.model.networks
        if networks.camera is None or settings.camera_strength == 0:
            return [None] * cameras.views
        path = network_path(cameras, settings)
        epipolar = networks.unet.layout.camera == "epipolar"
        return [
            networks.camera(
                path.select([view]),
                settings.width,
                settings.height,
                lines[view : view + 1] if epipolar else None,
                smallest_step=SMALLEST_STEPS[networks.predicts],
                attention=settings.attention,
                strength=settings.camera_strength,
            )
            for view in range(cameras.views)
        ]


def network_path(cameras: Cameras, settings: Settings) -> Cameras:
    """Every path from the camera of the reference frame, with square pixels at the size of the videos."""
    start = require_picture(settings)
    path = relative_path(cameras, start.reference_frame, start.path_scale)
    return path.crop_to(settings.width, settings.height)


def require_frames(frames: int) -> None:
    """Raise FieldError unless there are 16 frames, the number built into the networks."""
    if frames != FRAMES:
        raise FieldError(
            "frames", f"is {frames}; DynamiCrafter and CamI2V make exactly {FRAMES} - `frames` {FRAMES} resamples paths"
        )


def require_picture(settings: Settings) -> StartPicture:
    """The picture of a run.

    Raises:
        FieldError: there is none.
    """
    if settings.picture is None:
        raise FieldError("image", "is missing; give the picture that the videos start from")
    return settings.picture


class _Noise:
    """Random numbers of all views, at the start and in every pass: each view's own stream, or one for all.

    Args:
        draws: those of the start.
        seed: of the streams.
        shared: all views get what the first gets.
    """

    def __init__(self, draws: SeededDraws, seed: int, shared: bool) -> None:
        self._draws, self._seed, self._shared = draws, seed, shared
        self._streams: Sequence[torch.Generator] = ()

    def first(self, shape: tuple[int, ...]) -> Tensor:
        return self._for_all(self._draws.latents((self._own(shape[0]), *shape[1:])), shape)

    def lines(self, shape: tuple[int, ...]) -> Tensor:
        return self._for_all(self._draws.lines((self._own(shape[0]), *shape[1:])), shape)

    def next(self, shape: tuple[int, ...]) -> Tensor:
        count = self._own(shape[0])
        self._streams = self._streams or [seeded_generator(self._seed, "solver", view) for view in range(count)]
        return self._for_all(torch.stack([torch.randn(shape[1:], generator=g) for g in self._streams]), shape)

    def _own(self, views: int) -> int:
        return 1 if self._shared else views

    def _for_all(self, noise: Tensor, shape: tuple[int, ...]) -> Tensor:
        return noise.expand(shape).clone()
