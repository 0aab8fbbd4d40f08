"""All measures of one set of views. A group whose requirements are not met is left out, with a note."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch

from cvd_core.evaluation import features as networks
from cvd_core.evaluation import sfm
from cvd_core.evaluation.camera_measures import PATHS, WITHIN, measure_paths, measure_two_view
from cvd_core.evaluation.cross_view import Agreement, agreement, copy_control, epipolar_distances
from cvd_core.evaluation.distances import frechet_across, frechet_distance, kernel_distance
from cvd_core.evaluation.equal_cameras import equal_first_frames, equal_views, mse_between
from cvd_core.evaluation.footage import Footage, prompted_objects, read_reference, reference_videos
from cvd_core.evaluation.matching import Matcher
from cvd_core.evaluation.object_motion import commanded_motion, compare_motion, observed_motion
from cvd_core.evaluation.objects import ObjectTracks, check_colours, track_objects
from cvd_core.evaluation.results import Plot, Results, mean, over_frames
from cvd_core.evaluation.transfer import transfer
from cvd_core.evaluation.truck_test import TYPICAL_DEPTH
from cvd_core.evaluation.true_views import TRUE, measure_true_views
from cvd_core.fields import FieldError
from cvd_core.geometry.cameras import Cameras

ALIKE = "Pictures that should be the same"
OBJECTS = "Objects of procedural scenes"
CONTROL = "Objects: copy control"
FEATURES = "Text and fidelity"
PARTS = (FEATURES, TRUE, PATHS, WITHIN, ALIKE, OBJECTS)
"""In the order in which they are measured: first what can fail for want of a usable file, then what takes long."""
MOST_SEEDS = 2**31
"""Seeds of structure from motion are below this: COLMAP's are 32-bit integers."""


@dataclass(frozen=True)
class Options:
    """What to measure in addition to what needs no input.

    Attributes:
        objects: colours of the objects by name; empty for none, None for those that the prompts name.
        trials, seed: of structure from motion; 0 trials leave it out.
        clip, inception, i3d: files of networks, see :mod:`cvd_core.evaluation.features`.
        reference: folder of real videos for FID, KID and FVD.
        truth: folder of true videos of some or all views, called as they are, for PSNR, SSIM and LPIPS.
        lpips: network for LPIPS, see :mod:`cvd_core.evaluation.true_views`.
        matcher: of the two-view measures; None for SIFT.

    Raises:
        FieldError: a value out of range, or a reference without a network or the other way round.
        ValueError: colours that cannot be told apart.
    """

    objects: Mapping[str, Sequence[float]] | None = None
    trials: int = sfm.TRIALS
    seed: int = 0
    clip: Path | None = None
    inception: Path | None = None
    i3d: Path | None = None
    reference: Path | None = None
    truth: Path | None = None
    lpips: Path | None = None
    matcher: Matcher | None = None

    def __post_init__(self) -> None:
        if self.trials < 0:
            raise FieldError("trials", f"is {self.trials}; expected 0 or more")
        if not 0 <= self.seed <= MOST_SEEDS - max(self.trials, 1):
            raise FieldError("seed", f"is {self.seed}; expected a whole number from 0 to 2**31 - the number of trials")
        if self.objects:
            check_colours(self.objects)
        if self.inception and not self.reference:
            raise FieldError("inception", "lacks a `reference`; FID and KID compare with a folder of real videos")
        if self.lpips and not self.truth:
            raise FieldError("lpips", "lacks a `truth`; LPIPS compares with a folder of true views")
        if self.reference and not (self.inception or self.i3d):
            raise FieldError(
                "reference",
                f"lacks `inception` or `i3d`; FID and KID need {networks.INCEPTION}, FVD {networks.I3D}. Nothing is "
                "downloaded",
            )


