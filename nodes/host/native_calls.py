"""Network calls of a model with this pack's own motion modules: which frames and cameras their rows belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor

from cvd_core.camera_control.injection import CameraAtPixels, CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.motion.module import MotionModule, MotionModules
from cvd_core.sampling.windows import Windows

from .checks import check_whole
from .names import named
from .packing import select_frames, shared_rows

if TYPE_CHECKING:
    from ..types import PluckerRays

KEY = "cvd motion"
"""Name of everything that belongs to these modules in the host's dictionaries."""
_WINDOW = f"{KEY} window"
"""Option of a network call: the frames it sees."""
_RUN = f"{KEY} run"
"""Option that a collaborative run sets: it says itself whose cameras its calls need."""
_NO_CAMERAS = f"{KEY} without cameras"
"""Option of a network call in which the videos do not follow their cameras."""
Frames = tuple[int, ...]
Wrappers = dict[str, list[Callable[..., Any]]]


def has_evolved(model: Any) -> bool:
    """Whether AnimateDiff-Evolved was applied to a model."""
    return bool(model.get_additional_models_with_key("ADE"))


@dataclass(frozen=True, eq=False)
class MotionCall:
    """What the motion modules need to know in one network call.

    Attributes:
        frames: rows of a clip.
        merges: CameraCtrl's, or None.
        features: per level ``(V * h * w, F, C)``.
        camera_strength: 1 as trained.
    """

    frames: int
    merges: CameraMerges | None
    features: list[Tensor]
    camera_strength: float

    def run(self, module: MotionModule, x: Tensor) -> Tensor:
        """One module on ``(rows * F, C, h, w)``."""
        camera = None
        if self.merges is not None and module.site is not None:
            merge = self.merges.at(module.site)
            camera = CameraAtPixels(merge, self.features[module.site.level], self.camera_strength)
        out: Tensor = module(x, self.frames, camera)
        return out


def run_module(layer: MotionModule, x: Tensor, _emb: Any, _text: Any, transformer_options: Any, *_: Any) -> Tensor:
    """The host's call of a motion module inside a block."""
    call: MotionCall = transformer_options[KEY]
    return call.run(layer, x)


