"""Plücker and epipolar nodes in the real host, and what their pictures show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats import cameras_to_rows
from cvd_core.geometry.moves import make_move
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.geometry.rigs import make_rig
from tests.nodes.host_process import Host

WIDTH, HEIGHT, GAP = 96, 64, 8


def epipolar(host: Host, cameras: Cameras, **inputs: Any) -> tuple[Any, Tensor]:
    defaults: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "band": "soft", "threshold": 3.0}
    defaults |= {"query_view": 0, "query_x": 0.5, "query_y": 0.5}
    spec, preview = host.call("CVD_EpipolarMask", cameras=cameras, **defaults | inputs)
    return spec, preview


def panel(preview: Tensor, index: int, columns: int, width: int, height: int) -> Tensor:
    """``(F, height, width, 3)`` the panel at place ``index`` of a sheet."""
    left, top = GAP + index % columns * (width + GAP), GAP + index // columns * (height + GAP)
    return preview[:, top : top + height, left : left + width]


def played(host: Host, shown: dict[str, Any]) -> Path:
    (entry,) = shown["images"]
    assert shown["animated"] == [True]
    assert entry["type"] == "temp"
    return host.base / "temp" / entry["subfolder"] / entry["filename"]


class TestPlucker:
    def test_rays_of_prepared_cameras(self, host: Host) -> None:
        cameras = make_rig("orbit", 3, 5, focal=1.1)
        rays, preview, poses = host.call("CVD_PluckerEmbed", cameras=cameras, width=WIDTH, height=HEIGHT)
        prepared = prepare_cameras(cameras, WIDTH, HEIGHT)
        assert torch.equal(rays.embedding, plucker_embedding(prepared, WIDTH, HEIGHT))
        assert torch.equal(rays.cameras.intrinsics, prepared.intrinsics)
        assert (rays.width, rays.height, len(preview)) == (WIDTH, HEIGHT, 5)
        (first,) = cameras_to_rows(prepared.select([0]), WIDTH, HEIGHT)
        assert poses == first
        assert preview.shape[1] % 2 == preview.shape[2] % 2 == 0

    def test_picture_of_a_truck_and_of_a_pan(self, host: Host) -> None:
        moves = [make_move("truck", 4, amount=1).cameras(), make_move("pan", 4, amount=30).cameras()]
        _, preview, _ = host.call("CVD_PluckerEmbed", cameras=Cameras.concatenate(moves), width=64, height=64)
        truck, pan = (panel(preview, i, 2, 240, 482) for i in (0, 1))
        below_label = slice(40, 240)
        assert torch.equal(truck[0, below_label], truck[3, below_label])  # a truck does not turn the rays
        assert (pan[0, below_label] - pan[3, below_label]).abs().mean() > 0.05
        moments = slice(250, 480)
        assert truck[0, moments].max() < 0.05
        assert pan[3, moments].max() < 0.05  # a pan has no moments
        brightness = truck[:, moments].amax(-1).mean((1, 2))
        assert (brightness[1:] > brightness[:-1]).all()

    def test_the_node_plays_its_preview(self, host: Host) -> None:
        prompt = {
            "1": host.provide("CVD_CAMERAS", make_rig("circle", 2, 6)),
            "2": {"class_type": "CVD_PluckerEmbed", "inputs": {"cameras": ["1", 0], "width": 64, "height": 64}},
        }
        done = host.run(prompt, outputs=["2"])
        with Image.open(played(host, done.ui["2"])) as image:
            assert len(ImageSequence.all_frames(image)) == 6

    @pytest.mark.parametrize(("width", "height"), [(65, 64), (64, 56)])
    def test_sizes(self, host: Host, width: int, height: int) -> None:
        with pytest.raises(ValueError, match="expected a multiple of 8, at least 64"):
            host.call("CVD_PluckerEmbed", cameras=make_rig("circle", 2, 2), width=width, height=height)


class TestEpipolar:
    def test_specification(self, host: Host) -> None:
        cameras = make_rig("circle", 2, 3)
        spec, _ = epipolar(host, cameras, band="hard", threshold=5.0)
        assert torch.equal(spec.cameras.c2w, prepare_cameras(cameras, WIDTH, HEIGHT).c2w)
        assert (spec.width, spec.height, spec.band, spec.threshold) == (WIDTH, HEIGHT, "hard", 5.0)

    @pytest.mark.parametrize("band", ["soft", "hard"])
    @pytest.mark.parametrize("depth", [0.7, 1.0, 1.4])
    def test_the_band_covers_a_point_of_the_scene_wherever_it_is(self, host: Host, band: str, depth: float) -> None:
        cameras = prepare_cameras(make_rig("circle", 3, 4), WIDTH, HEIGHT)
        x, y = 0.4, 0.6
        _, preview = epipolar(
            host, cameras, band=band, query_x=x, query_y=y, image=torch.full((1, HEIGHT, WIDTH, 3), 0.5)
        )
        # the middle of the latent pixel that holds the query, pushed ``depth`` into the scene and seen by view 2
        column, row = int(x * WIDTH / 8), int(y * HEIGHT / 8)
        frame = 3
        fx, fy, cx, cy = cameras.intrinsics[0, frame].tolist()
        u, v = (column * 8 + 4) / WIDTH, (row * 8 + 4) / HEIGHT
        ray = torch.tensor([(u - cx) / fx, (v - cy) / fy, 1, 1 / depth], dtype=torch.float64) * depth
        X = cameras.w2c[2, frame] @ cameras.c2w[0, frame] @ ray
        fx, fy, cx, cy = cameras.intrinsics[2, frame].tolist()
        place = (float(X[0] / X[2] * fx + cx), float(X[1] / X[2] * fy + cy))
        assert min(place) > 0
        assert max(place) < 1
        shown = panel(preview, 2, 3, 320, 213)[frame]
        orange = shown[..., 0] - shown[..., 2]
        at = orange[int(place[1] * 213), int(place[0] * 320)]
        assert at > 0.2
        assert orange[40:].quantile(0.3) < 0.02  # most of the picture is outside the band

    def test_the_query_and_the_images_are_shown(self, host: Host) -> None:
        cameras = make_rig("stereo", 2, 3)
        images = torch.rand(6, 1, 1, 3, generator=torch.Generator().manual_seed(0)).expand(-1, HEIGHT, WIDTH, -1)
        _, preview = epipolar(host, cameras, query_view=1, query_x=0.75, query_y=0.25, image=images)
        query = panel(preview, 1, 2, 320, 213)
        for frame in range(3):
            assert torch.allclose(query[frame, 150, 60], images[3 + frame, 0, 0], atol=0.01)
        marked = (query[0] - images[3, 0, 0]).abs().sum(-1)[40:].amax(0)
        assert (marked > 0.2).nonzero().float().mean() == pytest.approx(0.75 * 320, abs=16)

    def test_the_room_is_closed_and_moves_past_the_cameras(self, host: Host) -> None:
        _, preview = epipolar(host, make_rig("stereo", 2, 3))  # 213 rows: the middle one looks along the floor
        room = panel(preview, 0, 2, 320, 213)
        assert room[:, 40:, :100].amax(-1).min() > 0.15
        assert (room[0] - room[2]).abs().mean() > 0.01

    def test_frames_without_a_baseline_say_so(self, host: Host) -> None:
        cameras = make_rig("circle", 2, 3)
        _, preview = epipolar(host, cameras)
        other = panel(preview, 1, 2, 320, 213)
        bright = (other[:, :30].amax(-1) > 0.9).float().sum((1, 2))  # the letters of the label
        assert bright[0] > 1.5 * bright[1]

    def test_the_node_plays_its_preview(self, host: Host) -> None:
        inputs = {"cameras": ["1", 0], "width": 64, "height": 64, "band": "soft", "threshold": 3.0}
        inputs |= {"query_view": 2, "query_x": 1.0, "query_y": 1.0}
        prompt = {
            "1": host.provide("CVD_CAMERAS", make_rig("upper_hemi", 4, 5)),
            "2": {"class_type": "CVD_EpipolarMask", "inputs": inputs},
        }
        done = host.run(prompt, outputs=["2"])
        with Image.open(played(host, done.ui["2"])) as image:
            assert len(ImageSequence.all_frames(image)) == 5

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({"query_view": 2}, "query_view is 2, but the cameras have 2 views"),
            ({"threshold": 0.0}, "epipolar threshold is 0.0"),
            ({"band": "firm"}, "band is 'firm'; expected one of soft, hard"),
            ({"width": 60}, "width is 60 pixels"),
            (
                {"image": torch.zeros(3, HEIGHT, WIDTH, 3)},
                "image holds 3 pictures; expected 1, or 6: 3 frames of 2 views",
            ),
            ({"image": torch.zeros(1, WIDTH, HEIGHT, 3)}, "image is 64 x 96 pixels; the mask is for 96 x 64"),
        ],
    )
    def test_mistakes(self, host: Host, inputs: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            epipolar(host, make_rig("circle", 2, 3), **inputs)


def test_previews_of_unusual_rigs(host: Host) -> None:
    """One view, cameras on the spot, one frame, rigs of a thousandth and a thousand units."""
    text = {"version": 1, "views": [{"moves": [{"name": "pan"}, {"name": "zoom", "amount": 0.5}]}]}
    cameras, _, picture = host.call(
        "CVD_CameraTrajectoryBuilder", views=1, frames=3, width=64, height=128, trajectory=json.dumps(text)
    )
    assert picture.std() > 0
    sets = [cameras, make_rig("circle", 1, 1), *(make_rig("circle", 2, 2, distance=d) for d in (1e-3, 1e3))]
    for given in sets:
        _, preview, _ = host.call("CVD_PluckerEmbed", cameras=given, width=64, height=128)
        assert preview.isfinite().all()
        _, preview = epipolar(host, given, query_view=given.views - 1)
        assert preview.isfinite().all()
        assert len(preview) == given.frames
