"""CamI2V's files and pictures on the host, and what a graph may connect wrongly."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.ldm.models.autoencoder
import comfy.sd
import comfy.taesd.taesd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.network import FRAMES, DynamiCrafterUNet, Layout
from cvd_core.cami2v.picture import clip_pixels
from cvd_core.cami2v.resampler import Resampler
from cvd_core.video.stills import fit_picture
from tests import formula
from tests.golden.cami2v_host import small_model
from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.test_cami2v import Run, apply, context, picture, rig
from tests.posterior import posterior_mean

TWO_PATHS = '{"version": 2, "rig": {"name": "circle"}}'
PICTURE_WIDTH = 20
"""Channels of the small picture encoder."""


def layout(camera: str = "epipolar", *, learned: bool = True, widths: tuple[int, ...] = (64, 128)) -> Layout:
    return Layout(widths, 64, 64, learned, camera)  # type: ignore[arg-type]


def save(path: Path, given: Layout, *, camera_only: bool = False) -> None:
    """A model file of the released layout with formula weights."""
    resampler = Resampler(PICTURE_WIDTH, 24, given.context, 12, 2, 1)
    parts: dict[str, nn.Module] = {"model.diffusion_model.": DynamiCrafterUNet(given), "image_proj_model.": resampler}
    if given.camera != "none":
        parts["pose_encoder."] = CameraBranch(given.widths).pose_encoder
    shapes = {prefix + k: list(v.shape) for prefix, part in parts.items() for k, v in part.state_dict().items()}
    if camera_only:
        trained = ("pose_encoder", "pluker_projection", "epipolar")
        shapes = {key: shape for key, shape in shapes.items() if any(name in key for name in trained)}
    save_file({key: formula.weight(key, shape) for key, shape in shapes.items()}, path)


@pytest.fixture(scope="module")
def checkpoints(host: Host) -> Path:
    folder = Path(host.base) / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "cami2v_256.safetensors", layout())
    save(folder / "cami2v_512.safetensors", layout(learned=False))
    save(folder / "dynamicrafter_256.safetensors", layout("none"))
    save(folder / "dynamicrafter_512.safetensors", layout("none", learned=False))
    save(folder / "camera_parts.safetensors", layout(), camera_only=True)
    save(folder / "wider.safetensors", layout("none", widths=(128, 128)))
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}, folder / "sd15.safetensors")
    return folder


def load(host: Host, name: str, base: str = "none") -> tuple[Any, ...]:
    named = [file if file == "none" else f"{file}.safetensors" for file in (name, base)]
    return host.call("CVD_LoadDynamiCrafter", checkpoint_name=named[0], base_name=named[1])


def test_files(host: Host, checkpoints: Path) -> None:
    """Whole files, and trained parts over DynamiCrafter's: the same model as the whole file's."""
    model, clip, vision, vae = load(host, "cami2v_256")
    assert (clip, vision, vae) == (None, None, None)
    assert model.model.diffusion_model.label == "CamI2V 256"
    over, *_ = load(host, "camera_parts", "dynamicrafter_256")
    state, other = model.model.diffusion_model.state_dict(), over.model.diffusion_model.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in state.items())
    assert load(host, "cami2v_512")[0].model.diffusion_model.label == "CamI2V 512"
    assert float(load(host, "cami2v_512")[0].get_model_object("model_sampling").sigma_max) > 4000
    assert load(host, "dynamicrafter_256")[0].model.diffusion_model.label == "DynamiCrafter 256"


@pytest.mark.parametrize(
    ("name", "base", "message"),
    [
        ("sd15", "none", "no DynamiCrafter or CamI2V file"),
        ("camera_parts", "none", "give DynamiCrafter's file as the base"),
        ("camera_parts", "wider", "of another shape"),
        ("camera_parts", "sd15", "it lacks"),
        ("dynamicrafter_256", "dynamicrafter_256", "is not what CamI2V trained on DynamiCrafter"),
        ("cami2v_256", "dynamicrafter_512", "goes with the 256 model, .* is the 512 model"),
    ],
)
def test_wrong_files(host: Host, checkpoints: Path, name: str, base: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(host, name, base)


def test_loading_again(host: Host, checkpoints: Path) -> None:
    """Newer hosts ask for a model anew."""
    model, *_ = load(host, "cami2v_256")
    again, arguments = model.cached_patcher_init
    assert again(*arguments).model.diffusion_model.label == "CamI2V 256"


def vision_tower(width: int = PICTURE_WIDTH, side: int = 224) -> Any:
    """The host's CLIP vision model, small."""
    config = {
        "hidden_size": width,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_channels": 3,
        "image_size": side,
        "patch_size": 14,
        "hidden_act": "gelu",
        "model_type": "clip_vision_model",
        "projection_dim": 16,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # older hosts take no dict
        json.dump(config, file)
        file.flush()
        tower = comfy.clip_vision.ClipVisionModel(file.name)
    state = {key: formula.weight(f"vision.{key}", value.shape) for key, value in tower.model.state_dict().items()}
    state = {k: torch.arange(v.numel())[None] if k.endswith("position_ids") else v for k, v in state.items()}
    tower.model.load_state_dict(state)
    return tower


def tiny_vae(channels: int = 4) -> Any:
    """TAESD, as the host loads it: latents at an eighth of the size."""
    network = comfy.taesd.taesd.TAESD(latent_channels=channels)
    prefixes = {"taesd_encoder.": network.taesd_encoder, "taesd_decoder.": network.taesd_decoder}
    state = {
        p + k: formula.weight(p + k, v.shape) for p, part in prefixes.items() for k, v in part.state_dict().items()
    }
    return comfy.sd.VAE(sd=state)


def small_vae() -> tuple[Any, dict[str, Tensor]]:
    """The host's VAE of Stable Diffusion 1, narrow, and its tensors under the names of checkpoints."""
    sizes: dict[str, Any] = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 64,
        "in_channels": 3,
        "out_ch": 3,
        "dropout": 0.0,
    }
    sizes |= {"ch": 32, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "attn_resolutions": []}
    config = {"embed_dim": 4, "ddconfig": sizes}
    shapes = formula.shapes_of(comfy.ldm.models.autoencoder.AutoencoderKL(**config))
    state = {key: formula.weight(f"vae.{key}", shape) for key, shape in shapes.items()}
    return comfy.sd.VAE(sd=dict(state), config={"params": config}), state