class NativeMotion:
    """Motion modules, cameras and windows of a MODEL: a :class:`.motion_backend.MotionBackend`, and what any other
    sampler needs.

    Args:
        modules: the motion modules.
        encoder, merges: CameraCtrl, or None.
        rays: cameras of all views.
        camera_strength: 1 as trained.
        windows: how long clips are cut; None runs them whole.
    """

    def __init__(
        self,
        modules: MotionModules,
        encoder: PoseEncoder | None,
        merges: CameraMerges | None,
        rays: PluckerRays,
        camera_strength: float = 1.0,
        windows: Windows | None = None,
    ) -> None:
        self.modules = modules
        self.encoder = encoder
        self.merges = merges
        self.rays = rays
        self.camera_strength = camera_strength
        self.windows = windows
        self._features: dict[tuple[int, Frames | None, torch.dtype], list[Tensor]] = {}
        self._joined: tuple[tuple[object, ...], list[Tensor]] | None = None

    @staticmethod
    def of_run(model: Any, rays: PluckerRays) -> NativeMotion:
        """The motion of a model for a collaborative run of all views of ``rays``.

        Raises:
            ValueError: Apply Motion + Camera got other cameras.
        """
        attached: NativeMotion = model.get_attachment(KEY)
        same = attached.rays.cameras.c2w.shape == rays.cameras.c2w.shape and (
            (attached.rays.width, attached.rays.height) == (rays.width, rays.height)
            and attached.rays.embedding.equal(rays.embedding)
        )
        if not same:
            raise ValueError(
                "Apply Motion + Camera and the sampler have different cameras or sizes; connect both to the same "
                "Plücker Embed"
            )
        return attached

    def window(self, frames: int) -> int:
        """Most frames that one network call sees of a clip of ``frames``."""
        return frames if self.windows is None else min(frames, self.windows.length)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if a position table is too short for a network call on a clip of ``frames``."""
        limits = [("motion module", self.modules.positions)]
        if self.encoder is not None:
            limits.append(("CameraCtrl pose encoder", self.encoder.positions))
        network, limit = min(limits, key=lambda found: found[1])
        window = self.window(frames)
        if window > limit:
            found = f"context windows of {window} frames" if window < frames else f"{frames} frames without windows"
            raise ValueError(
                f"{found}: the {network} holds positions for {limit}; set context_length of Apply Motion + Camera to "
                f"at most {limit}"
            )

    def pack(self, rows: Tensor, _views: int) -> Tensor:
        """Rows stay as they are: the motion modules are told what they belong to."""
        return rows

    def unpack(self, packed: Tensor, _views: int) -> Tensor:
        """Rows stay as they are."""
        return packed

    def wrappers(self, _views: Callable[[], int]) -> tuple[Wrappers, Wrappers]:
        """In addition to those that the model has for every sampler, one that marks a collaborative run."""

        def mark(executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any) -> Any:
            return executor(model, conds, x, timestep, _with_option(model_options, _RUN, True))

        return {WrappersMP.CALC_COND_BATCH: [mark]}, {}

    @staticmethod
    def seen_frames(transformer_options: dict[str, Any]) -> Frames | None:
        """Which frames the running network call sees; None for all of them."""
        frames: Frames | None = transformer_options.get(_WINDOW)
        return frames

    def with_cameras(
        self,
        transformer_options: dict[str, Any],
        views: Sequence[int],
        _branches: int,
        frames: Frames | None,
        like: Tensor,
    ) -> dict[str, Any]:
        """Options with which the motion modules know the clips and cameras of a network call."""
        check_whole(like, self.rays)
        clip = self.rays.cameras.frames if frames is None else len(frames)
        if transformer_options.get(_NO_CAMERAS):
            return {**transformer_options, KEY: MotionCall(clip, None, [], self.camera_strength)}
        features = self._camera_features(tuple(views), frames, like)
        return {**transformer_options, KEY: MotionCall(clip, self.merges, features, self.camera_strength)}

    def all_views(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Around the UNet: outside a collaborative run a batch holds all frames of all views, for every branch."""
        x, options = args[0], args[5]
        if options.get(_RUN):
            return executor(*args, **kwargs)
        frames, views = self.seen_frames(options), self.rays.cameras.views
        chunks = len(options["cond_or_uncond"])
        rows = views * (self.rays.cameras.frames if frames is None else len(frames))
        if len(x) != chunks * rows:
            raise ValueError(
                f"the latent holds {len(x) // chunks} frames; the cameras of Apply Motion + Camera are {views} views x "
                f"{rows // views} frames = {rows}. Use Empty Multi-View Latent with these counts"
            )
        options = self.with_cameras(options, range(views), chunks, frames, x)
        return executor(*args[:5], options, *args[6:], **kwargs)

    def name_windows(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Give the conditionings of a window names of their own, for caches that keep results by them."""
        options = args[5]
        uuids = named(options["uuids"], self.seen_frames(options))
        return executor(*args[:5], {**options, "uuids": uuids}, *args[6:], **kwargs)

    def in_windows(self, executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any) -> Any:
        """Around the host's evaluation of all branches: window after window, averaged where they meet."""
        if has_evolved(model.current_patcher):
            raise ValueError(
                "the model has motion modules from Apply Motion + Camera and from AnimateDiff-Evolved; remove "
                "one of them"
            )
        clip = self.rays.cameras.frames
        windows = [range(clip)] if self.windows is None else self.windows.of(clip)
        if len(windows) == 1:
            return executor(model, conds, x, timestep, model_options)
        views = len(x) // clip
        sums = [torch.zeros_like(x).unflatten(0, (views, clip)) for _ in conds]
        totals = torch.zeros(clip, 1, 1, 1, device=x.device)
        for window in windows:
            frames = tuple(window)
            weights = Windows.weights(len(frames)).to(x.device)[:, None, None, None]
            rows = x.unflatten(0, (views, clip))[:, window.start : window.stop].flatten(0, 1)
            options = _with_option(model_options, _WINDOW, frames)
            seen = [select_frames(cond, frames, views, clip) for cond in conds]
            found = executor(model, seen, rows, shared_rows(timestep, len(rows)), options)
            for total, prediction in zip(sums, found, strict=True):
                total[:, window.start : window.stop] += prediction.unflatten(0, (views, len(frames))) * weights
            totals[window.start : window.stop] += weights
        return [(total / totals).flatten(0, 1) for total in sums]

    def forget(self) -> None:
        """Drop the features of a run that has ended."""
        self._features.clear()
        self._joined = None

    def _camera_features(self, views: tuple[int, ...], frames: Frames | None, like: Tensor) -> list[Tensor]:
        """Per level ``(V * h * w, F, C)`` of a call; kept until another set of views is called."""
        if self.encoder is None:
            return []
        call = (views, frames, like.dtype)
        if self._joined is None or self._joined[0] != call:
            levels = zip(*(self._encode(view, frames, like) for view in views), strict=True)
            self._joined = (call, [torch.cat(level) for level in levels])
        return self._joined[1]

    def _encode(self, view: int, frames: Frames | None, like: Tensor) -> list[Tensor]:
        """Per level ``(h * w, F, C)`` of one view, computed in float32 once per run."""
        assert self.encoder is not None
        key = (view, frames, like.dtype)
        if key not in self._features:
            rays = self.rays.of_view(view, frames).to(like.device, torch.float32)
            self._features[key] = [
                rearrange(level, "1 c f h w -> (h w) f c").to(like.dtype) for level in self.encoder(rays[None])
            ]
        return self._features[key]


def without_cameras(model_options: dict[str, Any]) -> dict[str, Any]:
    """Options of network calls in which no video follows its camera."""
    return _with_option(model_options, _NO_CAMERAS, True)


def _with_option(model_options: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {**model_options, "transformer_options": {**model_options["transformer_options"], name: value}}
