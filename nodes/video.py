"""Splitting views into one batch each, and combining them into one playing video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import InputImpl, Types, io, ui
from einops import rearrange
from torch import Tensor

from cvd_core.video.clip import Clip, as_bytes, to_bytes
from cvd_core.video.files import frame_rate
from cvd_core.video.formats import BEST, VIDEO_FORMATS, write_animation
from cvd_core.video.labelled import LabelledViews, stacked
from cvd_core.video.side_by_side import GridLayout
from cvd_core.video.sound import Sound
from cvd_core.video.timing import PLAY_MODES, PlayMode, play_order

from .files import save_place
from .inputs import check_choices, verdict
from .previews.pictures import plate
from .schema import node_schema

APART, BULLET_TIME = "one file per view", "bullet time"
LAYOUTS = ["grid", "row", "column", APART, BULLET_TIME]
RENAMED = {"view switch": BULLET_TIME}
"""Choices of workflows that were saved before they had their present names."""
NAMES = "auto"
GAP = 4


class SplitViews(io.ComfyNode):
    """One batch of all views -> one batch per view."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_SplitViews",
            display_name="Split Views",
            category="CVD/video",
            search_aliases=["unbatch views", "separate views"],
            description="Splits a batch into the frames of each view. A node connected here runs once per view.",
            inputs=[_images(), _views()],
            outputs=[
                io.Image.Output(
                    "view", display_name="view", is_output_list=True, tooltip="The frames of each view, in order."
                )
            ],
        )

    @classmethod
    def execute(cls, images: Tensor, views: int) -> io.NodeOutput:
        return io.NodeOutput(list(_per_view(images, views)))


