"""What the host's wrappers do around every network call of one collaborative sampling run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_patcher
from comfy.patcher_extension import WrappersMP

from cvd_core.sampling.collaborate import NetworkCall
from cvd_core.sampling.draws import Draws
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import PART_OF_FREE, BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.slopes import SlopeTape

from ..types import PluckerRays
from .checks import check_whole
from .injection import KEY, SyncSettings
from .memory import advising, free_memory, keeping_schedules
from .motion_backend import Frames, MotionBackend
from .names import named

UNCONDITIONAL = 1
"""The host's number of the negative prompt among the conditionings of a sampler."""


class CollaborativeCalls:
    """The network calls of one run: their state, and the wrappers that use it.

    Args:
        rays: cameras of all views.
        sync: what Apply Sync attached to the model.
        video: the model's motion modules.
        draws: random numbers of the run.
        views_together: most views in one network call.
        model_sampling: the host's noise schedule of the model.
    """

    def __init__(
        self,
        rays: PluckerRays,
        sync: SyncSettings,
        video: MotionBackend,
        draws: Draws,
        views_together: int,
        model_sampling: Any,
    ) -> None:
        self.rays = rays
        self.views = rays.cameras.views
        self.frames = rays.cameras.frames
        self.sync = sync
        self.video = video
        self.draws = draws
        self.views_together = views_together
        self.window = video.window(self.frames)
        self._active = (model_sampling.percent_to_sigma(sync.end), model_sampling.percent_to_sigma(sync.start))
        self._bias = sync.epipolar.bias()
        self._cache: BiasCache | None = None
        self._window_biases: dict[Frames, EpipolarBias] = {}
        self._batch: NetworkCall | None = None
        self._round: SlopeTape | None = None
        self._tapes: dict[Frames | None, SlopeTape] = {}

    @contextmanager
    def calling(self, batch: NetworkCall) -> Iterator[None]:
        """Network calls inside belong to ``batch``."""
        if batch.slopes is not self._round:
            self._round, self._tapes = batch.slopes, {}
        self._batch = batch
        try:
            yield
        finally:
            self._batch = None

    @property
    def batch(self) -> NetworkCall:
        assert self._batch is not None, "a network call outside of predict_noise"
        return self._batch

    def wrap(self, model_options: dict[str, Any]) -> dict[str, Any]:
        """The options with this run's wrappers at their places among those of other packs.

        The dictionaries are rebuilt because wrappers run in their order, and hosts differ in how they merge a model's
        and a run's.
        """
        options = comfy.model_patcher.create_model_options_clone(model_options)
        wrappers: dict[str, dict[str, list[Callable[..., Any]]]] = options["transformer_options"]["wrappers"]
        outside, inside = self.video.wrappers(lambda: len(self.batch.views))
        outside = {**outside, WrappersMP.APPLY_MODEL: [self._enter_network, *outside.get(WrappersMP.APPLY_MODEL, ())]}
        inside = {
            **inside,
            WrappersMP.DIFFUSION_MODEL: [self._call_network],
            WrappersMP.PREPARE_SAMPLING: [self._cap_memory],
        }
        for kind in outside.keys() | inside.keys():
            first, last = outside.get(kind, []), inside.get(kind, [])
            wrappers[kind] = {f"{KEY} first": first, **wrappers.get(kind, {}), f"{KEY} last": last}
        return options

    def _cap_memory(self, executor: Any, model: Any, noise_shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Have memory estimated for the views and frames in one network call, and keep masks in a part of the rest."""
        rows = self.views_together * self.window
        with keeping_schedules(model):
            loaded = executor(model, [rows, *noise_shape[1:]], *args, **kwargs)
        self._cache = BiasCache(free_memory(model) // PART_OF_FREE)
        return loaded

    def _enter_network(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse parts of a picture, and give the call's conditionings names of their own."""
        check_whole(args[0], self.rays)
        options = args[5]
        uuids = named(options["uuids"], self.batch.groups, self.video.seen_frames(options))
        return executor(*args[:5], {**options, "uuids": uuids}, *args[6:], **kwargs)

    def _call_network(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Set cameras and partners of the views in this call."""
        x, options = args[0], args[5]
        views = self.batch.views
        frames = self.video.seen_frames(options)
        branches = x.shape[0] // (len(views) * (self.frames if frames is None else len(frames)))
        options = self.video.with_cameras(options, views, branches, frames, x)
        low, high = self._active
        if low <= float(options["sigmas"][0]) <= high:
            options = {**options, KEY: self._context(frames, branches, self._synced(options, branches))}
        with advising("set views_per_pass to 2, or make width and height smaller"):
            return executor(*args[:5], options, *args[6:], **kwargs)

    def _synced(self, options: dict[str, Any], branches: int) -> tuple[int, ...] | None:
        """Places of the conditional branches in this call, where they alone are synchronised."""
        if self.sync.branches == "both":
            return None
        kinds = options["cond_or_uncond"]  # one per branch, or per branch and view
        return tuple(i for i, kind in enumerate(kinds[:: len(kinds) // branches]) if kind != UNCONDITIONAL)

    def _context(self, frames: Frames | None, branches: int, synced: tuple[int, ...] | None) -> SyncContext:
        # The host may run the branches of a batch one by one when memory is short: each sees the slopes of one call.
        tape = self._tapes.setdefault(frames, SlopeTape(self.draws.slopes))
        tape.rewind()
        return SyncContext(
            self.batch.views,
            groups_to_partners(self.batch.groups),
            tape,
            self._bias if frames is None else self._window_bias(frames),
            branches,
            layout="branch view",
            strength=self.sync.strength,
            synced=synced,
            cache=self._cache,
            attention=self.sync.attention,
        )

    def _window_bias(self, frames: Frames) -> EpipolarBias:
        if frames not in self._window_biases:
            windows = math.ceil(2 * self.frames / len(frames))
            if len(self._window_biases) >= windows:  # schedules that shift from step to step
                self._window_biases.clear()
            self._window_biases[frames] = self._bias.at_frames(frames)
        return self._window_biases[frames]
