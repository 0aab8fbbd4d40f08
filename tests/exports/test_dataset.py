"""Datasets as their readers see them: pycolmap, nerfstudio's layout, D-NeRF's own arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image
from torch import Tensor

from cvd_core.exports.dataset import DATASETS, write_dataset
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.geometry.plucker import camera_rays
from cvd_core.geometry.rigs import make_rig

VIEWS, FRAMES, HEIGHT, WIDTH = 3, 4, 24, 32
POINTS = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))


@pytest.fixture(scope="module")
def rig() -> Cameras:
    return replace(make_rig("orbit", VIEWS, FRAMES, aspect=WIDTH / HEIGHT), names=("left", "middle", "right"))


@pytest.fixture(scope="module")
def videos() -> Tensor:
    return torch.randint(0, 256, (VIEWS, FRAMES, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=torch.manual_seed(0))


def picture(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image))


def test_pycolmap_reads_every_moment(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    folders = write_dataset(videos, rig, tmp_path / "out", "moments")
    assert [folder.name for folder in folders] == [f"moment_{frame:04}" for frame in range(FRAMES)]
    for frame, folder in enumerate(folders):
        model = pycolmap.Reconstruction(str(folder / "sparse" / "0"))
        assert model.num_images() == VIEWS
        for image in model.images.values():
            view = rig.names.index(image.name.split("/")[0])
            assert torch.equal(picture(folder / "images" / image.name), videos[view, frame])
            w2c = np.linalg.inv(rig.c2w[view, frame].numpy())
            in_camera = POINTS @ w2c[:3, :3].T + w2c[:3, 3]
            expected = in_camera @ rig.K(WIDTH, HEIGHT)[view, frame].numpy().T
            camera = model.cameras[image.camera_id]
            assert (camera.width, camera.height) == (WIDTH, HEIGHT)
            seen = camera.img_from_cam(POINTS @ image.cam_from_world().rotation.matrix().T + w2c[:3, 3])
            np.testing.assert_allclose(image.cam_from_world().translation, w2c[:3, 3], atol=1e-9)
            np.testing.assert_allclose(seen, expected[:, :2] / expected[:, 2:], atol=1e-6)


def test_transforms_json_names_the_pictures_of_its_moment(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    for frame, folder in enumerate(write_dataset(videos, rig, tmp_path / "out", "moments")):
        listed = json.loads((folder / "transforms.json").read_text())["frames"]
        for view, entry in enumerate(listed):
            assert torch.equal(picture(folder / entry["file_path"]), videos[view, frame])
        again = read_cameras(folder / "transforms.json")
        assert again.names == rig.names
        torch.testing.assert_close(again.c2w[:, 0], rig.c2w[:, frame], rtol=0, atol=1e-12)


def test_dnerf_rays(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    """D-NeRF's loader: file_path + .png, focal from the angle, rays through pixels counted from their corner."""
    write_dataset(videos, rig, tmp_path / "out", "dnerf")
    meta = json.loads((tmp_path / "out" / "transforms_train.json").read_text())
    assert len(meta["frames"]) == VIEWS * FRAMES
    focal = 0.5 * WIDTH / math.tan(0.5 * meta["camera_angle_x"])
    origins, directions = camera_rays(rig, WIDTH, HEIGHT)
    for index, entry in enumerate(meta["frames"]):
        view, frame = divmod(index, FRAMES)
        shown = picture(tmp_path / "out" / f"{entry['file_path']}.png")
        assert torch.equal(shown[..., :3], videos[view, frame])
        assert bool((shown[..., 3] == 255).all())
        assert entry["time"] == frame / (FRAMES - 1)
        c2w = torch.tensor(entry["transform_matrix"], dtype=torch.float64)
        i, j = torch.meshgrid(torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT) + 0.5, indexing="xy")
        in_camera = torch.stack([(i - WIDTH / 2) / focal, -(j - HEIGHT / 2) / focal, -torch.ones_like(i)], -1).double()
        world = torch.nn.functional.normalize((in_camera[..., None, :] * c2w[:3, :3]).sum(-1), dim=-1)
        torch.testing.assert_close(world, directions[view, frame], rtol=0, atol=1e-6)
        torch.testing.assert_close(c2w[:3, 3], origins[view, frame])


