"""New views of a given video through the engine: the paper's guidance by hand, files and records, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cvd_core
from cvd_core.cli import main
from cvd_core.engine.wan.latents import encode_videos
from cvd_core.engine.wan.pipeline import SynCamPipeline
from cvd_core.runs.make import Pipeline
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.flow import FlowEuler
from cvd_core.sampling.pairs import STRATEGIES, Pairing, Strategy
from cvd_core.syncam.cameras import camera_embedding
from cvd_core.syncam.presets import preset_cameras
from cvd_core.video.files import read_video, write_video
from tests.engine.command import plan_of
from tests.engine.test_wan import SIZE, pipe, wan  # noqa: F401

VIDEO, TEXT = 1.8, 7.5


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven frames, larger than the videos and not square."""
    frames = torch.randint(0, 256, (7, 8, 12, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(frames.repeat_interleave(10, 1).repeat_interleave(10, 2), path, 8)
    return path


def networks(pipe: Pipeline) -> SynCamPipeline:  # noqa: F811
    assert isinstance(pipe.networks, SynCamPipeline)
    return pipe.networks


@pytest.fixture
def sampled(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Runs a pipeline and returns the latents, before they are decoded."""
    found: list[Tensor] = []
    decode = networks(pipe).decode

    def keep(latents: Tensor) -> Tensor:
        found.append(latents)
        return decode(latents)

    monkeypatch.setattr(networks(pipe), "decode", keep)

    def run(views: int, clip: Path, **settings: Any) -> tuple[Tensor, Tensor]:
        given = cvd_core.GivenView(clip)
        run = pipe(
            preset_cameras("az", 5, views, aspect=1), "a red ball", given=given, progress=False, **SIZE, **settings
        )
        return run.frames, found[-1]

    return run


def beginning(clip: Path) -> Tensor:
    """``(1, 3, 5, 64, 64)``: the clip's middle at the size of the videos."""
    video = read_video(clip)[0][:5].movedim(-1, 1).float() / 127.5 - 1  # 120 x 80
    covering = torch.nn.functional.interpolate(video, (64, 96), mode="bilinear", antialias=True)
    return covering[..., 16:80].transpose(0, 1)[None]


@pytest.mark.parametrize(
    ("strategy", "views", "groups"),
    [("joint", 2, [[0, 1]]), ("joint", 3, [[0, 1, 2]]), ("star", 3, [[0, 1], [0, 2]])],
)
def test_every_step_is_the_papers_equation_7(
    pipe: Pipeline,  # noqa: F811
    sampled: Any,
    clip: Path,
    strategy: Strategy,
    views: int,
    groups: list[list[int]],
) -> None:
    parts = networks(pipe)
    frames, latents = sampled(views, clip, pairing=Pairing(strategy))
    cameras, solver = preset_cameras("az", 5, views, aspect=1), FlowEuler(SIZE["steps"])

    def velocity(x: Tensor, sigma: float, text: Tensor) -> Tensor:
        found = torch.zeros_like(x)
        for group in groups:
            time = torch.full((len(group),), 1000 * sigma)
            embedding = camera_embedding(cameras, group)
            found[group] = parts.network(x[group], time, text[group], embedding, len(group))
        return found

    with torch.no_grad():
        clean = encode_videos(parts.model.vae, beginning(clip))
        text, empty = (parts.encode([prompt]).expand(views, -1, -1) for prompt in ("a red ball", ""))
        start = x = SeededDraws(0).latents((views, 16, 2, 8, 8))
        for sigma, after in zip(solver.sigmas, solver.sigmas[1:], strict=False):
            x = torch.cat([(1 - sigma) * clean + sigma * start[:1], x[1:]])
            shown = torch.cat([clean, x[1:]])
            nothing, video, both = (
                velocity(rows, sigma, words) for rows, words in ((x, empty), (shown, empty), (shown, text))
            )
            x = x + (after - sigma) * (nothing + VIDEO * (video - nothing) + TEXT * (both - video))
    torch.testing.assert_close(latents[1:], x[1:], atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(latents[:1], clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(frames, parts.decode(latents))


def test_pairs_without_the_given_view_and_guidance_of_its_own(sampled: Any, clip: Path) -> None:
    joint, pairs = (sampled(3, clip, pairing=Pairing(strategy))[1] for strategy in ("joint", "exhaustive"))
    torch.testing.assert_close(joint[0], pairs[0])
    assert float((joint - pairs)[1:].abs().max()) > 1e-4
    other = sampled(3, clip, guidance=1.0)[1]
    assert float((joint - other)[1:].abs().max()) > 1e-4


def words(wan: Path, clip: Path, *more: object) -> list[str]:  # noqa: F811
    given = ["generate", "--base", wan, "--sync", wan / "syncam.safetensors", "--rig", "az", "--frames", 5]
    size = [word for name, value in SIZE.items() for word in (f"--{name}", value)]
    return [*map(str, [*given, *size, "--prompt", "a red ball", "--reference", clip, *more])]


def test_strategies_that_leave_the_given_view_out_are_named(
    wan: Path,  # noqa: F811
    clip: Path,
) -> None:
    hints = {s: plan_of(*words(wan, clip, "--views", 4, "--strategy", s)[1:]).hints for s in STRATEGIES}
    named = {s for s, found in hints.items() if any("attend to each other without the given one" in h for h in found)}
    assert named == {"partition", "multi-partition", "exhaustive"}


def test_command_and_repeat(wan: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main([*words(wan, clip), "--out", str(tmp_path / "one")]) == 0
    assert "the released weights were not trained to take a given video" in capsys.readouterr().err
    record = tmp_path / "one" / "run.json"
    values = json.loads(record.read_text())
    assert values["settings"]["given"] == {"reference": str(clip), "video_guidance": VIDEO}
    assert values["settings"]["guidance"] == TEXT
    assert values["inputs"]["reference"]["name"] == "clip.mp4"
    assert main(["generate", "--from", str(record), "--out", str(tmp_path / "two")]) == 0
    same = [(tmp_path / run / "view1.mp4").read_bytes() for run in ("one", "two")]
    assert same[0] == same[1]
    changed = tmp_path / "other.mp4"
    write_video(torch.zeros(5, 64, 64, 3, dtype=torch.uint8), changed)
    again = ["generate", "--from", str(record), "--reference", str(changed), "--out", str(tmp_path / "three")]
    assert main(again) == 0
    assert (tmp_path / "three" / "view1.mp4").read_bytes() != same[0]
    write_video(torch.ones(5, 64, 64, 3, dtype=torch.uint8), tmp_path / "new.mp4")
    (tmp_path / "new.mp4").replace(changed)
    capsys.readouterr()
    assert main(["generate", "--from", str(tmp_path / "three" / "run.json"), "--out", str(tmp_path / "four")]) == 2
    message = capsys.readouterr().err
    assert f"{changed} is not the file that the recorded run used" in message
    assert "with --reference" in message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--frames", 9], "clip.mp4 has 7 frames, the cameras 9; set --frames to 5 or less"),
        (["--views", 1], "--reference is given for the only view"),
        (["--reference", "none.mp4"], "none.mp4 does not exist; expected a video file"),
        (["--video-guidance", -1], "--video-guidance is -1"),
        (["--base", "mini"], "--reference goes with SynCamMaster on Wan 2.1, the base is Stable Diffusion 1.5"),
    ],
)
def test_mistakes(
    wan: Path,  # noqa: F811
    clip: Path,
    tmp_path: Path,
    more: list[object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = words(wan, clip, *more, "--out", tmp_path / "out")
    if "mini" in more:
        given = [word for word in given if word not in ("--sync", str(wan / "syncam.safetensors"))]
    assert main(given) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_modules_the_other_views_would_not_see_it(wan: Path, clip: Path) -> None:  # noqa: F811
    plain = cvd_core.load_pipeline(wan, device="cpu")
    with pytest.raises(ValueError, match="the other views would not see it"):
        plain(preset_cameras("az", 5), "a ball", given=cvd_core.GivenView(clip), progress=False, **SIZE)
