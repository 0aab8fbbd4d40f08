"""The same configuration gives the same weights: again, in another process, and after being killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from cvd_core.cli import main
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.scenes.world import vocabulary
from cvd_core.training.checkpoint import CHECKPOINT, load_checkpoint
from cvd_core.training.config_parts import SD15_STAGES, DataConfig
from cvd_core.training.data.latents import latent_views
from cvd_core.training.tokenizer import load_tokenizer, tokenize, write_tokenizer
from tests.training.processes import ROOT, cvd, kill_at_work
from tests.training.small import small_values

WORDS = ["fl", "floor", "on", "or", "a", "floors"]


def finish(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 0, said


def write_config(folder: Path, output: str, **changes: object) -> Path:
    file = folder / f"{output}.yaml"
    file.write_text(yaml.safe_dump(small_values(folder / output) | changes))
    return file


def assert_same_weights(first: Path, second: Path) -> None:
    for name in SD15_STAGES:
        ours, theirs = (load_checkpoint(folder / name / CHECKPOINT) for folder in (first, second))
        assert ours.step == theirs.step
        for part in ("weights", "average", "buffers"):
            for key, value in getattr(ours, part).items():
                assert torch.equal(value, getattr(theirs, part)[key]), f"{name}: {part} {key}"
        for number, moments in ours.optimizer.state.items():
            for key, value in moments.items():
                assert torch.equal(value, theirs.optimizer.state[number][key])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and its model, made in this process."""
    folder = tmp_path_factory.mktemp("trained")
    config = write_config(folder, "out")
    assert main(["train", str(config)]) == 0
    assert main(["train", str(config), "--export", str(folder / "model")]) == 0
    return folder


def test_the_same_configuration_gives_the_same_files(trained: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, "out")
    finish(cvd(config))
    assert_same_weights(trained / "out", tmp_path / "out")
    assert main(["train", str(config), "--export", str(tmp_path / "model")]) == 0
    assert files(trained / "model") == files(tmp_path / "model")


@pytest.mark.parametrize(
    "stage", ["images", *(pytest.param(name, marks=pytest.mark.slow) for name in SD15_STAGES if name != "images")]
)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(trained: Path, tmp_path: Path, stage: str) -> None:
    """Killed, not asked: nothing is saved or cleaned up; half a row of the table stands there as well."""
    config = write_config(tmp_path, "out")
    table = tmp_path / "out" / stage / "metrics.csv"
    kill_at_work(config, table)
    with table.open("a") as file:
        file.write("1")
    assert main(["train", str(config), "--resume"]) == 0
    assert_same_weights(trained / "out", tmp_path / "out")
    rows = table.read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2"]
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".cvd")] == []


def test_the_tokenizer_is_written_once(trained: Path, tmp_path: Path) -> None:
    """Whatever its vocabulary is - an older program's is another one - it is the one that is used and exported."""
    shutil.copytree(trained / "out", tmp_path / "out")
    vocabulary = tmp_path / "out" / "tokenizer" / "vocab.json"
    ids = json.loads(vocabulary.read_text())
    ids["a</w>"], ids["on</w>"] = ids["on</w>"], ids["a</w>"]
    vocabulary.write_text(json.dumps(ids))
    before = vocabulary.read_bytes()
    config = write_config(tmp_path, "out")
    assert main(["train", str(config), "--resume"]) == 0
    assert vocabulary.read_bytes() == before
    assert main(["train", str(config), "--export", str(tmp_path / "model")]) == 0
    assert (tmp_path / "model" / "base" / "tokenizer" / "vocab.json").read_bytes() == before


def test_the_tokenizer_of_the_same_words_is_the_same(tmp_path: Path) -> None:
    """In other processes too, whose hash tables have another order."""
    script = (
        "import sys, pathlib; from cvd_core.training.tokenizer import write_tokenizer\n"
        f"[write_tokenizer(pathlib.Path(sys.argv[1]) / name, words, 20) for name, words in "
        f"(('small', {WORDS}), ('mini', {vocabulary()}))]"
    )
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], cwd=ROOT, check=True)
    write_tokenizer(tmp_path / "here" / "small", WORDS, 20)
    write_tokenizer(tmp_path / "here" / "mini", vocabulary(), 20)
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "here")
    tokenizer = load_tokenizer(tmp_path / "one" / "mini")
    for word in vocabulary():
        assert len(tokenizer(word)["input_ids"]) == 3, "a word is one token"
    for text in ("unheard-of", "fl00r", "~"):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"][1:-1]


def test_latents_belong_to_what_made_them(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", vocabulary(), 20)
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    made: list[object] = []

    def pairs(data: DataConfig, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
        torch.manual_seed(0)
        autoencoder = PatchAutoencoder(latent_channels=2, width=4).eval()
        next(autoencoder.parameters()).data += shift
        before = set(tmp_path.rglob("*.safetensors"))
        found = latent_views(tmp_path / "latents", autoencoder, lambda text: tokenize(tokenizer, text, 20), data, seed)
        made.append(len(set(tmp_path.rglob("*.safetensors")) - before))
        return found.latents

    data = DataConfig(size=16, frames=2, clips=3)
    first = pairs(data)
    assert torch.equal(pairs(data), first)
    more = pairs(DataConfig(size=16, frames=2, clips=5))
    assert len(more) == 5, "a file of fewer clips is not taken for all"
    assert torch.equal(more[:3], first)
    assert not torch.equal(pairs(data, seed=1), first)
    assert not torch.equal(pairs(data, shift=0.1), first)
    assert pairs(DataConfig(size=24, frames=2, clips=3)).shape[-1] == 3
    assert made == [1, 0, 1, 1, 1, 1]
    assert torch.equal(pairs(data), first), "the first are still there"
    victim = min(tmp_path.rglob("*-000003.safetensors"))
    victim.write_bytes(victim.read_bytes()[:100])
    for path in tmp_path.rglob("*-000003.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"-000003\.safetensors is damaged .*; remove it"):
        pairs(data)
