"""The record of a run: everything that is needed to repeat it, and what tells whether it can be repeated."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
import torch.distributed as distributed
from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import from_json

import cvd_core
from cvd_core.declared import explain, short
from cvd_core.engine.method import Method, method_for
from cvd_core.engine.model_paths import NOISE_SCHEDULE_FILE, ModelPaths
from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.settings import Settings
from cvd_core.weights import identify, lora_file, read_checkpoint, sha256

FORMAT = "cvd run"
VERSION = 3
"""Of the file format; readers refuse newer ones. Version 1 did not record the noise schedule of a base folder, version
2 knew no pictures, no given videos and no camera guidance."""
LARGEST = 64 << 20
"""Bytes of a record; thousands of cameras take a few millions."""

Role = Literal["base", "config", "motion", "camera", "sync", "lora"]
_checked = ConfigDict(allow_inf_nan=False, extra="forbid")

_NUMBERS = re.compile(r"\[\n\s+([^\[\]{}\"]+?)\n\s+\]")
"""A list of plain numbers as ``json.dumps`` indents it; no string can look like it, for they hold no line breaks."""


@checked_dataclass(frozen=True, config=_checked)
class RecordedFile:
    """One file of a model: its path inside the model's folder, or its name."""

    name: Annotated[str, Field(min_length=1)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @staticmethod
    def of(file: Path, top: Path) -> RecordedFile:
        """Look at a file in the folder ``top``; reads all of it."""
        return RecordedFile(file.relative_to(top).as_posix(), file.stat().st_size, sha256(file))


@checked_dataclass(frozen=True, config=_checked)
class RecordedModel:
    """A model of a run as it was.

    Attributes:
        role: a field of :class:`ModelPaths`, ``lora`` for each of its LoRAs.
        path: absolute.
        kind: what the file is.
        files: the file itself, or those of a folder that were read.
        scale: a LoRA's strength.
    """

    role: Role
    path: Annotated[str, Field(min_length=1)]
    kind: str
    files: tuple[RecordedFile, ...]
    scale: float = 1.0

    @staticmethod
    def of(method: Method, role: Role, path: Path, scale: float = 1.0) -> RecordedModel:
        """Look at a model that can be loaded; reads all of it."""
        path = Path(os.path.abspath(path))  # not resolved: download caches keep files under other names behind links
        if path.is_dir() and role in ("base", "config"):
            kind = "a diffusers folder" if role == "base" else "configs and tokenizer"
        else:
            kind = identify(read_checkpoint(lora_file(path))).label
        return RecordedModel(role, str(path), kind, _recorded_files(method, role, path), scale)

    def verify(self, method: Method) -> None:
        """Raise ValueError if the model is not what it was: gone, changed, or made of other files."""
        path = Path(self.path)
        field = "loras" if self.role == "lora" else self.role
        instead = f"give the recorded one, or another one on purpose, with `{field}`"
        if not path.exists():
            raise ValueError(f"{path}, {self.kind} that the recorded run used, does not exist; {instead}")
        found = {file.name: file for file in _recorded_files(method, self.role, path)}
        recorded = {file.name: file for file in self.files}
        for name in sorted(found.keys() | recorded.keys()):
            if found.get(name) != recorded.get(name):
                place = path if path.is_file() else path / name
                raise ValueError(
                    f"{place} is not the file that the recorded run used ({_describe(found.get(name))}, recorded: "
                    f"{_describe(recorded.get(name))}); {instead}"
                )


@dataclass(frozen=True)
class RunRecord:
    """A run. Repeating it on the same machine gives the same videos, bit for bit.

    Attributes:
        settings: of the run.
        cameras: as they were read or made, before they were fitted to the image size.
        source: where the cameras came from, for people to read.
        models: of the run.
        fps: frames per second of the video files.
        inputs: pictures and videos that the run starts from as they were, see :attr:`Settings.input_files`.
        dtype, device, offload: where and in what type the networks computed.
        versions: of the programs that took part; of the GPU its name, and how many processes there were if several.
        seconds: by stage.
        date: when it was recorded, ISO 8601.
    """

    settings: Settings
    cameras: Cameras
    source: Mapping[str, Any]
    models: tuple[RecordedModel, ...]
    fps: float
    dtype: str
    device: str
    offload: bool = False
    inputs: Mapping[str, RecordedFile] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=lambda: versions_here())
    date: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def paths(self) -> ModelPaths:
        """Where the models were."""
        single = {model.role: Path(model.path) for model in self.models if model.role != "lora"}
        loras = tuple((Path(model.path), model.scale) for model in self.models if model.role == "lora")
        return ModelPaths(**single, loras=loras)

    def verify(self) -> None:
        """Raise ValueError if a model is not what it was; the message names it and the argument that replaces it."""
        method = method_for(self.paths)
        for model in self.models:
            model.verify(method)
        self.verify_inputs(self.inputs)

    def verify_inputs(self, names: Collection[str]) -> None:
        """Raise ValueError if one of these pictures and videos that the run starts from is not what it was."""
        for name, path in self.settings.input_files.items():
            recorded = self.inputs.get(name)
            if name not in names or recorded is None:
                continue
            found = RecordedFile.of(path, path.parent) if path.is_file() else None
            if found != recorded:
                raise ValueError(
                    f"{path} is not the file that the recorded run used ({_describe(found)}, recorded: "
                    f"{_describe(recorded)}); give the recorded one, or another one on purpose, with `{name}`"
                )

    def to_json(self) -> str:
        """The text of a record; numbers keep every digit."""
        cameras = self.cameras
        values = {
            "format": FORMAT,
            "version": VERSION,
            "date": self.date,
            "settings": self.settings.to_dict(),
            "fps": self.fps,
            "dtype": self.dtype,
            "device": self.device,
            "offload": self.offload,
            "models": [asdict(model) for model in self.models],
            **({"inputs": {name: asdict(file) for name, file in self.inputs.items()}} if self.inputs else {}),
            "versions": dict(self.versions),
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "cameras": {
                "source": dict(self.source),
                "names": cameras.names,
                "c2w": cameras.c2w.tolist(),
                "intrinsics": cameras.intrinsics.tolist(),
                **({"aspects": cameras.aspects} if any(cameras.aspects) else {}),
            },
        }
        text = json.dumps(values, indent=1, ensure_ascii=False)
        return _NUMBERS.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"

    @staticmethod
    def from_json(text: str) -> RunRecord:
        """Raises ValueError for anything that :meth:`to_json` did not write, and for a newer version."""
        try:
            values = from_json(text)
        except ValueError as error:
            raise ValueError(f"it is not valid JSON ({error})") from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError('it is not the record of a run, which has "format": "cvd run"; expected a run.json')
        if values.get("version") not in range(1, VERSION + 1):
            found = short(values.get("version"))
            raise ValueError(f"its format has version {found}, this program reads {VERSION}; update cvd")
        try:
            layout = _LAYOUT.validate_json(text, strict=True)
        except ValidationError as error:
            raise ValueError(f"{explain(error)}; it was edited or damaged") from None
        return layout.record()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> RunRecord:
        """Raises ValueError if there is no record at ``path`` or it cannot be used."""
        path = Path(path)
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "does not exist"
            raise ValueError(f"{path} {found}; expected the run.json of an earlier run")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes; expected the run.json of an earlier run")
        try:
            return RunRecord.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} cannot be repeated: {error}") from error


