"""What the collaborative guider needs of AnimateDiff-Evolved, asked for by shape: nothing of it is imported.

Everything that knows that pack's insides is in this file and ``animatediff_settings.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import WrappersMP
from torch.nn import AvgPool2d

from .animatediff_settings import check_context, check_motion_model, check_sample_settings
from .names import named_apart
from .packing import pack, pack_conds, shared_rows, unpack, unpack_conds

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import PluckerRays

_KEY = "ADE"
_MISSING = (
    "put Apply AnimateDiff+CameraCtrl Model and Use Evolved Sampling before this node, with a motion model from Load "
    "AnimateDiff+CameraCtrl Model; all three come with the pack AnimateDiff-Evolved, so install it if they are missing"
)

Frames = tuple[int, ...]


class AnimateDiff:
    """The motion modules of a MODEL, with CameraCtrl: a :class:`.motion_backend.MotionBackend`.

    Args:
        model: a MODEL.
        rays: cameras of all views.

    Raises:
        ValueError: AnimateDiff-Evolved was applied without CameraCtrl, or with a setting that one batch of several
            videos cannot follow.
    """

    def __init__(self, model: Any, rays: PluckerRays) -> None:
        patchers = model.get_additional_models_with_key(_KEY)
        self.models = [p.model for p in patchers if getattr(p.model, "camera_encoder", None) is not None]
        if not self.models:
            raise ValueError(f"the model's motion module has no CameraCtrl: {_MISSING}")
        for patcher in patchers:
            if patcher.model in self.models:
                _check_poses(patcher.get_attachment(_KEY).orig_camera_entries)
        self._options = model.get_attachment("ADE_params").context_options
        check_context(self._options)
        check_sample_settings(model.get_attachment("ADE_sample_settings"), rays.cameras.frames)
        for patcher in patchers:
            check_motion_model(patcher, patcher.get_attachment(_KEY), rays.cameras.frames)
        self.rays = rays
        self._features: dict[tuple[object, ...], list[Tensor]] = {}
        self._joined: dict[int, tuple[tuple[object, ...], list[Tensor]]] = {}

    def window(self, frames: int) -> int:
        """Most frames that one network call sees of a clip of ``frames``; options may change from step to step."""
        return max(_window(options, frames) for options in self._options.contexts)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if a position table is too short for a network call on a clip of ``frames``."""
        window = self.window(frames)
        limits = []
        for model in self.models:
            limits.append(("CameraCtrl pose encoder", int(model.camera_encoder.temporal_pe_max_len)))
            if model.encoding_max_len is not None:
                limits.append((f"motion module {model.mm_info.mm_name}", int(model.encoding_max_len)))
        network, limit = min(limits, key=lambda found: found[1])
        if window > limit:
            found = f"context windows of {window} frames" if window < frames else f"{frames} frames without windows"
            raise ValueError(
                f"{found}: the {network} holds positions for {limit}; connect context options with a context length "
                f"of at most {limit} to Use Evolved Sampling"
            )

    @staticmethod
    def seen_frames(transformer_options: dict[str, Any]) -> Frames | None:
        """Which frames the running network call sees; None for all of them."""
        frames = transformer_options["ad_params"]["sub_idxs"]
        return None if frames is None else tuple(frames)

    def with_cameras(
        self,
        transformer_options: dict[str, Any],
        views: Sequence[int],
        branches: int,
        frames: Frames | None,
        like: Tensor,
    ) -> dict[str, Any]:
        """Give the motion modules the cameras of a network call; they keep them, so the options stay as they are."""
        call = (tuple(views), branches, frames)
        for index, model in enumerate(self.models):
            if index not in self._joined or self._joined[index][0] != call:
                levels = zip(*(self._encode(index, view, frames, like) for view in views), strict=True)
                self._joined[index] = (call, [torch.cat(level * branches) for level in levels])
            model.set_camera_features(self._joined[index][1])
        return transformer_options

    def pack(self, rows: Tensor, views: int) -> Tensor:
        """The pack takes the batch for the frames of one video, so it is shown ``(F, V * C, h, w)``."""
        return pack(rows, views)

    def unpack(self, packed: Tensor, views: int) -> Tensor:
        """The inverse of :meth:`pack`."""
        return unpack(packed, views)

    def wrappers(
        self, views: Callable[[], int]
    ) -> tuple[dict[str, list[Callable[..., Any]]], dict[str, list[Callable[..., Any]]]]:
        """Packs the batch around the pack's own wrapper, which cuts it into windows, and names every chunk inside."""
        frames = self.rays.cameras.frames

        def pack_all(executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any) -> Any:
            packed = [pack_conds(cond, views(), frames) for cond in conds]
            out = executor(model, packed, pack(x, views()), shared_rows(timestep, frames), model_options)
            return [unpack(prediction, views()) for prediction in out]

        def unpack_all(executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any) -> Any:
            rows = unpack(x, views())
            unpacked = [unpack_conds(cond) for cond in conds]
            out = executor(model, unpacked, rows, shared_rows(timestep, len(rows)), model_options)
            return [pack(prediction, views()) for prediction in out]

        def count_videos(executor: Any, *args: Any, **kwargs: Any) -> Any:
            """Name every chunk of F rows: AnimateDiff-Evolved divides the batch by their number to learn F."""
            options = args[5]
            chunks = {
                "cond_or_uncond": [branch for branch in options["cond_or_uncond"] for _ in range(views())],
                "uuids": named_apart(options["uuids"], views()),
            }
            return executor(*args[:5], {**options, **chunks}, *args[6:], **kwargs)

        outside = {WrappersMP.CALC_COND_BATCH: [pack_all], WrappersMP.APPLY_MODEL: [count_videos]}
        return outside, {WrappersMP.CALC_COND_BATCH: [unpack_all]}

    def _encode(self, index: int, view: int, frames: Frames | None, like: Tensor) -> list[Tensor]:
        """Per level ``(h * w, F, C)``, computed once per run."""
        key = (index, view, frames)
        if key not in self._features:
            rays = self.rays.of_view(view, frames).to(like.device, torch.float32)
            encoder = self.models[index].camera_encoder
            with _rounding_up(encoder):
                self._features[key] = encoder(rays.transpose(0, 1), video_length=len(rays))
        return self._features[key]