def evaluate_views(
    footage: Footage,
    options: Options = Options(),
    progress: Callable[[str], None] = lambda stage: None,
) -> Results:
    """Measure everything that can be measured.

    Args:
        footage: videos and cameras.
        options: of the measures.
        progress: called with each of :data:`PARTS` before it is measured.

    Raises:
        ValueError: something that was asked for cannot be used, such as a network's file.
    """
    views, frames, height, width, _ = footage.videos.shape
    results = Results({"videos": ", ".join(file.name for file in footage.files)})
    results.facts |= {"size": f"{views} views x {frames} frames, {width} x {height} pixels"}
    if footage.prompts:
        results.facts["prompt"] = " | ".join(dict.fromkeys(footage.prompts))
    progress(FEATURES)
    fidelity = Results({})  # measured first, reported last
    _features(footage, options, fidelity)
    progress(TRUE)
    if options.truth:
        measure_true_views(footage, fidelity, options.truth, options.lpips)
    progress(PATHS)
    measure_paths(footage, results, options.trials, options.seed)
    progress(WITHIN)
    measure_two_view(footage, results, options.matcher)
    progress(ALIKE)
    _alike(footage, results)
    progress(OBJECTS)
    _objects(footage, options, results)
    results.measures += fidelity.measures
    results.notes += fidelity.notes
    return results


def _alike(footage: Footage, results: Results) -> None:
    videos, cameras = footage.videos, footage.cameras
    found = {f"{cameras.names[a]} - {cameras.names[b]}": mse_between(videos, a, b) for a, b in equal_views(cameras)}
    lines = {subject: over_frames(mse) for subject, mse in found.items()}
    if found:
        averages = {subject: float(mse.mean()) for subject, mse in found.items()}
        for subject, value in {"all": mean(list(averages.values())), **averages}.items():
            results.add(ALIKE, subject, [("MSE, identical trajectories", value, "", "lower")])
        results.plots.append(
            Plot(ALIKE, "Views under identical trajectories", "frame", "MSE, colours in [0, 1]", lines)
        )
    if cameras.views > 1 and equal_first_frames(cameras):
        firsts = [float(mse_between(videos[:, :1], a, b)) for a, b in combinations(range(cameras.views), 2)]
        results.add(ALIKE, "all", [("MSE, common first frames", mean(firsts), "", "lower")])


def _objects(footage: Footage, options: Options, results: Results) -> None:
    objects = prompted_objects(footage.prompts) if options.objects is None else options.objects
    if not objects:
        return
    cameras = footage.cameras
    tracks = track_objects(footage.videos, objects)
    results.facts["objects"] = ", ".join(tracks.names)
    found = 100 * (tracks.areas > 0).double().mean((0, 1))
    results.add(OBJECTS, "all", [(f"{n} found", float(x), "%", "") for n, x in zip(tracks.names, found, strict=True)])
    observed, commanded = observed_motion(tracks), commanded_motion(tracks, cameras, TYPICAL_DEPTH)
    result = compare_motion(observed, commanded)
    results.add(
        OBJECTS,
        "all",
        [
            (f"fraction of the commanded motion, at depth {TYPICAL_DEPTH:g}", result.fraction, "", ""),
            ("tracks that move to the right side", 100 * result.right_sign, "%", "higher"),
            ("correlation of commanded and observed motion", result.correlation, "", "higher"),
            ("tracks", float(result.tracks), "", ""),
        ],
    )
    if result.tracks:
        title = "Motion of objects from the first frame, all frames, x and y"
        lines = {
            f"{cameras.names[v]}, {name}": (commanded[v, m].flatten().tolist(), observed[v, m].flatten().tolist())
            for v in range(cameras.views)
            for m, name in enumerate(tracks.names)
        }
        results.plots.append(Plot(OBJECTS, title, "commanded, pixels", "observed, pixels", lines, points=True))
    if cameras.views < 2:
        return
    results.add(OBJECTS, "all", [*_agreement_rows(agreement(tracks, cameras)), *_against_a_copy(tracks, cameras)])
    results.add(CONTROL, f"{cameras.names[0]} shown as all", _agreement_rows(copy_control(tracks, cameras)))
    distances = epipolar_distances(tracks, cameras)
    pairs = combinations(cameras.names, 2)
    lines = {f"{a} - {b}": over_frames(d.nanmean(-1)) for (a, b), d in zip(pairs, distances, strict=True)}
    results.plots.append(Plot(OBJECTS, "Objects to their epipolar lines", "frame", "pixels", lines))


