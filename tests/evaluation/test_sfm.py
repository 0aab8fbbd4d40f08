"""Global structure from motion on rendered clips, and its failures."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

from cvd_core.evaluation import extras
from cvd_core.evaluation.sfm import Trial, estimate_path, path_error
from cvd_core.scenes.render import film
from tests.evaluation.scenes import cluttered_scene, paths

needs_pycolmap = pytest.mark.skipif(
    importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed (extra eval)"
)
ARC, RISE, DOLLY = [1.0, 0, 0, 0, -12], [0.8, 0, 0.4, 0, -8], [0, 0, 1.2, 0, 0]


@pytest.mark.slow
@needs_pycolmap
@pytest.mark.parametrize(("seed", "amounts"), [(3, ARC), (3, RISE), (6, DOLLY)])
def test_rendered_paths_are_found(seed: int, amounts: list[float]) -> None:
    true = paths([amounts])
    video = film(cluttered_scene(seed), true, 256)[0]
    attempts = estimate_path(video, true.intrinsics[0], trials=3)
    error = path_error(attempts, true)
    assert error.failed == 0
    assert error.rot_err < 0.05, "radians, sum of 8 frames"
    assert error.trans_err < 0.1, "relative, sum of 8 frames"
    wrong = path_error(attempts, paths([[-x for x in amounts]]))
    assert wrong.trans_err > 20 * error.trans_err
    again = estimate_path(video, true.intrinsics[0], trials=1)[0]
    assert again.cameras is not None
    assert attempts[0].cameras is not None
    torch.testing.assert_close(again.cameras.c2w, attempts[0].cameras.c2w, atol=0, rtol=0)


@needs_pycolmap
def test_nothing_to_see_is_a_failed_trial() -> None:
    true = paths([ARC], frames=3)
    error = path_error(estimate_path(torch.full((3, 64, 64, 3), 128, dtype=torch.uint8), true.intrinsics[0], 2), true)
    assert (error.trials, error.failed) == (2, 2)
    assert error.problems == ("0 of 3 frames could be placed",)
    assert math.isnan(error.rot_err)


def test_failed_trials_are_counted_and_left_out_of_the_means() -> None:
    true = paths([ARC])
    error = path_error([Trial(0, None, "lost"), Trial(1, true), Trial(2, paths([DOLLY])), Trial(3, None, "lost")], true)
    assert (error.trials, error.failed, error.problems) == (4, 2, ("lost",))
    other = path_error([Trial(0, paths([DOLLY]))], true)
    assert error.trans_err == pytest.approx(other.trans_err / 2)
    assert error.spread[1] == pytest.approx(other.trans_err / 2)
    assert not error.pure_rotation
    assert path_error([Trial(0, true)], paths([[0, 0, 0, 0, 9.0]])).pure_rotation


@needs_pycolmap
@pytest.mark.parametrize(
    ("frames", "trials", "message"),
    [(2, 1, "2 frames, 1 trials; expected at least 3 frames"), (4, 0, "0 trials"), (4, 1, "intrinsics have shape")],
)
def test_bad_input(frames: int, trials: int, message: str) -> None:
    video = torch.zeros(frames, 16, 16, 3, dtype=torch.uint8)
    intrinsics = paths([ARC], frames=3 if "intrinsics" in message else frames).intrinsics[0]
    with pytest.raises(ValueError, match=message):
        estimate_path(video, intrinsics, trials)


def test_without_pycolmap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pycolmap is not installed; get it with: pip install pycolmap"):
        estimate_path(torch.zeros(3, 16, 16, 3, dtype=torch.uint8), paths([ARC], frames=3).intrinsics[0])