def _window(options: Any, frames: int) -> int:
    """Frames that one network call sees under one of the context options."""
    length = options.context_length
    if options.context_schedule == "view_as_context":  # windows inside the motion modules only
        return frames
    if length is None or length > frames or (length == frames and not options.use_on_equal_length):
        return frames
    return int(length)


@contextmanager
def _rounding_up(encoder: Any) -> Iterator[None]:
    """Have the pose encoder halve odd sizes as the UNet does; its rounding down fits at multiples of 64 pixels only."""
    pools = [layer for layer in encoder.modules() if isinstance(layer, AvgPool2d)]
    before = [(pool.ceil_mode, pool.count_include_pad) for pool in pools]
    for pool in pools:
        pool.ceil_mode, pool.count_include_pad = True, False
    try:
        yield
    finally:
        for pool, (ceil_mode, count_include_pad) in zip(pools, before, strict=True):
            pool.ceil_mode, pool.count_include_pad = ceil_mode, count_include_pad


def _check_poses(entries: Sequence[Any] | None) -> None:
    """Refuse wrong poses of Apply AnimateDiff+CameraCtrl Model before they cost a network call."""
    if not entries:
        raise ValueError(
            "the motion module has CameraCtrl but was applied without poses; use Apply AnimateDiff+CameraCtrl Model "
            "instead of Apply AnimateDiff Model, with the poses of Plücker Embed"
        )
    views = getattr(entries[0].entry, "views", 1)
    if views > 1:
        raise ValueError(
            f"Apply AnimateDiff+CameraCtrl Model is connected to Camera Trajectory Builder's list of {views} poses, "
            f"which makes every node after it run {views} times; connect the poses of Plücker Embed instead"
        )