def test_views_are_held_out(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    write_dataset(videos, rig, tmp_path / "out", "dnerf", held_out=["middle"])
    listed = {
        split: [
            f["file_path"] for f in json.loads((tmp_path / "out" / f"transforms_{split}.json").read_text())["frames"]
        ]
        for split in ("train", "val", "test")
    }
    assert listed["test"] == listed["val"] == [f"./test/middle_{frame:05}" for frame in range(FRAMES)]
    assert len(listed["train"]) == (VIEWS - 1) * FRAMES
    for names in listed.values():
        assert all((tmp_path / "out" / f"{name}.png").is_file() for name in names)


def test_without_held_out_views_the_test_is_the_training(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    write_dataset(videos, rig, tmp_path / "out", "dnerf")
    texts = {(tmp_path / "out" / f"transforms_{split}.json").read_text() for split in ("train", "val", "test")}
    assert len(texts) == 1


@pytest.mark.parametrize("layout", DATASETS)
def test_nothing_is_overwritten_and_mistakes_leave_nothing(
    tmp_path: Path, rig: Cameras, videos: Tensor, layout: str
) -> None:
    out = tmp_path / "out"
    written = write_dataset(videos, rig, out, layout)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {path.name for path in out.iterdir()} == {path.name for path in written}
    with pytest.raises(ValueError, match="already holds"):
        write_dataset(videos, rig, out, layout)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, rig: Cameras, videos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, count = Image.Image.save, iter(range(100))

    def fail_at_the_eighth(self: Image.Image, *args: object, **options: object) -> None:
        if next(count) == 8:
            raise OSError(28, "No space left on device")
        saved(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", fail_at_the_eighth)
    with pytest.raises(OSError, match="No space"):
        write_dataset(videos, rig, tmp_path / "out", "moments")
    assert list(tmp_path.iterdir()) == []


def with_lens(rig: Cameras, **changes: float) -> Cameras:
    """``rig`` with numbers of the last view's last lens changed, by the places of fx, fy, cx and cy."""
    lens = rig.intrinsics.clone()
    for name, value in changes.items():
        lens[-1, -1, ("fx", "fy", "cx", "cy").index(name)] = value
    return replace(rig, intrinsics=lens)


def test_lenses_that_dnerf_cannot_say_are_refused(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    for changed, problem in (
        (with_lens(rig, fx=2.0, fy=2.0 * WIDTH / HEIGHT), "another focal length than the first"),
        (with_lens(rig, cx=0.6), "an off-centre lens"),
        (replace(rig, intrinsics=rig.intrinsics * torch.tensor([1, 1.1, 1, 1])), "pixels that are not square"),
    ):
        with pytest.raises(ValueError, match=f"has {problem}; export moments"):
            write_dataset(videos, changed, tmp_path / "out", "dnerf")
    write_dataset(videos, with_lens(rig, cx=0.6), tmp_path / "moments", "moments")
    assert not (tmp_path / "out").exists()


def test_mistakes(tmp_path: Path, rig: Cameras, videos: Tensor) -> None:
    for layout, change, message in (
        ("nerf", {}, "dataset layout is 'nerf'"),
        ("dnerf", {"held_out": ["centre"]}, "no view 'centre'"),
        ("dnerf", {"held_out": list(rig.names)}, "leave at least one"),
        ("moments", {"held_out": ["left"]}, "is for the layout dnerf"),
    ):
        with pytest.raises(ValueError, match=message):
            write_dataset(videos, rig, tmp_path / "out", layout, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one camera per picture"):
        write_dataset(videos[:, :3], rig, tmp_path / "out", "moments")
    with pytest.raises(ValueError, match="expected uint8"):
        write_dataset(videos.float(), rig, tmp_path / "out", "moments")
    with pytest.raises(ValueError, match="cannot be part of a file name"):
        write_dataset(videos, replace(rig, names=("a/b", "c", "d")), tmp_path / "out", "moments")
