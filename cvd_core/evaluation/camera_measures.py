"""The parts of an evaluation that measure cameras: structure from motion, and two-view geometry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch

from cvd_core.evaluation import sfm
from cvd_core.evaluation.extras import has_extra, missing_extra
from cvd_core.evaluation.footage import Footage
from cvd_core.evaluation.matching import Matcher, SiftMatcher, matcher_name
from cvd_core.evaluation.poses import canonical, pose_errors
from cvd_core.evaluation.results import Plot, Results, mean, over_frames
from cvd_core.evaluation.two_view import THRESHOLDS, TwoView, across_views, match_views, summarise, within_view

PATHS = "Camera paths (structure from motion)"
WITHIN = "Two-view geometry within a view"
ACROSS = "Two-view geometry across views"
MATCHED = "Views at equal times, by matches (SynCamMaster)"

_PATH_MEASURES = (("RotErr", "rot_err", "rad"), ("TransErr", "trans_err", ""), ("CamMC", "cam_mc", ""))


def measure_paths(footage: Footage, results: Results, trials: int, seed: int) -> None:
    """RotErr, TransErr and CamMC of every view; 0 trials skip them."""
    frames = footage.cameras.frames
    if not trials:
        results.notes.append(f"{PATHS}: left out, 0 trials.")
        return
    if not has_extra("pycolmap"):
        results.notes.append(f"{PATHS}: left out, {missing_extra('pycolmap')}")
        return
    if frames < sfm.FEWEST_FRAMES:
        results.notes.append(f"{PATHS}: left out, {frames} frames; at least {sfm.FEWEST_FRAMES} are needed.")
        return
    errors, lines = [], {}
    for view, name in enumerate(footage.cameras.names):
        true = footage.cameras.select([view])
        attempts = sfm.estimate_path(footage.videos[view], true.intrinsics[0], trials, seed)
        error = sfm.path_error(attempts, true)
        errors.append(error)
        results.add(PATHS, name, _path_rows(error))
        if error.problems:
            results.notes.append(f"{name}: {error.failed} of {error.trials} trials failed: {'; '.join(error.problems)}")
        if error.pure_rotation:
            results.notes.append(
                f"{name} only turns: structure from motion has no parallax to work with, TransErr and CamMC are "
                "undefined."
            )
        if found := [attempt.cameras for attempt in attempts if attempt.cameras is not None]:
            if not error.pure_rotation:
                results.paths.append((canonical(true), canonical(replace(found[0], names=true.names))))
            turned = torch.stack([pose_errors(path, true).rotation[0] for path in found]).mean(0)
            lines[name] = over_frames(torch.rad2deg(turned))
    results.add(
        PATHS,
        "all",
        [(key, mean([getattr(e, attribute) for e in errors]), unit, "lower") for key, attribute, unit in _PATH_MEASURES]
        + [
            ("trials", float(sum(e.trials for e in errors)), "", ""),
            ("failed trials", float(sum(e.failed for e in errors)), "", "lower"),
        ],
    )
    if lines:
        title = "Angle between estimated and commanded rotation, mean of the trials"
        results.plots.append(Plot(PATHS, title, "frame", "degrees", lines))


def _path_rows(error: sfm.PathError) -> list[tuple[str, float, str, str]]:
    rows = [(key, float(getattr(error, attribute)), unit, "lower") for key, attribute, unit in _PATH_MEASURES]
    rows += [
        (f"{key} spread", spread, unit, "") for (key, _, unit), spread in zip(_PATH_MEASURES, error.spread, strict=True)
    ]
    return [*rows, ("trials", float(error.trials), "", ""), ("failed trials", float(error.failed), "", "lower")]


def measure_two_view(footage: Footage, results: Results, matcher: Matcher | None = None) -> None:
    """Measures of matches within every view and across all pairs of views, by SIFT unless another matcher is given."""
    if not has_extra("cv2"):
        results.notes.append(f"{WITHIN} and across views: left out, {missing_extra('cv2')}")
        return
    matcher = matcher or SiftMatcher()
    videos, cameras = footage.videos, footage.cameras
    _judge(results, WITHIN, {name: within_view(videos, cameras, v, matcher) for v, name in enumerate(cameras.names)}, 1)
    size = (videos.shape[3], videos.shape[2])
    pairs: dict[str, list[TwoView | None]] = {}
    counts: dict[str, list[float]] = {}
    for a, b in combinations(range(cameras.views), 2):
        name = f"{cameras.names[a]} - {cameras.names[b]}"
        matches = match_views(videos, a, b, matcher)
        pairs[name] = across_views(matches, cameras, a, b, size)
        counts[name] = [float(len(found.a)) for found in matches]
    if pairs:
        _judge(results, ACROSS, pairs, 0)
        _matched(results, pairs, counts, matcher_name(matcher))


def _matched(
    results: Results, pairs: Mapping[str, Sequence[TwoView | None]], counts: Mapping[str, Sequence[float]], matcher: str
) -> None:
    """SynCamMaster's measures of matches (Sec. 4.1): how many there are, and errors of the poses they give."""
    every = [pair for found in pairs.values() for pair in found], [n for found in counts.values() for n in found]
    subjects = {name: (pairs[name], counts[name]) for name in pairs} if len(pairs) > 1 else {}
    for subject, (judged, numbers) in {**subjects, "all": every}.items():
        known = [pair for pair in judged if pair is not None]
        posed = [pair for pair in known if math.isfinite(pair.rotation)]
        results.add(
            MATCHED,
            subject,
            [
                (f"Mat. Pix. by {matcher}, per picture pair", mean(numbers), "", "higher"),
                ("RotErr", math.radians(mean([pair.rotation for pair in posed])), "rad", "lower"),
                ("TransErr", mean([pair.direction for pair in posed]), "", "lower"),
                ("picture pairs without a pose", float(len(known) - len(posed)), "", "lower"),
            ],
        )
    lines = {name: over_frames(torch.tensor(numbers)) for name, numbers in counts.items()}
    results.plots.append(Plot(MATCHED, f"Pixels matched by {matcher}", "frame", "matches", lines))


def _judge(results: Results, group: str, found: Mapping[str, Sequence[TwoView | None]], first: int) -> None:
    """Rows and a curve for every subject, and rows for all together. ``first``: frame of the first pair."""
    everything = [pair for pairs in found.values() for pair in pairs]
    for subject, pairs in {**(found if len(found) > 1 else {}), "all": everything}.items():
        s = summarise(pairs)
        aucs = (("rotation", s.rotation_auc), ("translation", s.translation_auc))
        rows = [
            (f"{kind} AUC@{threshold:g} deg", 100 * value, "%", "higher")
            for kind, values in aucs
            for threshold, value in zip(THRESHOLDS, values, strict=True)
        ]
        rows += [
            ("precision", 100 * s.precision, "%", "higher"),
            ("matching score", 100 * s.matching_score, "%", "higher"),
        ]
        rows += [("epipolar error of matches", s.epipolar, "px", "lower")]
        results.add(group, subject, [*rows, ("picture pairs", float(s.pairs), "", "")])
    if skipped := sum(pair is None for pair in everything):
        results.notes.append(f"{group}: {skipped} of {len(everything)} pairs have no baseline and were not judged.")
    lines = {
        name: ([float(f) for f in range(first, first + len(pairs))], [p.epipolar if p else math.nan for p in pairs])
        for name, pairs in found.items()
    }
    results.plots.append(Plot(group, "Median epipolar error of the matches", "frame", "pixels", lines))
