"""Folders of models as diffusers writes them: which files they have, and reading their configs safely."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvd_core.files import read_json_object
from cvd_core.weights import is_index, shard_files

DIFFUSION_WEIGHTS = ("diffusion_pytorch_model", "diffusion_pytorch_model")
TRANSFORMERS_WEIGHTS = ("model", "pytorch_model")
"""Names of weight files: as safetensors, as pickle."""

_INDEX = ".index"
LARGEST_NUMBER = 1_000_000
"""In a config: vocabularies have 49,408 and 256,384 tokens, everything else is smaller."""
_MOST_LAYERS = 64
"""Of anything that is counted in a config, and entries of its lists: no network here has more than 40 of a kind."""
_COUNTS = ("layers_per_block", "transformer_layers_per_block", "num_hidden_layers", "num_layers", "blocks")


@dataclass(frozen=True)
class FolderLayout:
    """What a family's folders hold.

    Attributes:
        family: for messages: ``SD1.5``.
        components: the networks, with the names of their weight files.
        tokenizers: sets of files, any of which makes a tokenizer.
    """

    family: str
    components: Mapping[str, tuple[str, str]]
    tokenizers: tuple[tuple[str, ...], ...]

    @property
    def description(self) -> str:
        """What a user is asked for."""
        return f"a diffusers folder with {'/, '.join(self.components)}/ and tokenizer/"

    def check(self, folder: Path, *, with_weights: bool) -> None:
        """Raise a ValueError with everything that is missing in a folder."""
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder; expected {self.description}")
        missing = [f"{c}/config.json" for c in self.components if not (folder / c / "config.json").is_file()]
        place = folder / "tokenizer"
        if not any(all((place / name).is_file() for name in names) for names in self.tokenizers):
            missing.append(" with ".join(f"tokenizer/{name}" for name in self.tokenizers[0]))
        if with_weights:
            missing += [f"the weights of {c}/" for c in self.components if not self._candidates(folder, c)]
        if missing:
            hint = "; it is a component, give the folder above it" if (folder / "config.json").is_file() else ""
            raise ValueError(
                f"{folder} lacks {', '.join(missing)}; expected {self.description} of a {self.family} model{hint}"
            )

    def weights_file(self, folder: Path, component: str) -> Path:
        """The file with the weights of a component of a complete folder, safetensors first; or their index."""
        return self._candidates(folder, component)[0]

    def read_configs(self, folder: Path) -> dict[str, dict[str, Any]]:
        """The configs of all components, see :func:`read_config`."""
        return {component: read_config(folder / component / "config.json") for component in self.components}

    def files(self, folder: Path, *, with_weights: bool) -> list[Path]:
        """All that is read of a folder, which may hold other formats too; what is missing is left out.

        Raises:
            ValueError: an index of weights is damaged.
        """
        found = [folder / component / "config.json" for component in self.components]
        for component in self.components if with_weights else ():
            for file in self._candidates(folder, component)[:1]:
                found += [file, *(file.with_name(n) for n in sorted(shard_files(file)))] if is_index(file) else [file]
        return [file for file in [*found, *sorted((folder / "tokenizer").glob("*"))] if file.is_file()]

    def _candidates(self, folder: Path, component: str) -> list[Path]:
        """Existing weight files of a component, best first."""
        safe, pickled = self.components[component]
        names = []
        for name, ending in ((safe, "safetensors"), (pickled, "bin")):
            for variant in ("", ".fp16"):
                names += [f"{name}{variant}.{ending}", f"{name}.{ending}{_INDEX}{variant}.json"]
        return [file for name in names if (file := folder / component / name).is_file()]


def read_config(file: Path) -> dict[str, Any]:
    """A component's config, once it is sure that building from it takes no more than such networks do.

    Raises:
        ValueError: it is not a JSON object, or holds numbers that no such network can have.
    """
    config = read_json_object(file)
    for name, value in _entries(config):
        if isinstance(value, list) and len(value) > _MOST_LAYERS:
            raise ValueError(f"{file}: {name} has {len(value)} entries; expected at most {_MOST_LAYERS}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            most = _MOST_LAYERS if name in _COUNTS else LARGEST_NUMBER
            if not (math.isfinite(value) if isinstance(value, float) else abs(value) <= most):
                number = "a number of too many digits" if isinstance(value, int) and value > 1 << 64 else value
                raise ValueError(f"{file}: {name} is {number}; expected at most {most:,} - it is damaged, get it again")
    return config


def _entries(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """All values in nested JSON, each with the nearest name above it."""
    found: list[tuple[str, Any]] = [("", config)]
    while found:
        name, value = found.pop()
        yield name, value
        if isinstance(value, dict):
            found += value.items()
        elif isinstance(value, list):
            found += ((name, inner) for inner in value)


def reason(error: BaseException) -> str:
    """The first line of the error that a library raised on a damaged file."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__
