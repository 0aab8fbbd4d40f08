"""Loading the sync modules and attaching them to a model."""

from __future__ import annotations

from typing import Any, get_args

from comfy_api.latest import io

from cvd_core.networks.tiles import AttentionKind
from cvd_core.sync.context import SyncBranches

from .host.injection import SyncSettings, apply_sync, load_sync
from .inputs import check_choices, check_range, strength_inputs, verdict
from .model_files import ModelFile, ModelFileNode, register_folder
from .schema import node_schema
from .types import EpipolarSpec, EpipolarType, SyncType

FOLDER = "cvd"
CATEGORY = "CVD/sampling"
_RELEASED = "CVD.ckpt"

register_folder(FOLDER)


class SyncModuleLoader(ModelFileNode):
    """Read CVD.ckpt."""

    FILE = ModelFile("sync_name", FOLDER, _RELEASED)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_SyncModuleLoader",
            display_name="Load Sync Module",
            category=CATEGORY,
            search_aliases=["CVD.ckpt", "cross-view module"],
            description="Loads CVD's cross-view sync modules (CVD.ckpt) from models/cvd.",
            inputs=[
                cls.FILE.combo(
                    "File with the sync modules, in models/cvd: CVD.ckpt or a .safetensors converted from it."
                )
            ],
            outputs=[SyncType.Output(display_name="sync", tooltip="The sync modules; connect to Apply Sync Module.")],
        )

    @classmethod
    def load(cls, path: str) -> Any:
        return load_sync(path)


class ApplySync(io.ComfyNode):
    """Attach sync modules to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ApplySync",
            display_name="Apply Sync Module",
            category=CATEGORY,
            search_aliases=["CVD", "cross-view attention"],
            description=(
                "Attaches the sync modules to a Stable Diffusion 1.5 model. They let the views of a collaborative "
                "sampler attend to each other along epipolar lines; any other sampler runs the model as if they were "
                "not there. May come before or after Apply Motion + Camera or Use Evolved Sampling."
            ),
            inputs=[
                io.Model.Input("model", tooltip="A Stable Diffusion 1.5 model, with or without LoRAs."),
                SyncType.Input("sync", tooltip="The sync modules from Load Sync Module."),
                EpipolarType.Input(
                    "epipolar",
                    tooltip="Where in the other views each pixel may attend to, from Epipolar Mask; made from the same "
                    "cameras and size as the Plücker embedding.",
                ),
                *strength_inputs(
                    "the sync modules",
                    "Factor on what the sync modules add. 1 is as trained, 0 disconnects the views, above 1 "
                    "exaggerates.",
                ),
                io.Combo.Input(
                    "attention",
                    options=list(get_args(AttentionKind)),
                    default="auto",
                    optional=True,
                    tooltip="sparse passes over pixels outside the epipolar band, dense computes all; the same videos "
                    "within rounding. auto: sparse on a CPU where maps are large, dense elsewhere.",
                ),
                io.Combo.Input(
                    "branches",
                    options=list(get_args(SyncBranches)),
                    default="both",
                    optional=True,
                    tooltip="Which branches of guidance are synchronised. both: as in the paper. conditional: that of "
                    "the positive prompt alone; cfg then multiplies what the sync modules add, and they take half the "
                    "time.",
                ),
            ],
            outputs=[io.Model.Output(display_name="synced model", tooltip="For Collaborative KSampler or Guider.")],
        )

    @classmethod
    def validate_inputs(cls, attention: str | None = None, branches: str | None = None) -> bool | str:
        return verdict(check_choices, cls, attention=attention, branches=branches)

    @classmethod
    def execute(
        cls,
        model: Any,
        sync: Any,
        epipolar: EpipolarSpec,
        strength: float,
        start_percent: float,
        end_percent: float,
        attention: AttentionKind = "auto",
        branches: SyncBranches = "both",
    ) -> io.NodeOutput:
        check_choices(cls, attention=attention, branches=branches)
        check_range(start_percent, end_percent, "the sync modules would never be active")
        settings = SyncSettings(epipolar, strength, start_percent, end_percent, attention, branches)
        return io.NodeOutput(apply_sync(model, sync, settings))


SYNC_NODES: list[type[io.ComfyNode]] = [SyncModuleLoader, ApplySync]
