"""Synchronised views from folders: the paper's two kinds, out of real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import pair_geometry
from cvd_core.geometry.formats import write_cameras
from cvd_core.scenes.paths import camera_paths
from cvd_core.scenes.render import project, render
from cvd_core.scenes.world import Scene, random_scene
from cvd_core.training.data.decode import PictureFolder, VideoFile, fit
from cvd_core.training.data.folders import RealEstate10KViews, VideoViews
from cvd_core.video.files import write_video

CLIP, FRAMES, SIZE = 15, 4, 48


def rendered(width: int = 64, height: int = SIZE) -> tuple[Scene, Cameras, Tensor]:
    """A static scene seen along a path that trucks and pans, ``(F, H, W, 3)`` uint8."""
    scene = random_scene(np.random.default_rng(5), moving=False)
    path = camera_paths(np.array([[1.2, 0.0, 0.4, 0.0, 10.0]]), CLIP)
    path = Cameras(path.c2w, path.intrinsics * torch.tensor([1, width / height, 1, 1]))
    video = render(scene, path, width, height)[0]
    return scene, path, ((video + 1) * 127.5).round().byte().movedim(1, -1)


@pytest.fixture
def real_estate(tmp_path: Path) -> Path:
    _, path, frames = rendered()
    write_cameras(path, tmp_path / "clips" / "a.txt")
    write_video(frames, tmp_path / "clips" / "a.mp4", 8)
    write_cameras(path, tmp_path / "b.txt")
    (tmp_path / "b").mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame.numpy()).save(tmp_path / "b" / f"{9_000_000 + 1_000_000 * k}.png")
    (tmp_path / "unrelated.txt").write_text("no clip")
    (tmp_path / "captions.json").write_text(json.dumps({"a": "a room", "b": ["a hall", "a stair"]}))
    return tmp_path


class TestRealEstate10K:
    def test_fold(self, real_estate: Path) -> None:
        pairs = RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE)
        assert [clip.name for clip in pairs.clips] == ["b.txt", "a.txt"]
        for pair, prompts in zip((pairs.views(0), pairs.views(1)), (("a hall", "a stair"), ("a room",)), strict=True):
            assert pair.prompt in prompts
            assert pair.videos.shape == (2, FRAMES, 3, SIZE, SIZE)
            assert torch.equal(pair.videos[0, 0], pair.videos[1, 0])
            assert (pair.videos[0, 1:] != pair.videos[1, 1:]).any()
            assert pair.cameras is not None
            assert torch.equal(pair.cameras.c2w[:, 0], torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
            gone = pair.cameras.centers[:, -1]
            assert (gone[0] @ gone[1]) < 0  # one video goes back, the other on

    def test_true_lines_pass_through_the_same_points(self, real_estate: Path) -> None:
        """A point of the first object, projected by the cropped cameras, lies on its epipolar line."""
        cameras = RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE).views(0).cameras
        assert cameras is not None
        points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 4], (20, 3))
        x, y = project(cameras, points, SIZE, SIZE)
        F = pair_geometry(cameras, 0, 1, SIZE, SIZE).fundamental[1:]
        ones = torch.ones(*x.shape[:2], 1, dtype=torch.float64)
        # the geometry puts the first pixel's centre at 0.5, `project` at 0
        left, right = torch.cat([x + 0.5, ones], -1)[1:], torch.cat([y + 0.5, ones], -1)[1:]
        lines = torch.einsum("fij,fpj->fpi", F, left)
        away = (lines * right).sum(-1).abs() / lines[..., :2].norm(dim=-1)
        assert away.max() < 1e-9

    def test_pictures_belong_to_the_cameras(self, real_estate: Path) -> None:
        """The crop of pictures and cameras is one: rendering anew with the pair's cameras gives the pair's pictures."""
        scene, path, _ = rendered()
        pairs = RealEstate10KViews(real_estate, 8, SIZE, SIZE)  # takes all frames, so the path is known
        pair = pairs.views(0)
        order = [*range(7, -1, -1), *range(7, CLIP)]
        cropped = path.crop_to(SIZE, SIZE)
        known = Cameras(cropped.c2w[0, order].unflatten(0, (2, 8)), cropped.intrinsics[0, order].unflatten(0, (2, 8)))
        again = render(scene, known, SIZE, SIZE)
        assert (again - pair.videos).abs().mean() < 0.02

    def test_same_in_any_order_and_process(self, real_estate: Path) -> None:
        pairs = RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE, seed=3)
        alone = [pairs.views(0, 5), pairs.views(1, 5)]
        again = RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE, seed=3)
        for index in (1, 0):
            found = again.views(index, 5)
            assert torch.equal(found.videos, alone[index].videos)
            assert found.prompt == alone[index].prompt
        assert any(not torch.equal(pairs.views(i, 6).videos, alone[i].videos) for i in (0, 1))

    def test_more_views_of_one_path(self, real_estate: Path) -> None:
        clip = RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE).views(0, views=4)
        assert clip.videos.shape == (4, FRAMES, 3, SIZE, SIZE)
        assert clip.cameras is not None
        assert all(torch.equal(clip.videos[0, 0], clip.videos[view, 0]) for view in (1, 2, 3))
        for slow, fast in ((0, 2), (1, 3)):
            assert torch.equal(clip.videos[slow, 2], clip.videos[fast, 1])
            assert torch.equal(clip.cameras.c2w[slow, 2], clip.cameras.c2w[fast, 1])

    def test_mistakes(self, real_estate: Path, tmp_path: Path) -> None:
        next((real_estate / "b").iterdir()).unlink()
        with pytest.raises(ValueError, match=r"b has 14 frames, b.txt 15 poses; expected one each"):
            RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE).views(0)
        with pytest.raises(ValueError, match=r"a\.mp4 has 15 frames; training takes 17 of a clip"):
            RealEstate10KViews(real_estate, 9, SIZE, SIZE).views(1)
        (empty := tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="holds no pose files"):
            RealEstate10KViews(empty, FRAMES, SIZE, SIZE)
        (real_estate / "captions.json").write_text("[1]")
        with pytest.raises(ValueError, match="not a map from clip names to prompts"):
            RealEstate10KViews(real_estate, FRAMES, SIZE, SIZE)


class TestVideos:
    def test_copy_is_deformed_from_the_second_frame_on(self, tmp_path: Path) -> None:
        write_video(rendered()[2], tmp_path / "c.mp4", 8)
        pair = VideoViews(tmp_path, FRAMES, 64, SIZE).views(0)
        assert pair.cameras is None
        assert pair.prompt == ""
        torch.testing.assert_close(pair.videos[0, 0], pair.videos[1, 0], rtol=0, atol=1e-5)
        assert pair.valid[:, 0].all()
        assert (pair.videos[0, -1] - pair.videos[1, -1]).abs().mean() > 0.01

    def test_not_a_video(self, tmp_path: Path) -> None:
        (tmp_path / "d.mp4").write_text("not a video")
        with pytest.raises(ValueError, match=r"d.mp4 cannot be read as a video.*replace or remove it"):
            VideoViews(tmp_path, FRAMES, 64, SIZE).views(0)


class TestDecode:
    def test_frames_are_those_asked_for(self, tmp_path: Path) -> None:
        """Every frame has its own brightness; a key frame every 5 makes seeking matter."""
        frames = torch.arange(40)[:, None, None, None].expand(40, 32, 32, 3).mul(6).byte().contiguous()
        write_video(frames, tmp_path / "e.mp4", 8)
        wanted = [33, 7, 12, 7]
        read = VideoFile(tmp_path / "e.mp4").read(wanted).float().mean((1, 2, 3))
        assert (read - torch.tensor(wanted) * 6.0).abs().max() < 2

    def test_pictures_of_a_clip_are_equal_in_size(self, tmp_path: Path) -> None:
        for k, side in enumerate((8, 8, 9)):
            Image.new("RGB", (side, 8)).save(tmp_path / f"{k}.png")
        with pytest.raises(ValueError, match="different sizes"):
            PictureFolder(tmp_path).read([0, 2])

    @pytest.mark.parametrize(("width", "height"), [(16, 16), (32, 16), (16, 24)])
    def test_fit_takes_the_middle(self, width: int, height: int) -> None:
        y, x = torch.meshgrid(torch.arange(36), torch.arange(64), indexing="ij")
        frame = torch.stack([x, y, x * 0]).byte()[None]
        fitted = (fit(frame, width, height) + 1) * 127.5
        shown = min(64, 36 * width / height), min(36, 64 * height / width)
        for channel, (axis, whole) in enumerate(((3, 64), (2, 36))):
            line = fitted[0, channel].mean(0 if axis == 3 else 1)
            assert abs(line.mean() - (whole - 1) / 2) < 0.6
            assert abs((line[-1] - line[0]) - shown[channel] * (1 - 1 / len(line))) < 1.5