class MultiViewVideoCombine(io.ComfyNode):
    """All views as one playing video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_MultiViewVideoCombine",
            display_name="Multi-View Video Combine",
            category="CVD/video",
            search_aliases=["save video", "grid video", "bullet time", "side by side", "gif", "webp"],
            essentials_category="Video Tools",
            description="Shows all views in step: side by side, in separate files, or one after the other while time "
            "stands still (bullet time). Saves mp4, webm or webp with the workflow inside, or gif.",
            is_output_node=True,
            inputs=[
                _images(),
                _views(),
                io.Combo.Input(
                    "layout",
                    options=LAYOUTS,
                    default="grid",
                    tooltip="How the views are arranged. grid: about as many rows as columns; row, column: in one "
                    "line; one file per view: separate videos; bullet time: one view at a time, which plays up to "
                    "switch_frame; there time stops while the picture goes through all views, and the last plays on.",
                ),
                io.String.Input(
                    "view_order",
                    default="",
                    tooltip="Numbers of the views to show, counting from 0, in the order to show them, such as "
                    "2, 0, 1. Empty shows all in their order.",
                ),
                io.String.Input(
                    "labels",
                    default="",
                    tooltip="Labels for the top left corner of the views, separated by commas, one per view in their "
                    f"original order; {NAMES} writes view 0, view 1 and so on; empty writes nothing.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(PLAY_MODES),
                    default="normal",
                    tooltip="normal plays the clip once; loop plays it as often as repeats says; ping-pong plays it "
                    "forwards and backwards as often. gif and webp files always loop.",
                ),
                io.Int.Input(
                    "repeats",
                    default=2,
                    min=1,
                    max=100,
                    tooltip="For loop and ping-pong: how many times the clip is in the video.",
                ),
                io.Int.Input(
                    "switch_frame",
                    default=-1,
                    min=-1,
                    max=100000,
                    tooltip="For bullet time: the frame at which time stops, counting from 0; -1 is the middle one.",
                ),
                io.Int.Input(
                    "switch_hold",
                    default=2,
                    min=1,
                    max=1000,
                    tooltip="For bullet time: how many pictures each view is shown for while time stands still; higher "
                    "is slower.",
                ),
                io.Float.Input(
                    "fps",
                    default=8.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second. AnimateDiff was trained for 8; gif plays at most 50.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(VIDEO_FORMATS),
                    default="mp4",
                    tooltip="; ".join(f"{known.name}: {known.description}" for known in VIDEO_FORMATS.values()),
                ),
                io.Int.Input(
                    "quality",
                    default=BEST,
                    min=1,
                    max=100,
                    tooltip="1 to 100; higher is better and makes larger files; 90 shows no visible loss. Has no "
                    "effect on gif.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="video/CVD",
                    tooltip="Name of the files without number and extension; a folder before the name is created if "
                    "needed.",
                ),
                io.Boolean.Input(
                    "save",
                    default=True,
                    tooltip="On: saves to ComfyUI's output folder. Off: only for viewing, saves to the temp folder.",
                ),
                io.Int.Input(
                    "gap",
                    default=GAP,
                    min=0,
                    max=64,
                    step=2,
                    optional=True,
                    tooltip="For grid, row and column: black pixels between the views.",
                ),
                io.Int.Input(
                    "in_betweens",
                    default=0,
                    min=0,
                    max=64,
                    optional=True,
                    tooltip="For bullet time: pictures made between neighbouring views by optical flow, for a smoother "
                    "flight. What only one of the two views sees looks torn: best with views close to each other.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound that goes with the videos, from their start; mp4 and webm only.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    is_output_list=True,
                    tooltip="The combined video, or one per view, for ComfyUI's video nodes.",
                ),
                io.Image.Output(
                    "frames",
                    display_name="frames",
                    is_output_list=True,
                    tooltip="Its frames, for other packs such as VideoHelperSuite.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, layout: str | None = None, mode: str | None = None, format: str | None = None
    ) -> bool | str:
        return verdict(check_choices, cls, layout=RENAMED.get(layout or "", layout), mode=mode, format=format)

    @classmethod
    def execute(
        cls,
        images: Tensor,
        views: int,
        layout: str,
        view_order: str,
        labels: str,
        mode: str,
        repeats: int,
        switch_frame: int,
        switch_hold: int,
        fps: float,
        format: str,
        quality: int,
        filename_prefix: str,
        save: bool,
        gap: int = GAP,
        in_betweens: int = 0,
        audio: Mapping[str, Any] | None = None,
    ) -> io.NodeOutput:
        layout = RENAMED.get(layout, layout)
        check_choices(cls, layout=layout, mode=mode, format=format)
        rate = frame_rate(fps)
        videos = _per_view(images, views)
        height, width = videos.shape[2:4]
        shown = LabelledViews(videos, [plate(words, width, height) for words in _words(labels, views)])
        order = _order(view_order, views)
        if layout == BULLET_TIME:
            at = shown.frames // 2 if switch_frame < 0 else switch_frame
            pictures = list(shown.bullet_time(order, at, switch_hold, in_betweens))
            play = play_order(len(pictures), cast(PlayMode, mode), repeats)
            clips = [stacked((pictures[i] for i in play), len(play))]
        else:
            play = play_order(shown.frames, cast(PlayMode, mode), repeats)
            apart = [shown.apart(view, play) for view in order] if layout == APART else []
            columns = {"row": len(order), "column": 1}.get(layout)
            clips = apart or [shown.together(order, play, columns, gap)]

        kind = io.FolderType.output if save else io.FolderType.temp
        root = folder_paths.get_output_directory() if save else folder_paths.get_temp_directory()
        height, width = clips[0].shape[1:3]
        folder, name, subfolder = save_place(filename_prefix, root, width, height)
        files = [f"{name}view{view}.{format}" for view in order] if layout == APART else [f"{name}.{format}"]
        sound = None if audio is None else _sound(audio)
        for clip, file in zip(clips, files, strict=True):
            path = folder / file
            write_animation(as_bytes(clip), path, float(rate), quality=quality, metadata=_metadata(cls), sound=sound)
        results = [ui.SavedResult(file, subfolder, kind) for file in files]
        if format == "gif" or (len(files) > 1 and format != "webp"):
            results.insert(0, _stand_in(clips, rate, gap, sound))
        components = [Types.VideoComponents(images=clip, audio=cast(Any, audio), frame_rate=rate) for clip in clips]
        return io.NodeOutput(
            [InputImpl.VideoFromComponents(video) for video in components], clips, ui=ui.PreviewVideo(results)
        )


def _sound(audio: Mapping[str, Any]) -> Sound:
    """From ComfyUI's AUDIO: ``(B, C, T)`` and a sample rate."""
    waveform = audio["waveform"]
    if waveform.ndim != 3 or len(waveform) != 1:
        raise ValueError(f"audio has shape {tuple(waveform.shape)}; expected one piece (1, channels, samples)")
    return Sound(waveform[0], int(audio["sample_rate"]))