@checked_dataclass(frozen=True, config=_checked)
class _CameraLayout:
    source: dict[str, JsonValue]
    names: tuple[str, ...]
    c2w: list[list[list[list[float]]]]
    intrinsics: list[list[list[float]]]
    aspects: tuple[float | None, ...] = ()


@checked_dataclass(frozen=True, config=_checked)
class _Layout:
    """A record as its file has it."""

    format: str
    version: int
    date: str
    settings: dict[str, JsonValue]
    fps: Annotated[float, Field(gt=0)]
    dtype: Literal["float32", "float16", "bfloat16"]
    device: Annotated[str, Field(min_length=1)]
    offload: bool
    models: tuple[RecordedModel, ...]
    versions: dict[str, str]
    seconds: dict[str, float]
    cameras: _CameraLayout
    inputs: dict[str, RecordedFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = [model.role for model in self.models]
        if repeated := sorted({role for role in roles if role != "lora" and roles.count(role) > 1}):
            raise ValueError(f"models has {repeated[0]} twice")
        if "base" not in roles:
            raise ValueError("models lacks base")

    def record(self) -> RunRecord:
        """Raises ValueError for settings or cameras that cannot be used."""
        cameras = Cameras(
            _tensor("cameras.c2w", self.cameras.c2w),
            _tensor("cameras.intrinsics", self.cameras.intrinsics),
            self.cameras.names,
            aspects=self.cameras.aspects,
        )
        models = self.models if self.version > 1 else tuple(map(_with_noise_schedule, self.models))
        return RunRecord(
            Settings.from_dict(self.settings),
            cameras,
            self.cameras.source,
            models,
            self.fps,
            self.dtype,
            self.device,
            self.offload,
            self.inputs,
            self.seconds,
            self.versions,
            self.date,
        )


_LAYOUT = TypeAdapter(_Layout)


def _tensor(name: str, values: list[Any]) -> torch.Tensor:
    try:
        return torch.tensor(values, dtype=torch.float64)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} is not an array of numbers: {error}") from error


def _with_noise_schedule(model: RecordedModel) -> RecordedModel:
    """A model of a record of version 1, its noise schedule taken as it is now."""
    file = Path(model.path) / NOISE_SCHEDULE_FILE
    if model.role != "base" or not file.is_file():
        return model
    recorded = RecordedFile(NOISE_SCHEDULE_FILE, file.stat().st_size, sha256(file))
    return replace(model, files=(*model.files, recorded))


def record_models(paths: ModelPaths, known: Collection[RecordedModel] = ()) -> tuple[RecordedModel, ...]:
    """What the files of a run are. Reads all of them but those of ``known`` records, which are taken over."""
    method = method_for(paths)
    used: list[tuple[Role, Path, float]] = [
        (role, path, 1.0) for role in get_args(Role) if role != "lora" and (path := getattr(paths, role)) is not None
    ]
    used += [("lora", *lora) for lora in paths.loras]
    records = {(model.role, Path(model.path), model.scale): model for model in known}
    return tuple(records.get(model) or RecordedModel.of(method, *model) for model in used)


def versions_here() -> dict[str, str]:
    """Versions of everything that can change numbers."""
    versions = {"cvd_core": cvd_core.__version__, "torch": str(torch.__version__)}
    versions |= {name: version(name) for name in ("diffusers", "transformers")}
    versions |= {"python": platform.python_version(), "platform": platform.platform()}
    if torch.cuda.is_available():
        versions["gpu"] = torch.cuda.get_device_name()
    if distributed.is_available() and distributed.is_initialized():
        versions["processes"] = str(distributed.get_world_size())
    return versions


def _recorded_files(method: Method, role: str, path: Path) -> tuple[RecordedFile, ...]:
    files = [path] if path.is_file() else method.files(role, path)
    top = path.parent if path.is_file() else path
    return tuple(RecordedFile.of(file, top) for file in files)


def _describe(file: RecordedFile | None) -> str:
    return "no such file" if file is None else f"{file.bytes:,} bytes, SHA-256 {file.sha256[:12]}..."
