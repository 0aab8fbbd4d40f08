"""Configurations: what is read, and that every mistake is told in a line before anything is made."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cvd_core.cli import main
from cvd_core.scenes.world import LONGEST_PROMPT, random_scene
from cvd_core.training.config import PACKAGED, TrainConfig, load_config
from cvd_core.training.config_parts import SD15_STAGES, LoopConfig
from cvd_core.training.yaml_values import read_yaml
from tests.training.small import small_config

LOOP = "{steps: 1, batch: 2, learning_rate: 1.0e-3}"
SMALLEST = f"output: out\nstages: {{autoencoder: {LOOP}}}\n"


def test_the_packaged_configurations_are_valid() -> None:
    config = load_config(PACKAGED / "mini.yaml")
    assert list(config.stages) == list(SD15_STAGES)
    more = load_config("mini-continue")
    assert more.networks == config.networks
    assert more.start_from is not None
    assert more.seed != config.seed, "other clips than those it has seen"
    assert load_config("sd15").precision == "bf16"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: x", "lacks stages"),
        (f"{SMALLEST}sead: 1", "has an unknown entry 'sead'"),
        ("output: x\nstages: {}", "stages is {}; expected 1 or more entries"),
        (
            f"output: x\nstages: {{dessert: {LOOP}}}",
            "stages has an unknown entry 'dessert'; expected 'autoenc",
        ),
        ("output: x\nstages: {video: {steps: 1, batch: 1}}", "stages.video lacks learning_rate"),
        ("[1, 2]", "it is [1, 2]; expected names and values"),
        ("", "it is None; expected names and values"),
        (f"{SMALLEST}seed: soon", "seed is 'soon'; expected a whole number"),
        (f"{SMALLEST}seed: 1.0", "seed is 1.0; expected a whole number"),
        (f"{SMALLEST}seed: true", "seed is True; expected a whole number"),
        (f"{SMALLEST}seed: -1", "seed is -1; expected at least 0"),
        (f"{SMALLEST}sync: {{band: wide}}", "sync.band is 'wide'; expected 'soft', 'hard' or 'none'"),
        (f"{SMALLEST}data: {{size: 33}}", "data.size is 33; expected a multiple of 8"),
        (f"{SMALLEST}data: {{frames: 1}}", "data.frames is 1; expected at least 2"),
        (
            f"{SMALLEST}data: {{spread: {{sideways: 1}}}}",
            "data.spread has an unknown entry 'sideways'; expected ^(",
        ),
        (f"{SMALLEST}data: {{spread: {{}}}}", "data.spread is {}; expected 1 or more entries"),
        (f"{SMALLEST}data: {{dynamic: 5}}", "data.dynamic is 5; expected at most 1"),
        (f"{SMALLEST}networks: {{widths: [32, 48]}}", "networks.widths.1 is 48; expected a multiple of 32"),
        (f"{SMALLEST}networks: {{text_length: 3}}", f"text_length is 3; expected at least {LONGEST_PROMPT + 2}"),
        (f"{SMALLEST}noise: {{shift: .inf}}", "noise.shift is inf; expected a finite number"),
        (f"{SMALLEST}noise: {{shift: .nan}}", "noise.shift is nan; expected a finite number"),
        (f"{SMALLEST}data: {{dynamic: {'9' * 399}}}", "data.dynamic is 99"),
        (f"{SMALLEST}data: {{size: 0, frames: 0, clips: 0, dynamic: -1, spread: 1}}", "; and 2 more"),
        (f"{SMALLEST}tensorboard: yes", "tensorboard is 'yes'; expected true or false"),
        (f"output: x\nstages: {{images: {LOOP}}}", "stages has images but not autoencoder, which it builds on"),
        (f"output: x\nstages: {{sync: {LOOP}}}", "stages has sync but not video"),
        (f"{SMALLEST}start_from: m", "stages has autoencoder, but the model of start_from has one"),
        (
            f"start_from: m\noutput: x\nstages: {{images: {LOOP}}}",
            "stages has images but not video, and the motion modules",
        ),
        (f"output: x\nstages: {{consistency: {LOOP}}}", "the stage consistency adds modules to a model"),
        (
            f"start_from: m\noutput: x\nstages: {{consistency: {LOOP}, sync: {LOOP}}}",
            "stages has sync beside consistency, which is trained alone",
        ),
        (
            f"start_from: m\noutput: x\nstages: {{consistency: {LOOP}}}\nconsistency: {{guidance: [4, 2]}}",
            "guidance from 4 to 2; expected the smaller first",
        ),
        (f"{SMALLEST}sync: {{video_lora: a.safetensors}}", "LoRAs of a model; name it with start_from"),
        (f"start_from: m\noutput: x\nstages: {{sync: {LOOP}}}\ndata: {{dynamic: 0}}", "but data.dynamic is 0"),
        (f"start_from: m\noutput: x\nstages: {{sync: {LOOP}}}\ndata: {{dynamic: 1}}", "but data.dynamic is 1"),
        (f"start_from: m\noutput: x\nstages: {{sync: {LOOP}}}\nfolders: {{videos: v}}", "names no realestate10k"),
        ("a: [", "is not valid YAML: line 1: "),
        ("a: \0", "is not valid YAML: unacceptable character"),
        ("[" * 20_000, "nested too deeply"),
        ("output: !!bool maybe", "is not valid YAML: line 1: tags such as"),
        ("output: !!python/object/apply:os.system [id]", "tags such as"),
        (f"{SMALLEST}seed: 1\nseed: 2", "line 4: seed stands there twice"),
        (f"{SMALLEST}? [1]\n: 2", "a list or mapping stands for a name"),
        (f"{SMALLEST}<<: {{seed: 1}}", "has an unknown entry '<<'"),
        (f"{SMALLEST}seed: {'9' * 5000}", "a number of hundreds of digits"),
        ("a: 1\n" * 20_000, "has more than 65,536 bytes"),
    ],
)
def test_mistakes_are_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("output: out", f"output: {tmp_path / 'out'}"))
    assert main(["train", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("cvd: error: ")
    assert said.count("\n") == 1
    assert len(said) < 600
    assert str(file) in said
    assert message in said
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", "a: \u00e4".encode("latin-1")])
def test_what_is_not_text_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ValueError, match=r"cannot read .*: Is a directory"):
        load_config(tmp_path)


def test_aliases_may_be_used_but_not_to_make_much_of_little(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"output: x\nstages: {{autoencoder: &loop {LOOP}, images: *loop}}")
    assert load_config(file).stages["images"] == load_config(file).stages["autoencoder"]
    lines = ["a0: &a0 [x]", *(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(12))]
    for text in ("\n".join(lines), "\n".join([*lines, "output: *a12"]), "output: &a [*a]\nstages: &b {sync: *b}"):
        file.write_text(text)
        start = time.process_time()
        with pytest.raises(ValueError, match=r"config\.yaml: ") as refused:
            load_config(file)
        assert time.process_time() - start < 2
        assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", "no"), ("off", "off"), ("1:30", "1:30"), ("0o17", 15), ("017", 17), ("0x1F", 31), ("1e-3", 1e-3),
        ("1_000", "1_000"), (".5", 0.5), ("-.inf", float("-inf")), ("~", None), ("null", None), ("", None),
        ("true", True), ("'1'", "1"), ("2026-01-01", "2026-01-01"), ("<<", "<<"), ("=", "="), ("-3", -3), ("+3", 3),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, scalar: str, value: Any) -> None:
    (tmp_path / "a.yaml").write_text(f"a: {scalar}\n")
    found = read_yaml(tmp_path / "a.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


texts = st.text("abcdeé :#'\"{}[]&*!|>%@-", max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(plain)
def test_values_that_are_written_are_read_again(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
        assert read_yaml(path) == value


def test_a_configuration_is_checked_wherever_it_is_made(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    with pytest.raises(ValueError, match="steps"):
        LoopConfig(steps=-1, batch=1, learning_rate=1e-3)
    with pytest.raises(ValueError, match="clips without cameras"):
        replace(config, data=replace(config.data, dynamic=0.0))
    with pytest.raises(ValueError, match="dessert"):
        TrainConfig(tmp_path, {"dessert": config.stages["video"]})  # type: ignore[dict-item]


def test_no_prompt_is_longer_than_it_is_said() -> None:
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng, moving=False) for _ in range(50)]
    assert max(len(scene.prompt().split()) for scene in scenes) == LONGEST_PROMPT