def photo(count: int = 1, height: int = 90, width: int = 200) -> Tensor:
    return formula.uniform("host/photo", (count, height, width, 3))


def encode(host: Host, **changes: Any) -> tuple[Any, Any, dict[str, Any]]:
    prompts = {name: [[context(name)[:, :77], {}]] for name in ("positive", "negative")}
    given: dict[str, Any] = {
        **prompts,
        "clip_vision": vision_tower(),
        "vae": tiny_vae(),
        "picture": photo(),
        "width": 128,
        "height": 64,
        "videos": 1,
        "frame_rate": 0,
        "shared_noise": False,
    }
    positive, negative, latent = host.call("CVD_PictureConditioning", **(given | changes))
    return positive, negative, latent


def test_conditioning(host: Host) -> None:
    tower, vae = vision_tower(), tiny_vae()
    positive, negative, latent = encode(host, clip_vision=tower, vae=vae, videos=2, frame_rate=7, shared_noise=True)
    assert latent["samples"].shape == (2 * FRAMES, 4, 8, 16)
    assert latent["batch_index"] == [*range(FRAMES)] * 2
    start = comfy.sample.prepare_noise(latent["samples"], 1, latent["batch_index"])
    assert torch.equal(start[:FRAMES], start[FRAMES:])
    assert not torch.equal(start[0], start[1])
    fitted = fit_picture(photo().movedim(-1, 1), 128, 64)
    for shown, (text, held) in ((2 * fitted - 1, positive[0]), (torch.zeros_like(fitted), negative[0])):
        tokens = tower.model(pixel_values=clip_pixels(shown))[0]
        torch.testing.assert_close(held["cvd_picture_tokens"], tokens, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(held["concat_latent_image"], vae.encode(fitted.movedim(1, -1)))
        assert held["cvd_frame_rate"] == 7
        assert text.shape == (1, 77, 64)


def test_the_pictures_latent_is_the_mean_of_its_posterior(host: Host) -> None:
    """As the engine takes it, which is compared with the same functions."""
    vae, state = small_vae()
    positive, negative, _ = encode(host, vae=vae)
    model = small_model(host).model
    expected = 0.18215 * posterior_mean(state, 2 * fit_picture(photo().movedim(-1, 1), 128, 64) - 1)
    for ((_, held),) in (positive, negative):
        torch.testing.assert_close(model.process_latent_in(held["concat_latent_image"]), expected, atol=1e-5, rtol=1e-4)


def test_a_whole_graph(host: Host, checkpoints: Path) -> None:
    """From files and a picture to frames, in the host's executor, with a batch of two paths."""
    prompt: dict[str, Any] = {
        "load": {
            "class_type": "CVD_LoadDynamiCrafter",
            "inputs": {"checkpoint_name": "cami2v_512.safetensors", "base_name": "none"},
        },
        "cameras": {
            "class_type": "CVD_CameraTrajectoryBuilder",
            "inputs": {"views": 2, "frames": FRAMES, "width": 64, "height": 64, "trajectory": TWO_PATHS},
        },
        "text": host.provide("CONDITIONING", [[context("text")[:, :77], {}]]),
        "vision": host.provide("CLIP_VISION", vision_tower()),
        "vae": host.provide("VAE", tiny_vae()),
        "photo": host.provide("IMAGE", photo()),
        "picture": {
            "class_type": "CVD_PictureConditioning",
            "inputs": {
                "positive": ["text", 0],
                "negative": ["text", 0],
                "clip_vision": ["vision", 0],
                "vae": ["vae", 0],
                "picture": ["photo", 0],
                "width": 64,
                "height": 64,
                "videos": 2,
                "frame_rate": 0,
                "shared_noise": False,
            },
        },
        "apply": {
            "class_type": "CVD_ApplyCamI2V",
            "inputs": {
                "model": ["load", 0],
                "cameras": ["cameras", 0],
                "reference_frame": 0,
                "trace_scale": 1.0,
                "strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
                "line_seed": 0,
            },
        },
        "guider": {
            "class_type": "CVD_CamI2VGuider",
            "inputs": {
                "model": ["apply", 0],
                "positive": ["picture", 0],
                "negative": ["picture", 1],
                "cfg": 7.5,
                "camera_cfg": 1.5,
                "camera_cfg_schedule": "cosine",
                "rescale": 0.7,
            },
        },
        "sampler": {
            "class_type": "CVD_CamI2VSampler",
            "inputs": {"model": ["apply", 0], "steps": 2, "spacing": "uniform", "eta": 1.0},
        },
        "noise": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
        "sample": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["noise", 0],
                "guider": ["guider", 0],
                "sampler": ["sampler", 0],
                "sigmas": ["sampler", 1],
                "latent_image": ["picture", 2],
            },
        },
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sample", 0], "vae": ["vae", 0]}},
    }
    done = host.run(prompt, outputs=["decode"])
    assert not done.validation, done
    assert not done.error, done
    assert done.outputs["decode"][0].shape == (2 * FRAMES, 64, 64, 3)


