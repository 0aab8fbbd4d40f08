"""The small model that ships in the package, inside the host: trained weights through the sampling nodes."""

from __future__ import annotations

import pytest

from cvd_core.runs.mini import EXAMPLE, FRAMES, SETTINGS
from tests import mini_run
from tests.nodes.host_process import Host

SIDE = SETTINGS["width"]


def test_the_same_frames_as_the_command_line(host: Host) -> None:
    """Same cameras, prompt and seed: every 8-bit value within one level, nearly all of them equal."""
    prompt, numbers = mini_run.graph()
    done = host.run(prompt, outputs=[numbers["VAEDecode"]])
    assert not done.error, done.error
    assert not done.validation
    (pictures,) = done.outputs[numbers["VAEDecode"]]
    expected = mini_run.recorded().float()
    difference = ((pictures * 255).round().view_as(expected) - expected).abs()
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def test_the_template_makes_views_of_one_scene(host: Host) -> None:
    """As it is, with the sampler lcm: all cameras start in one place, so all first frames should be one picture."""
    prompt, numbers = mini_run.template()

    def between_first_frames(strength: float) -> float:
        prompt[numbers["CVD_ApplySync"]]["inputs"]["strength"] = strength
        done = host.run(prompt, outputs=[numbers["VAEDecode"]])
        assert not done.error, done.error
        (pictures,) = done.outputs[numbers["VAEDecode"]]
        first = pictures.unflatten(0, (4, FRAMES))[:, 0]
        return float((first[1:] - first[:1]).square().mean())

    synced, unsynced = between_first_frames(1.0), between_first_frames(0.0)
    assert synced < 0.01
    assert synced < unsynced / 2


def test_encoding_is_the_inverse_of_decoding(host: Host) -> None:
    _, _, vae, *_ = host.call("CVD_LoadMiniModel")
    pictures = mini_run.recorded()[0].float() / 255
    latents = vae.encode(pictures)
    assert latents.shape == (FRAMES, 8, SIDE // 8, SIDE // 8)
    assert (vae.decode(latents) - pictures).abs().mean() < 0.03


def test_prompts_are_tokens_of_its_own_vocabulary(host: Host) -> None:
    _, clip, *_ = host.call("CVD_LoadMiniModel")
    ((text, _),) = host.call("CLIPTextEncode", clip=clip, text=EXAMPLE)[0]
    assert text.shape == (1, 20, 64)
    ((other, _),) = host.call("CLIPTextEncode", clip=clip, text=EXAMPLE.replace("red", "green"))[0]
    assert (text - other).abs().max() > 0.1


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc"])
def test_any_sampler_makes_videos_of_it(host: Host, sampler: str) -> None:
    """The host's own KSampler, on four views without sync modules, predicts v on the linear schedule."""
    prompt, numbers = mini_run.graph()
    own = numbers["CVD_CollaborativeKSampler"]
    inputs = prompt[own]["inputs"]
    kept = {k: inputs[k] for k in ("positive", "negative", "latent_image", "seed", "cfg", "scheduler", "denoise")}
    model = [numbers["CVD_ApplyMotion"], 0]
    prompt[own] = {
        "class_type": "KSampler",
        "inputs": {**kept, "model": model, "sampler_name": sampler, "steps": 6},
    }
    done = host.run(prompt, outputs=[numbers["VAEDecode"]])
    assert not done.error, done.error
    (pictures,) = done.outputs[numbers["VAEDecode"]]
    clips = pictures.unflatten(0, (4, FRAMES))
    assert clips.isfinite().all()
    assert clips.std() > 0.05
    steps = (clips[:, 1:] - clips[:, :-1]).abs().mean()
    assert steps < 0.5 * (clips[0] - clips[1]).abs().mean()  # frames of a view are closer than two views