def _images() -> io.Image.Input:
    return io.Image.Input(
        "images",
        tooltip="The frames of all views in one batch, one view after the other: V x F images, as the VAE decodes "
        "them.",
    )


def _views() -> io.Int.Input:
    return io.Int.Input(
        "views", default=2, min=1, max=64, tooltip="Number of views in the batch; must divide the number of images."
    )


def _per_view(images: Tensor, views: int) -> Tensor:
    """``(V*F, H, W, C)`` -> ``(V, F, H, W, 3)``; transparency is dropped, as ComfyUI's video savers do."""
    if views < 1 or len(images) % views:
        raise ValueError(
            f"images holds {len(images)} images, which do not divide into {views} views of equal length; set views to "
            "the number of cameras"
        )
    return rearrange(images[..., :3], "(v f) h w c -> v f h w c", v=views)


def _order(words: str, views: int) -> list[int]:
    if not words.strip():
        return list(range(views))
    try:
        order = [int(word) for word in words.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"view_order is {words!r}; expected view numbers such as 2, 0, 1, or nothing") from error
    if len(set(order)) < len(order) or not all(0 <= view < views for view in order):
        raise ValueError(f"view_order is {words!r}; expected different numbers from 0 to {views - 1}, or nothing")
    return order


def _words(labels: str, views: int) -> list[str]:
    if not labels.strip():
        return []
    words = [f"view {v}" for v in range(views)] if labels.strip() == NAMES else [w.strip() for w in labels.split(",")]
    if len(words) != views:
        raise ValueError(
            f"labels holds {len(words)} texts for {views} views; expected one per view, {NAMES!r}, or nothing"
        )
    return words


def _stand_in(clips: Sequence[Tensor], rate: Fraction, gap: int, sound: Sound | None) -> ui.SavedResult:
    """A video in the temp folder for the node to play, since the front end plays one file and no gif.

    The last row or column is repeated where the encoder needs an even number.
    """
    height, width = clips[0].shape[1:3]
    layout = GridLayout.of(clips[0].expand(len(clips), -1, -1, -1, -1), None, gap)

    def picture(frame: int) -> Tensor:
        whole = layout.paste((to_bytes(clip[frame]) for clip in clips), torch.zeros(*layout.size, 3, dtype=torch.uint8))
        whole = torch.cat([whole, whole[-1:]]) if layout.size[0] % 2 else whole
        return torch.cat([whole, whole[:, -1:]], 1) if layout.size[1] % 2 else whole

    root = Path(folder_paths.get_temp_directory())
    folder, name, subfolder = save_place("CVD_preview", str(root), width, height)
    even = [side + side % 2 for side in layout.size]
    clip = Clip(len(clips[0]), even[0], even[1], picture)
    write_animation(clip, folder / f"{name}.mp4", float(rate), sound=sound)
    return ui.SavedResult(f"{name}.mp4", subfolder, io.FolderType.temp)


def _metadata(node: type[io.ComfyNode]) -> dict[str, str]:
    """The workflow, under the names ComfyUI's own savers use."""
    if args.disable_metadata:
        return {}
    stored = {} if node.hidden.prompt is None else {"prompt": node.hidden.prompt}
    return {name: json.dumps(value) for name, value in (stored | (node.hidden.extra_pnginfo or {})).items()}


VIDEO_NODES: list[type[io.ComfyNode]] = [SplitViews, MultiViewVideoCombine]
