"""Single clips of static scenes with their cameras, as CamI2V is trained on (CamI2V, Sec. 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.training.data.decode import fit
from cvd_core.training.data.folders import ClipFolder, at_frames, cut, find_estates, open_estate


@dataclass(frozen=True, eq=False)
class GuidedClip:
    """A video and its camera path.

    Attributes:
        video: ``(F, 3, H, W)`` in [-1, 1].
        prompt: of it.
        cameras: one view, with pixels of the video.
        reference: frame whose picture is given.
        stride: source frames from one frame to the next.
    """

    video: Tensor
    prompt: str
    cameras: Cameras
    reference: int
    stride: int


class GuidedClips(ClipFolder):
    """Clips as RealEstate10K's come, cut at a random start and speed, with a random frame to start from.

    Args:
        root, seed: see :class:`ClipFolder`.
        frames: F.
        width, height: in pixels.
        longest_stride: largest stride.
    """

    WANTED = "pose files (NAME.txt) with a video NAME.mp4 or a folder NAME of pictures besides"
    STREAM = 8

    def __init__(self, root: Path, frames: int, width: int, height: int, longest_stride: int, seed: int = 0) -> None:
        super().__init__(root, seed)
        self.frames, self.width, self.height, self.longest_stride = frames, width, height, longest_stride

    def _find(self) -> Iterator[Path]:
        return find_estates(self.root)

    def sample(self, index: int, *epoch: int) -> GuidedClip:
        """A piece of clip ``index``, which depends on nothing but seed, epoch and index.

        Raises:
            ValueError: the clip cannot be read, or is too short.
        """
        clip, prompt, rng = self.draw(index, *epoch)
        source, cameras = open_estate(clip)
        indices = cut(source, self.frames, rng, self.longest_stride)
        path = at_frames(cameras, indices).crop_to(self.width, self.height)
        video = fit(source.read(indices), self.width, self.height)
        return GuidedClip(video, prompt, path, int(rng.integers(self.frames)), indices[1] - indices[0])
