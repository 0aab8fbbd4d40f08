"""From cameras around a scene and a prompt to synchronised videos on Wan 2.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from cvd_core.engine.branches import encode_branches
from cvd_core.engine.decoding import to_bytes
from cvd_core.engine.placement import Placement
from cvd_core.engine.wan.denoise import velocity_of_views
from cvd_core.engine.wan.given import GivenLatent, read_given
from cvd_core.engine.wan.latents import decode_latents, encode_videos
from cvd_core.engine.wan.loading import WanModel
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.engine.wan.texts import embed, tokenize
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.collaborate import Progress, sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.flow import FlowEuler
from cvd_core.sampling.settings import Settings
from cvd_core.syncam.cameras import camera_embedding, latent_frames
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.novel_view import with_reference


class SynCamPipeline:
    """The networks of a run and the device they work on.

    Args:
        model: Wan.
        modules: SynCamMaster's; None: every view is a video of its own.
        placement: where the networks compute.
    """

    def __init__(self, model: WanModel, modules: SynCamModules | None, placement: Placement) -> None:
        self.model = model
        self.network = SynCamTransformer(model.transformer, modules).eval()
        self.placement = placement
        placement.settle(self.network, model.text_encoder, model.vae)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError unless there are 4n + 1 frames."""
        latent_frames(frames)

    @torch.no_grad()
    def generate(
        self, cameras: Cameras, settings: Settings, on_progress: Callable[[Progress], object] | None = None
    ) -> Tensor:
        """Make one video per camera.

        Args:
            cameras: V views of 4n + 1 frames in metres; only their poses relative to the first view count.
            settings: the run.
            on_progress: called after every denoising pass.

        Returns:
            ``(V, F, H, W, 3)`` uint8 RGB on the CPU.

        Raises:
            ValueError: another number of frames, or prompts that do not match the views.
        """
        frames = latent_frames(cameras.frames)
        with self.placement.working(self.model.text_encoder):
            text = encode_branches(self.encode, settings, cameras.views, unconditional=True if settings.given else None)
        given = self.encode_given(settings, cameras.frames)
        solver, draws = FlowEuler(settings.steps), SeededDraws(settings.seed)
        channels = self.model.transformer.config.in_channels
        size = (settings.height // LATENT_STRIDE, settings.width // LATENT_STRIDE)
        device, dtype = self.placement.device, self.placement.dtype
        noise = draws.latents((cameras.views, channels, frames, *size)).to(device)
        predict = velocity_of_views(
            self.network,
            partial(camera_embedding, cameras),
            (text if given is None else text[:, [0, 0, 1]]).to(device, dtype),
            solver,
            guidance=settings.guidance,
            given=given,
            strength=lambda step: settings.sync_strength_at(solver.progress(step)),
        )
        with self.placement.working(self.network):
            latents = sample_together(
                lambda step, x, call: predict(step, x.to(dtype), call).float(),
                noise,
                solver,
                draws,
                pairing=settings.pairing,
                recurrence=settings.recurrence,
                on_progress=on_progress,
                team=self.placement.team,
            )
        if given is not None:  # free of what the steps rounded
            latents = with_reference(latents, given.clean, range(cameras.views))
        return self.placement.team.spread(self.decode, latents)

    def encode_given(self, settings: Settings, frames: int) -> GivenLatent | None:
        """The video that is the first view, if there is one.

        Raises:
            ValueError: it is unreadable or too short.
        """
        if settings.given is None:
            return None
        video = read_given(settings, settings.given.reference, frames)
        with self.placement.working(self.model.vae):
            clean = encode_videos(self.model.vae, video.to(self.placement.device))
        return GivenLatent(clean, settings.given.video_guidance, settings.guidance)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as Wan does: ``(N, 512, C)``, zeros behind each text's end.

        Raises:
            ValueError: a prompt has more tokens than that.
        """
        return embed(self.model.text_encoder, tokenize(self.model.tokenizer, prompts))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """``(V, C, f, h, w)`` latents -> ``(V, F, 8h, 8w, 3)`` uint8 RGB on the CPU, one view at a time."""
        with self.placement.working(self.model.vae):
            views = [decode_latents(self.model.vae, view) for view in latents.split(1)]
        return torch.cat([rearrange(to_bytes(view), "v c f h w -> v f h w c") for view in views])
