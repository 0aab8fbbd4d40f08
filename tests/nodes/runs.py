"""Sampling runs on the small network, collaborative and plain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from cvd_core.sampling.pairs import Pairing
from cvd_core.sync.context import SyncBranches
from tests.nodes import small_network as small
from tests.nodes.host_process import Host

SamplerOf = Callable[[slice], Any]
"""A SAMPLER for some rows of the batch; all of them but the stochastic ones are the same for every row."""


@dataclass
class Scene:
    """What the runs of one comparison share.

    Attributes:
        size: of the pictures: one side, or width and height; from 128 pixels the small network is well-conditioned.
        context: length and overlap of the context windows.
        native: motion modules and cameras of this pack instead of AnimateDiff-Evolved's.
        sync_first: Apply Sync Module before Use Evolved Sampling instead of after.
    """

    host: Host
    views: int = 2
    frames: int = 2
    size: int | tuple[int, int] = 128
    steps: int = 2
    cfg: float = 5.0
    sampler: str | SamplerOf = "euler"
    scheduler: str = "normal"
    context: tuple[int, int] | None = None
    sync_first: bool = False
    seed: int = 1
    native: bool = False

    def __post_init__(self) -> None:
        self.cameras = small.rig(self.views, self.frames)
        self.base = small.base_model()
        self.rays = small.rays(self.host, self.cameras, self.size)
        self.latent = small.latent(self.views, self.frames, self.size)["samples"]
        self.noise = comfy.sample.prepare_noise(self.latent, self.seed)
        self.positive, self.negative = small.prompt("castle"), small.prompt("blurry")

    @cached_property
    def motion(self) -> Any:
        return small.motion_model(self.host)

    @cached_property
    def own_motion(self) -> tuple[Any, Any]:
        """CVD_MOTION and CVD_CAMERA_CONTROL."""
        return small.native_motion(self.host), small.native_camera(self.host)

    def with_motion(self, model: Any = None) -> Any:
        """The base model with motion and cameras, for a collaborative run."""
        if self.native:
            return small.native(self.host, model or self.base, *self.own_motion, self.rays, self.context)
        return self.evolved(model=model)

    def evolved(self, view: int = 0, model: Any = None) -> Any:
        """The base model with AnimateDiff and one view's cameras."""
        poses = small.pose_rows(self.cameras, view, self.size)
        return small.evolved(self.host, model or self.base, self.motion, poses, self.context)

    def synced(
        self,
        *,
        identity: bool = False,
        strength: float = 1.0,
        start: float = 0.0,
        end: float = 1.0,
        branches: SyncBranches = "both",
        model: Any = None,
    ) -> Any:
        """The model of a collaborative run."""
        injection = self.host.pack("nodes.host.injection")
        epipolar = small.epipolar(self.host, self.cameras, self.size)
        settings = injection.SyncSettings(epipolar, strength, start, end, branches=branches)
        sync = injection.managed(small.sync_modules(identity))
        if model is not None:
            return injection.apply_sync(model, sync, settings)
        if self.sync_first:
            return self.with_motion(injection.apply_sync(self.base, sync, settings))
        return injection.apply_sync(self.with_motion(), sync, settings)

    def guider(self, model: Any, **pairing: Any) -> Any:
        guider = self.host.pack("nodes.host.guider").CollaborativeGuider(model, self.rays, Pairing(**pairing))
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(self.cfg)
        return guider

    def together(self, model: Any, **pairing: Any) -> Tensor:
        """``(V * F, 4, h, w)`` of a collaborative run."""
        return self.sample(self.guider(model, **pairing))

    def apart(self) -> Tensor:
        """The same of one plain AnimateDiff+CameraCtrl run per view."""
        return torch.cat([self.plain(self.evolved(view), view) for view in range(self.views)])

    def plain(self, model: Any, view: int) -> Tensor:
        """``(F, 4, h, w)`` of the host's own guider on a model."""
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(self.cfg)
        return self.sample(guider, slice(view * self.frames, (view + 1) * self.frames))

    def plain_batch(self, model: Any) -> Tensor:
        """``(V * F, 4, h, w)`` of the host's own guider on a batch of all views."""
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(self.cfg)
        return self.sample(guider)

    def sample(self, guider: Any, rows: slice = slice(None), **options: Any) -> Tensor:
        name = self.sampler if isinstance(self.sampler, str) else "euler"
        schedule = comfy.samplers.KSampler(guider.model_patcher, self.steps, small.CPU, name, self.scheduler, 1.0)
        sampler = options.pop("sampler", None)
        if sampler is None:
            sampler = comfy.samplers.sampler_object(name) if isinstance(self.sampler, str) else self.sampler(rows)
        with torch.inference_mode():
            out: Tensor = guider.sample(
                self.noise[rows],
                self.latent[rows],
                sampler,
                options.pop("sigmas", schedule.sigmas),
                disable_pbar=True,
                seed=self.seed,
                **options,
            )
        return out


def plain_results(scene: Scene) -> dict[str, Tensor]:
    """What the host's own sampler makes of the first view: with AnimateDiff+CameraCtrl, and without anything."""
    return {"animatediff": scene.plain(scene.evolved(), 0), "checkpoint": scene.plain(scene.base, 0)}


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest deviation as a share of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())