def test_wrong_pictures_and_encoders(host: Host) -> None:
    with pytest.raises(ValueError, match="3 pictures for 2 videos"):
        encode(host, picture=photo(3), videos=2)
    with pytest.raises(ValueError, match="width is 100 pixels; expected a multiple of 64"):
        encode(host, width=100)
    with pytest.raises(ValueError, match="holds no VAE; connect Load VAE"):
        encode(host, vae=None)
    with pytest.raises(ValueError, match=r"makes latents of shape .* DynamiCrafter takes those of Stable Diffusion"):
        encode(host, vae=tiny_vae(16))
    with pytest.raises(ValueError, match="holds no picture encoder; connect Load CLIP Vision"):
        encode(host, clip_vision=None)
    with pytest.raises(ValueError, match="takes pictures of 112 pixels; expected OpenCLIP ViT-H for 224"):
        encode(host, clip_vision=vision_tower(side=112))


def run_with(host: Host, **changes: Any) -> Tensor:
    """A run whose positive conditioning is another."""
    run = Run(host, small_model(host))
    text, held = run.positive[0]
    run.positive = [[changes.pop("text", text), {**held, **changes}]]
    return run()


def test_wrong_conditioning(host: Host) -> None:
    other: dict[str, dict[str, Any]] = {
        "the prompt's width is 768; CamI2V 256 takes 64, the text encoder of Stable": {"text": torch.zeros(1, 77, 768)},
        "the prompt takes 154 tokens; CamI2V 256 reads 77": {"text": torch.zeros(1, 154, 64)},
        "tokens have width 32; CamI2V 256 takes 64, OpenCLIP": {"cvd_picture_tokens": torch.zeros(1, 256, 32)},
        "encoded as 128x64 with 4 channels, the latent is for 64x64": {"concat_latent_image": picture(128, 64)},
        "holds 2 pictures for 1 videos": {"concat_latent_image": picture(64, 64, 2)},
        "remove Conditioning .Set Area": {"area": (8, 8, 0, 0)},
    }
    for message, changes in other.items():
        with pytest.raises(ValueError, match=message):
            run_with(host, **changes)
    run = Run(host, small_model(host))
    run.positive = [[run.positive[0][0], {}]]
    with pytest.raises(ValueError, match=r"holds no picture, from which CamI2V 256 makes its video"):
        run()