def _against_a_copy(tracks: ObjectTracks, cameras: Cameras) -> list[tuple[str, float, str, str]]:
    found = transfer(tracks, cameras)
    return [
        ("place, a copy 0 and the truth 1 (objects at rest)", found.place, "", "higher"),
        ("size, a copy 0 and the truth 1 (objects at rest)", found.size, "", "higher"),
        ("nearer of two objects, as each video tells (at rest)", 100 * found.order, "%", "higher"),
        ("places judged against a copy", float(found.judged), "", ""),
    ]


def _agreement_rows(measured: Agreement) -> list[tuple[str, float, str, str]]:
    return [
        ("epipolar distance of centroids", measured.epipolar, "px", "lower"),
        ("reprojection error, each frame", measured.reprojection, "px", "lower"),
        ("points whose rays do not meet", 100 * measured.apart, "%", "lower"),
        ("reprojection error, all frames (objects at rest)", measured.resting, "px", "lower"),
        ("difference of colour", measured.colour, "", "lower"),
        ("difference of size, |log ratio|", measured.size, "", "lower"),
        ("difference of roundness", measured.shape, "", "lower"),
        ("found in both views", 100 * measured.compared, "%", "higher"),
    ]


def _features(footage: Footage, options: Options, results: Results) -> None:
    files = reference_videos(options.reference) if options.reference else []
    clip = networks.Clip(options.clip) if options.clip else None
    inception = networks.load_network(options.inception, networks.INCEPTION) if options.inception else None
    i3d = networks.load_network(options.i3d, networks.I3D) if options.i3d else None
    if clip:
        _clip(clip, footage, results)
    if i3d and footage.cameras.views > 1:
        _across_views(i3d, footage, results)
    if not files:
        return
    real = read_reference(files, footage.cameras.frames)
    count = f"{len(footage.videos)} videos against {len(real)}"
    results.notes.append(
        f"{FEATURES}: {count}. FID and FVD of few samples are far too high; compare sets of equal size only."
    )
    if inception:
        made, given = (networks.inception_features(inception, videos) for videos in (footage.videos, real))
        rows = [("FID", frechet_distance(made, given), "", "lower")]
        results.add(FEATURES, "all", [*rows, ("KID x 100", 100 * kernel_distance(made, given), "", "lower")])
    if i3d:
        made, given = (networks.i3d_features(i3d, videos) for videos in (footage.videos, real))
        results.add(FEATURES, "all", [("FVD", frechet_distance(made, given), "", "lower")])


def _across_views(i3d: torch.jit.ScriptModule, footage: Footage, results: Results) -> None:
    """FVD-V."""
    if footage.cameras.frames < networks.FEWEST_CUT_FRAMES:
        results.notes.append(f"FVD-V: left out, it needs {networks.FEWEST_CUT_FRAMES} frames or more.")
        return
    clips = networks.cut_clips(footage.videos)
    features = networks.i3d_features(i3d, clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    results.add(FEATURES, "all", [("FVD-V, across views", frechet_across(features), "", "lower")])
    results.notes.append(
        f"FVD-V: {clips.shape[1]} clips of {networks.CLIP_FRAMES} frames of each view; far too high for few clips, "
        "compare runs of one length only."
    )


def _clip(clip: networks.Clip, footage: Footage, results: Results) -> None:
    pictures = clip.pictures(footage.videos)
    rows = []
    if footage.prompts:
        rows.append(("CLIP-T", 100 * networks.clip_t(pictures, clip.texts(footage.prompts)), "%", "higher"))
    else:
        results.notes.append("CLIP-T: left out, no prompt is known.")
    if footage.cameras.frames > 1:
        rows.append(("CLIP-F, adjacent frames", 100 * networks.clip_f(pictures), "%", "higher"))
    if footage.cameras.views > 1:
        rows.append(("CLIP-V, across views", 100 * networks.clip_v(pictures), "%", "higher"))
    results.add(FEATURES, "all", rows)
