"""All views as one clip - apart, side by side, or in bullet time - without a copy of all pictures in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from cvd_core.video.in_between import in_between
from cvd_core.video.side_by_side import GridLayout
from cvd_core.video.timing import bullet_time


class LabelledViews:
    """Videos of all views, and what is drawn on them picture by picture.

    Args:
        videos: ``(V, F, H, W, 3)``, colours in 0..1; never copied as a whole.
        labels: ``(H, W, 4)`` per view, red, green, blue and opacity in 0..1, laid over each of its pictures; or none.
    """

    def __init__(self, videos: Tensor, labels: Sequence[Tensor] = ()) -> None:
        self.videos, self.labels = videos, labels
        self.frames = videos.shape[1]

    def picture(self, view: int, frame: int) -> Tensor:
        """``(H, W, 3)`` of a view with its label."""
        picture = self.videos[view, frame]
        if not self.labels:
            return picture
        label = self.labels[view].to(picture)
        return picture * (1 - label[..., 3:]) + label[..., :3] * label[..., 3:]

    def apart(self, view: int, play: Sequence[int]) -> Tensor:
        """``(N, H, W, 3)`` frames ``play`` of one view; the input itself where nothing is changed."""
        if not self.labels and list(play) == list(range(self.frames)):
            return self.videos[view]
        return stacked((self.picture(view, frame) for frame in play), len(play))

    def together(self, views: Sequence[int], play: Sequence[int], columns: int | None = None, gap: int = 0) -> Tensor:
        """``(N, rows * H, columns * W, 3)`` frames ``play`` of ``views``; see :func:`.side_by_side.grid`."""
        layout = GridLayout.of(self.videos[: len(views)], columns, gap)
        frames = self.videos.new_zeros(len(play), *layout.size, 3)
        for canvas, frame in zip(frames, play, strict=True):
            layout.paste((self.picture(view, frame) for view in views), canvas)
        return frames

    def bullet_time(self, views: Sequence[int], at: int, hold: int, between: int) -> Iterator[Tensor]:
        """The pictures of :func:`.timing.bullet_time`, one by one; those between two views have no label."""
        made: Iterator[Tensor] = iter(())
        for place, frame, part in bullet_time(len(views), self.frames, at, hold, between):
            if part:
                yield next(made)
                continue
            yield self.picture(views[place], frame)
            if between and frame == at and place < len(views) - 1:
                made = in_between(self.videos[views[place], at], self.videos[views[place + 1], at], between)


def stacked(pictures: Iterable[Tensor], count: int) -> Tensor:
    """``(count, H, W, 3)`` of ``pictures``, of which no more than one is made at a time."""
    made = iter(pictures)
    first = next(made)
    frames = first.new_empty(count, *first.shape)
    frames[0] = first
    for canvas, picture in zip(frames[1:], made, strict=True):
        canvas.copy_(picture)
    return frames
