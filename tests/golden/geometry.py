"""Replay of geometry_*, mask_*, module_* and schedule_* files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.geometry.epipolar import PairGeometry, about_center, pair_geometry
from cvd_core.geometry.formats import read_cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.geometry.rigs import make_rig
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.context import SyncContext
from cvd_core.sync.module import SyncModule
from tests import formula
from tests.golden.case import Case, Outcome, RecordedDraws, deviation

FRAMES = 16


def replay_geometry(case: Case) -> Outcome:
    return _replay_pose_file(case) if "plucker" in case else _replay_rig(case)


def _replay_pose_file(case: Case) -> Outcome:
    """Write the recorded numbers as a pose file, read it, and compare all that follows from it."""
    w2c, intrinsics = case.tensor("w2c"), case.tensor("fxfycxcy")
    rows = [
        " ".join(f"{x:.17g}" for x in [i, *k.tolist(), 0, 0, *m[:3].flatten().tolist()])
        for i, (k, m) in enumerate(zip(intrinsics, w2c, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poses.txt"
        path.write_text("\n".join(["https://example.org/clip", *rows]) + "\n")
        cameras = read_cameras(path)
    relative = cameras.relative_to_first()
    errors = [
        deviation(cameras.w2c[0], w2c),
        deviation(cameras.c2w[0], case.tensor("c2w")),
        deviation(cameras.intrinsics[0], intrinsics),
        deviation(relative.c2w[0], case.tensor("relative_c2w")),
    ]
    height, width = case.integer("plucker_height"), case.integer("plucker_width")
    pixels = torch.tensor([width, height, width, height], dtype=torch.float64)
    seen = type(relative)(relative.c2w, case.tensor("plucker_K")[None] / pixels)
    errors.append(deviation(plucker_embedding(seen, width, height)[0], case.tensor("plucker")))
    return Outcome(max(errors), 1e-5)


def _replay_rig(case: Case) -> Outcome:
    views, frames = case.arrays["c2w"].shape[:2]
    size = case.integer("image_size")
    pattern = case.tag.removeprefix("rig_").rpartition("_")[0]
    rig = make_rig(pattern, views, frames, distance=case.number("camera_dist"))
    return Outcome(max(deviation(rig.c2w, case.tensor("c2w")), deviation(rig.K(size, size), case.tensor("K"))), 1e-5)


def recorded_bias(case: Case, partners: dict[int, tuple[int, ...]]) -> EpipolarBias:
    """The bias of a case, from whichever of F_mats_views, H_mats, cameras or nothing it holds.

    F_mats_views is ordered like ``partners``: first all views with their first partner, then with their second.
    """
    size = case.integer("image_size")
    views = len(partners)

    def geometry(view: int, partner: int) -> PairGeometry:
        if "H_mats" in case:
            return PairGeometry.from_homographies(about_center(case.tensor("H_mats")[view], size, size))
        if "F_mats_views" in case:
            row = partners[view].index(partner) * views + view
            return PairGeometry.from_fundamental(case.tensor("F_mats_views")[row])
        if "c2w" in case:
            return pair_geometry(case.cameras(), view, partner, size, size)
        return PairGeometry.from_homographies(torch.eye(3).expand(FRAMES, 3, 3))

    without_cameras = "H_mats" in case or not ("F_mats_views" in case or "c2w" in case)
    return EpipolarBias(geometry, FRAMES, size, size, slope_per_frame=without_cameras)


def recorded_partners(case: Case, views: int) -> dict[int, tuple[int, ...]]:
    """``partners`` (P, V) or ``partner`` (V,); two views without either are a pair."""
    if "partners" in case:
        return {view: tuple(column) for view, column in enumerate(case.arrays["partners"].T.tolist())}
    if "partner" in case:
        return {view: (partner,) for view, partner in enumerate(case.arrays["partner"].tolist())}
    return {view: (view ^ 1,) for view in range(views)}


def replay_mask(case: Case) -> Outcome:
    n = case.integer("feature_size")
    rows = case.arrays["frames"].tolist()
    views = len(case.arrays["F_mats_views"]) if "F_mats_views" in case else max(2, max(rows) // FRAMES + 1)
    partners = recorded_partners(case, views)
    bias = recorded_bias(case, partners)
    angles = bias.draw_slopes(RecordedDraws(case).slopes, views)
    found = []
    for row in rows:
        view, frame = divmod(row, FRAMES)
        one, every = slice(frame, frame + 1), slice(0, n * n)
        mask = bias.rows(
            view, partners[view], one, every, (n, n), angles[view], dtype=torch.float32, device=torch.device("cpu")
        )
        found.append(mask[0, case.tensor("query_rows").long()])
    return Outcome(deviation(torch.stack(found), case.tensor("mask")), 2e-3)


def replay_module(case: Case) -> Outcome:
    shape = tuple(case.arrays["x_shape"].tolist())
    views, branches = case.integer("views"), case.integer("branches")
    module = SyncModule(shape[1])
    module.load_state_dict({key: formula.weight(key, value.shape) for key, value in module.state_dict().items()})
    partners = recorded_partners(case, views)
    context = SyncContext(
        tuple(range(views)), partners, RecordedDraws(case).slopes, recorded_bias(case, partners), branches
    )
    x = case.noise("x", shape).transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        y: Tensor = module(x, context).view(shape[0], shape[2], shape[1], *shape[3:]).transpose(1, 2)
    return Outcome(deviation(y.flatten()[case.tensor("y_idx").long()], case.tensor("y_val")), 2e-4)
