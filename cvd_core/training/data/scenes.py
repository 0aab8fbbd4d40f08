"""Batches of several cameras' views, mixed of three kinds of folders (SynCamMaster, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.config_parts import SCENE_FOLDERS, DataConfig, FoldersConfig, SceneKind, SynCamConfig
from cvd_core.training.data.multi_camera import (
    ANY_ANGLES,
    MultiCameraVideos,
    SceneFolder,
    SceneViews,
    StaticPictures,
    StillVideos,
)

_FOLDERS: Mapping[SceneKind, type[SceneFolder]] = {
    "views": MultiCameraVideos,
    "pictures": StaticPictures,
    "videos": StillVideos,
}
_WORKERS = 4
"""Threads that decode."""


class SceneSource:
    """Gives samples of V views; those of one step are all of one kind.

    Args:
        folders: of the kinds that ``config`` asks for.
        data: size and frames.
        config: what is mixed.
        seed: decides everything.

    Raises:
        ValueError: a folder holds nothing of its kind.
    """

    def __init__(self, folders: FoldersConfig, data: DataConfig, config: SynCamConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        size = (config.views, data.frames, data.size, data.height or data.size, seed)
        self.folders: dict[SceneKind, SceneFolder] = {
            kind: _FOLDERS[kind](getattr(folders, name), *size)
            for kind, name in SCENE_FOLDERS.items()  # whatever the order of the configuration's entries
            if config.mix.get(kind, 0) > 0
        }
        self._threads = ThreadPoolExecutor(_WORKERS)

    def prompts(self) -> set[str]:
        """Every prompt that a sample can have."""
        return {prompt for folder in self.folders.values() for prompt in folder.prompts()}

    def check(self) -> None:
        """Raise ValueError unless every scene has the angles that the training will ask it for."""
        for folder in self.folders.values():
            if isinstance(folder, MultiCameraVideos):
                folder.check([(angles.least, angles.most) for angles in self.config.angles] or [ANY_ANGLES])

    def kind(self, step: int) -> SceneKind:
        """Of a step, the same in all processes."""
        kinds = list(self.folders)
        fractions = torch.tensor([self.config.mix[kind] for kind in kinds])
        rng = seeded_generator(self.seed, "kind of scene", step)
        return kinds[int(torch.multinomial(fractions, 1, generator=rng))]

    def angles(self, step: int) -> tuple[float, float]:
        """Degrees between the cameras of a step."""
        ranges = [angles for angles in self.config.angles if angles.from_step <= step]
        return (ranges[-1].least, ranges[-1].most) if ranges else ANY_ANGLES

    def draw(self, step: int, positions: Sequence[int]) -> list[SceneViews]:
        """The samples at ``positions`` of a step's batch; the same whenever they are asked for."""
        folder, angles = self.folders[self.kind(step)], self.angles(step)

        def sample(position: int) -> SceneViews:
            rng = seeded_generator(self.seed, "scene", step, position)
            return folder.sample(int(torch.randint(len(folder), (), generator=rng)), step, position, angles=angles)

        return list(self._threads.map(sample, positions))
