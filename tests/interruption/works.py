"""The commands that are interrupted, small: what they write, and what must be true of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
import yaml
from safetensors.torch import load_file

from cvd_core import cli
from cvd_core.cli import demo, evaluate, generate, train  # noqa: F401 - imported before processes are forked
from cvd_core.drawing import panels  # noqa: F401
from cvd_core.runs import make  # noqa: F401
from cvd_core.training import trainer  # noqa: F401
from cvd_core.training.checkpoint import load_checkpoint
from cvd_core.training.config_parts import SD15_STAGES
from tests.training.small import small_values

demo.make_demo = partial(demo.make_demo, frames=2, steps=1, guidance=1.0)
main = cli.main


@dataclass(frozen=True)
class Again:
    """The run after an interrupted one: its words, and where it writes."""

    words: list[str]
    out: Path


class Work(Protocol):
    """A command."""

    @property
    def name(self) -> str: ...

    def words(self, out: Path) -> list[str]:
        """Of the command line, to write into ``out``."""
        ...

    def check(self, out: Path, reference: Path, added: Collection[str] | None, *, complete: bool, killed: bool) -> None:
        """Raise AssertionError unless what stands in ``out`` is as it must be.

        Args:
            added: files that are new there, without those of hidden names; None: not counted.
            complete: the command came to its end.
            killed: it had no chance to clean up.
        """
        ...

    def next(self, out: Path, added: list[str]) -> Again:
        """What a user does next."""
        ...


@dataclass(frozen=True)
class Videos:
    """``cvd generate`` and ``cvd demo``: all files, or none."""

    name: str
    options: tuple[str, ...]

    def words(self, out: Path) -> list[str]:
        return [self.name, *self.options, "--out", str(out)]

    def check(self, out: Path, reference: Path, added: Collection[str] | None, *, complete: bool, killed: bool) -> None:
        expected = {str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file()}
        found = expected if added is None else set(added)
        assert found <= expected, f"files of other names: {sorted(found - expected)}"
        assert found == expected or not complete, f"lacks {sorted(expected - found)}"
        assert complete or killed or not found, f"some of the files: {sorted(found)}"
        differing = sorted(file for file in found if not _same(out / file, reference / file))
        assert not differing, f"other content: {differing}"

    def next(self, out: Path, added: list[str]) -> Again:
        place = out.with_name("again") if added else out
        return Again(self.words(place), place)


def _same(ours: Path, theirs: Path) -> bool:
    """Whether two files hold the same; records of runs but for when they were made and how long it took."""
    if ours.name != "run.json":
        return ours.read_bytes() == theirs.read_bytes()
    mine, other = (json.loads(path.read_text()) for path in (ours, theirs))
    return all(mine.get(key) == other.get(key) for key in mine.keys() | other.keys() if key not in ("date", "seconds"))


@dataclass(frozen=True)
class Training:
    """``cvd train``: whatever is there can be read, and the training goes on bit for bit."""

    name: str = "train"

    def words(self, out: Path) -> list[str]:
        file = out.with_name(f"{out.name}.yaml")
        file.write_text(yaml.safe_dump(small_values(out)))
        return ["train", str(file)]

    def check(self, out: Path, reference: Path, added: Collection[str] | None, *, complete: bool, killed: bool) -> None:
        for stage in SD15_STAGES:
            file = Path(stage) / "checkpoint.pt"
            assert (out / file).exists() or not complete, f"lacks {file}"
            if (out / file).exists():
                ours, theirs = load_checkpoint(out / file), load_checkpoint(reference / file)
                if complete:
                    assert ours.step == theirs.step
                    for part in ("weights", "average", "buffers"):
                        mine, other = getattr(ours, part), getattr(theirs, part)
                        assert all(torch.equal(value, other[key]) for key, value in mine.items()), f"{file}: {part}"
        for path in out.rglob("latents/**/[!.]*.safetensors"):
            found, expected = load_file(path), load_file(reference / path.relative_to(out))
            assert all(torch.equal(value, expected[key]) for key, value in found.items()), f"{path} differs"
        for path in (out / "tokenizer").glob("*"):
            assert path.read_bytes() == (reference / "tokenizer" / path.name).read_bytes(), f"{path} differs"

    def next(self, out: Path, added: list[str]) -> Again:
        return Again([*self.words(out), "--resume"], out)


_TINY = ("--rig", "stereo", "--frames", "2", "--steps", "2", "--guidance", "1", "--prompt", "a red ball")
WORKS: tuple[Work, ...] = (Videos("generate", _TINY), Videos("demo", ()), Training())