def test_wrong_lengths_and_sizes(host: Host) -> None:
    model = small_model(host)
    with pytest.raises(ValueError, match="the camera path has 8 frames; CamI2V makes exactly 16"):
        apply(host, model, rig(frames=8))
    short = Run(host, model)
    short.noise = short.noise[:14]
    with pytest.raises(ValueError, match=r"shape \(14, 4, 8, 8\).*exactly 16 frames"):
        short()
    with pytest.raises(ValueError, match="the latent holds 1 videos of 16 frames; the cameras are 2 paths"):
        Run(host, apply(host, model, rig(2)))()
    with pytest.raises(ValueError, match="multiples of 64"):
        Run(host, model, (96, 64))()


def test_wrong_models(host: Host) -> None:
    other, plain = small.base_model(), small_model(host, camera="none")
    with pytest.raises(ValueError, match=r"is a UNetModel; connect one from Load CamI2V / DynamiCrafter"):
        apply(host, other, rig())
    with pytest.raises(ValueError, match="the model is DynamiCrafter 256, which takes no cameras"):
        apply(host, plain, rig())
    with pytest.raises(ValueError, match="camera_cfg is 2, but the model has no cameras"):
        Run(host, plain).guider(camera_cfg=2.0)
    with pytest.raises(ValueError, match="is a UNetModel"):
        host.call("CVD_CamI2VSampler", model=other, steps=2, spacing="uniform", eta=1.0)
    sampler, sigmas = Run(host, plain).sampler()
    guider = comfy.samplers.CFGGuider(other)
    guider.set_conds(small.prompt("castle"), small.prompt("blurry"))
    latent = small.latent(1, 2, 64)["samples"]
    with pytest.raises(ValueError, match="CamI2V Sampler is for models of Load CamI2V"):
        guider.sample(latent, latent, sampler, sigmas, disable_pbar=True, seed=0)


def test_control_net_is_refused(host: Host) -> None:
    run = Run(host, small_model(host))
    text, held = run.positive[0]
    run.positive = [
        [text, {**held, "control": small.control_net(torch.zeros(1, 3, 64, 64)), "control_apply_to_uncond": True}]
    ]
    with pytest.raises(ValueError, match="takes no ControlNet"):
        run()
