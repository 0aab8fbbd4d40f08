"""Combos refuse what they do not offer, typed in or linked: hosts like 0.3.64 do not check those of V3 nodes."""

from __future__ import annotations

from typing import Any

import pytest
from comfy_api.latest import io

from tests.nodes.host_process import Host

UNKNOWN = "magic"
FILES = ("base_name", "camera_name", "checkpoint_name", "lora_name", "module_name", "motion_name", "sync_name")
COMBOS = [
    ("CVD_ApplyMotion", "beta_schedule"),
    ("CVD_ApplySynCam", "pair_strategy"),
    ("CVD_ApplySync", "attention"),
    ("CVD_ApplySync", "branches"),
    ("CVD_CamI2VGuider", "camera_cfg_schedule"),
    ("CVD_CamI2VSampler", "spacing"),
    ("CVD_CameraGuidance", "schedule"),
    ("CVD_CamerasFromPoses", "matrix"),
    ("CVD_CollaborativeGuider", "pair_strategy"),
    ("CVD_CollaborativeKSampler", "pair_strategy"),
    ("CVD_CollaborativeKSampler", "sampler_name"),
    ("CVD_CollaborativeKSampler", "scheduler"),
    ("CVD_EpipolarMask", "band"),
    ("CVD_ExportScene", "layout"),
    ("CVD_LoadCameraCtrl", "camera_name"),
    ("CVD_LoadCameraPoses", "format"),
    ("CVD_LoadDynamiCrafter", "base_name"),
    ("CVD_LoadDynamiCrafter", "checkpoint_name"),
    ("CVD_LoadMotionModule", "motion_name"),
    ("CVD_MotionLora", "lora_name"),
    ("CVD_MultiViewVideoCombine", "format"),
    ("CVD_MultiViewVideoCombine", "layout"),
    ("CVD_MultiViewVideoCombine", "mode"),
    ("CVD_SaveCameraPoses", "format"),
    ("CVD_SynCamCameras", "preset"),
    ("CVD_SynCamLoader", "module_name"),
    ("CVD_SyncModuleLoader", "sync_name"),
]


def prompt_of(host: Host, node_id: str, **changes: Any) -> dict[str, Any]:
    """A node with its defaults, and nothing behind its sockets: it must refuse before it looks at them."""
    prompt: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    for given in host.nodes.NODE_CLASS_MAPPINGS[node_id].define_schema().inputs:
        if getattr(given, "default", None) not in (None, ""):
            inputs[given.id] = given.default
        elif not given.optional:
            prompt[given.id] = host.provide(given.io_type, None)
            inputs[given.id] = [given.id, 0]
    return prompt | {"node": {"class_type": node_id, "inputs": inputs | changes}}


def test_no_combo_is_missing_here(host: Host) -> None:
    found = [
        (node_id, given.id)
        for node_id, node in host.nodes.NODE_CLASS_MAPPINGS.items()
        if node_id.startswith("CVD_")
        for given in node.define_schema().inputs
        if isinstance(given, io.Combo.Input)
    ]
    assert sorted(found) == COMBOS


@pytest.mark.parametrize(("node_id", "name"), COMBOS)
def test_unknown_choice(host: Host, node_id: str, name: str) -> None:
    expected = f"there is no {UNKNOWN}" if name in FILES else f"{name} is '{UNKNOWN}'; expected one of "
    typed = host.run(prompt_of(host, node_id, **{name: UNKNOWN}), outputs=["node"])
    assert any(expected in message for message in typed.validation["node"]), typed
    prompt = prompt_of(host, node_id, **{name: ["choice", 0]})
    linked = host.run(prompt | {"choice": host.provide("COMBO", UNKNOWN)}, outputs=["node"])
    assert linked.failed_node == "node", linked
    assert expected in linked.error
