"""Camera Guidance on the small network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative


def guided(host: Host, model: Any, scale: float, schedule: str = "constant") -> Any:
    (patched,) = host.call("CVD_CameraGuidance", model=model, camera_guidance=scale, schedule=schedule)
    return patched


def without_camera(scene: Scene) -> Any:
    """The model of a run whose cameras have strength 0, which is none."""
    return small.native(scene.host, scene.base, *scene.own_motion, scene.rays, scene.context, camera_strength=0.0)


@pytest.mark.parametrize("options", [{"cfg": 1.0}, {"cfg": 4.0}, {"frames": 6, "context": (4, 2)}], ids=str)
def test_a_collaborative_step_moves_away_from_what_has_no_camera(host: Host, options: dict[str, Any]) -> None:
    """One step to the clean end is linear in the prediction, and so is what the camera adds to it."""
    scene = Scene(host, native=True, steps=1, **options)

    def together(model: Any, cfg: float = scene.cfg) -> Tensor:
        guider = scene.guider(scene.synced(model=model))
        guider.set_cfg(cfg)
        return scene.sample(guider)

    plain = scene.with_motion()
    expected = together(plain) + 0.5 * (together(plain, 1.0) - together(without_camera(scene), 1.0))
    found = together(guided(host, plain, 1.5))
    assert relative(found, together(plain)) > 1e-3
    assert relative(found, expected) < 1e-4
    assert torch.equal(together(guided(host, plain, 1.0)), together(plain))
    cosine = together(guided(host, plain, 1.5, "cosine"))
    assert relative(cosine, expected) < 1e-2  # at the start, where the cosine is nearly 1


def test_the_hosts_own_sampler(host: Host) -> None:
    scene = Scene(host, native=True, steps=1, cfg=1.0)
    plain = scene.plain_batch(scene.with_motion())
    none = scene.plain_batch(without_camera(scene))
    found = scene.plain_batch(guided(host, scene.with_motion(), 2.0))
    assert relative(found, 2 * plain - none) < 1e-4
    later = scene.plain_batch(scene.with_motion())
    assert torch.equal(later, plain)  # the model that was given is as it was


def test_models_without_cameras(host: Host) -> None:
    scene = Scene(host, native=True)
    with pytest.raises(ValueError, match=r"this one has none of this pack\'s; put Load CameraCtrl"):
        guided(host, scene.base, 2.0)
    with pytest.raises(ValueError, match="AnimateDiff-Evolved's, which no single call can leave out"):
        guided(host, scene.evolved(), 2.0)
    model = small.native(host, scene.base, scene.own_motion[0], None, scene.rays)
    with pytest.raises(ValueError, match="got no CameraCtrl"):
        guided(host, model, 2.0)
