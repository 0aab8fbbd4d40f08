"""CamI2V through the engine: a small whole file under the released names, from picture and paths to videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

import cvd_core
from benchmarks import camera_table
from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.network import Camera, DynamiCrafterUNet, Layout
from cvd_core.cami2v.resampler import Resampler
from cvd_core.cli import main
from cvd_core.engine.cami2v.pipeline import PicturePipeline
from cvd_core.engine.cami2v.towers import picture_tower, text_tower
from cvd_core.runs import mini
from cvd_core.runs.make import Pipeline
from cvd_core.sampling.settings import StartPicture
from cvd_core.video.files import read_video
from cvd_core.video.stills import fit_picture, read_still
from tests.original_layout import original_layout
from tests.posterior import posterior_mean

WIDTHS, CONTEXT = (64, 64), 64
VOCABULARY = 256
"""Of the mini model's tokenizer."""
SIZE: dict[str, Any] = {"width": 64, "height": 64, "steps": 1}
WORDS = ["--rig", "stereo", "--views", 1, "--prompt", "a red ball", "--width", 64, "--height", 64, "--steps", 1]
TRAINED = ("pose_encoder.", "pluker_projection", "epipolar")


class OpenClipBlock(nn.Module):
    """A layer as OpenCLIP writes it, under its names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 2 * width), "c_proj": nn.Linear(2 * width, width)})

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Tower(nn.Module):
    """OpenCLIP's text or picture tower; what tells texts and pictures apart at the end is in its state alone."""

    def __init__(self, width: int, head: int, layers: int, tokens: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(tokens, width))
        blocks = [OpenClipBlock(width, width // head) for _ in range(layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        for name, value in self.named_parameters():
            if value.ndim == 1:
                nn.init.normal_(value, 1.0 if "ln" in name and "weight" in name else 0.0, 0.1)

    def through(self, x: Tensor, layers: int, mask: Tensor | None = None) -> Tensor:
        for block in list(self.transformer["resblocks"])[:layers]:  # type: ignore[call-overload]
            x = block(x, mask)
        return x


class TextTower(Tower):
    def __init__(self, vocabulary: int) -> None:
        super().__init__(CONTEXT, 64, 3, 77)
        self.token_embedding = nn.Embedding(vocabulary, CONTEXT)
        self.ln_final = nn.LayerNorm(CONTEXT)
        self.text_projection = nn.Parameter(torch.zeros(CONTEXT, CONTEXT))
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, ids: Tensor) -> Tensor:
        causal = torch.full((77, 77), -torch.inf).triu(1)
        return self.ln_final(self.through(self.token_embedding(ids) + self.positional_embedding, 2, causal))


class PictureTower(Tower):
    def __init__(self) -> None:
        super().__init__(160, 80, 2, 17)
        self.class_embedding = nn.Parameter(torch.randn(160))
        self.conv1 = nn.Conv2d(3, 160, 56, stride=56, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(160), nn.LayerNorm(160)
        self.proj = nn.Parameter(torch.zeros(160, CONTEXT))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).mT
        tokens = torch.cat([self.class_embedding.expand(len(pixels), 1, -1), patches], 1)
        return self.through(self.ln_pre(tokens + self.positional_embedding), 2)


def whole_file(camera: Camera = "epipolar", *, learned: bool = True) -> dict[str, Tensor]:
    """All tensors of a model, drawn anew and alike for all kinds."""
    layout = Layout(WIDTHS, 64, CONTEXT, learned, camera)
    vae = AutoencoderKL(
        block_out_channels=[32] * 4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=1,
    )
    parts: dict[str, nn.Module] = {
        "model.diffusion_model.": DynamiCrafterUNet(layout),
        "image_proj_model.": Resampler(160, 24, CONTEXT, 12, 2, 1),
        "cond_stage_model.model.": TextTower(VOCABULARY),
        "embedder.model.visual.": PictureTower(),
    }
    if camera != "none":
        parts["pose_encoder."] = CameraBranch(layout.widths).pose_encoder
    state = {prefix + key: value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    state |= original_layout({}, vae.state_dict(), {})
    del state["cond_stage_model.transformer.text_model.embeddings.position_ids"]
    for index, (key, value) in enumerate(sorted(state.items())):
        if value.is_floating_point() and not key.endswith("pos_encoder.pe"):
            random = torch.randn(value.shape, generator=torch.Generator().manual_seed(index))
            scale = 0.1 if value.ndim < 2 else value[0].numel() ** -0.5
            state[key] = scale * random + float(value.ndim == 1 and "norm" in key and key.endswith("weight"))
    return state | {"betas": torch.zeros(10), "embedder.model.logit_scale": torch.tensor(1.0)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CamI2V 256 as one file, and as DynamiCrafter with what was trained on it; a picture."""
    made = tmp_path_factory.mktemp("cami2v")
    state = whole_file()
    torch.save({"state_dict": state}, made / "256_cami2v.ckpt")
    trained = {key: value for key, value in state.items() if any(name in key for name in TRAINED)}
    torch.save({"module": trained}, made / "trained.pt")
    torch.save({"state_dict": {k: v for k, v in state.items() if k not in trained}}, made / "model.ckpt")
    torch.save({"state_dict": whole_file("none", learned=False)}, made / "model512.ckpt")
    pixels = torch.randint(0, 256, (48, 80, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).resize((160, 96)).save(made / "picture.png")
    return made


CONFIG = mini.FOLDER / "base"


@pytest.fixture(scope="session")
def pipe(folder: Path) -> Pipeline:
    return cvd_core.load_pipeline(folder / "256_cami2v.ckpt", config=CONFIG, device="cpu")


def rig(views: int = 1, frames: int = 16) -> cvd_core.Cameras:
    return cvd_core.make_rig("stereo", views=2, frames=frames, baseline=1.0).select(range(views))


def start(folder: Path, **values: Any) -> StartPicture:
    return StartPicture(folder / "picture.png", **values)


def test_text_tower_is_openclips() -> None:
    """Features before the last layer, and diffusers' own conversion of the names."""
    torch.manual_seed(0)
    tower = TextTower(50)
    ids = torch.randint(0, 50, (2, 77))
    found = text_tower(tower.state_dict(), file="x")
    torch.testing.assert_close(found(ids).last_hidden_state, tower(ids), atol=1e-5, rtol=1e-5)
    config = CLIPTextConfig(**{**found.config.to_dict(), "num_hidden_layers": 3})
    theirs = CLIPTextModel(config)
    converted = convert_open_clip_checkpoint(theirs, tower.state_dict(), prefix="")
    converted = {k.removeprefix("text_model."): v for k, v in converted.items() if k != "text_projection.weight"}
    ours = {k.removeprefix("text_model."): v for k, v in found.state_dict().items()}
    assert ours.keys() <= converted.keys()
    assert all(torch.equal(value, converted[key]) for key, value in ours.items())


def test_picture_tower_is_openclips() -> None:
    torch.manual_seed(0)
    tower = PictureTower()
    pixels = torch.randn(2, 3, 224, 224)
    found = picture_tower(tower.state_dict(), file="x")(pixel_values=pixels).last_hidden_state
    torch.testing.assert_close(found, tower(pixels), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "drop", ["conv1.weight", "positional_embedding", "ln_pre.bias", "transformer.resblocks.0.ln_1.bias"]
)
def test_incomplete_towers(drop: str) -> None:
    state = PictureTower().state_dict()
    del state[drop]
    with pytest.raises(ValueError, match=r"model.ckpt.*(lacks|missing 1)"):
        picture_tower(state, file="model.ckpt")


@pytest.fixture(scope="session")
def plain(folder: Path, pipe: Pipeline) -> cvd_core.Run:
    return pipe(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)


def test_a_run_and_its_parts(folder: Path, pipe: Pipeline, plain: cvd_core.Run) -> None:
    """Whole file or base with trained parts: the same; without camera, or with strength 0: another, the same."""
    assert plain.frames.shape == (1, 16, 64, 64, 3)
    parts = cvd_core.load_pipeline(folder / "model.ckpt", camera=folder / "trained.pt", config=CONFIG, device="cpu")
    assert torch.equal(parts(rig(), "a red ball", picture=start(folder), progress=False, **SIZE).frames, plain.frames)
    alone = cvd_core.load_pipeline(folder / "model.ckpt", config=CONFIG, device="cpu")
    without = alone(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)
    still = pipe(rig(), "a red ball", picture=start(folder), progress=False, camera_strength=0, **SIZE)
    assert torch.equal(without.frames, still.frames)
    assert not torch.equal(without.frames, plain.frames)
    assert "will not follow the camera paths" in " ".join(alone.hints(rig(), without.record.settings))


def test_half_precision_and_offloading(folder: Path, plain: cvd_core.Run) -> None:
    """Offloaded, every network is moved for its work alone; in bfloat16 the videos stay what they are, roughly."""
    half = cvd_core.load_pipeline(
        folder / "256_cami2v.ckpt", config=CONFIG, device="cpu", dtype="bfloat16", offload=True
    )
    networks = half.networks
    for name in ("denoiser", "model.picture_encoder", "model.text_encoder", "model.vae", "model.networks.resampler"):
        assert {p.dtype for p in attrgetter(name)(networks).parameters()} == {torch.bfloat16}, name
    found = half(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)
    assert (found.frames.float() - plain.frames.float()).abs().mean() < 8
    whole = cvd_core.load_pipeline(folder / "256_cami2v.ckpt", config=CONFIG, device="cpu", offload=True)
    again = whole(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)
    assert torch.equal(again.frames, plain.frames)


def test_the_pictures_latent_is_the_mean_of_its_posterior(folder: Path, pipe: Pipeline) -> None:
    """As the nodes take it, which are compared with the same functions; whatever the seed."""
    networks = pipe.networks
    assert isinstance(networks, PicturePipeline)
    picture = fit_picture(read_still(folder / "picture.png")[None], 64, 64)
    prefix = "first_stage_model."
    state = {key.removeprefix(prefix): v for key, v in whole_file().items() if key.startswith(prefix)}
    for seed in (0, 1):
        settings = pipe.settings("a red ball", picture=start(folder), seed=seed, **SIZE)
        _, found = networks.encode(picture, settings, 1)
        torch.testing.assert_close(found[:, :, 0], 0.18215 * posterior_mean(state, picture), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda: torch.empty(2**50), "can't allocate memory"),
        (lambda: bytearray(10**17), "MemoryError"),
        (lambda: out_of_memory(torch.OutOfMemoryError("CUDA out of memory.\nOf 8 GiB ...")), "CUDA out of memory."),
    ],
    ids=["torch", "python", "cuda"],
)
def test_want_of_memory_in_the_network_says_what_to_make_smaller(
    folder: Path, pipe: Pipeline, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], object], reason: str
) -> None:
    monkeypatch.setattr(DynamiCrafterUNet, "forward", lambda *_: failure())
    with pytest.raises(ValueError, match="the memory of cpu is not enough") as found:
        pipe(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)
    assert reason in str(found.value)
    assert str(found.value).endswith("; try `offload`, `dtype` float16 or a smaller `width` and `height`")


def test_want_of_memory_is_one_line_of_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(DynamiCrafterUNet, "forward", lambda *_: torch.empty(2**50))
    words = ["generate", "--base", folder / "256_cami2v.ckpt", "--config", CONFIG, *WORDS]
    words += ["--image", folder / "picture.png", "--out", tmp_path / "out"]
    assert main([*map(str, words)]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("cvd: error"))
    assert line.endswith("; try --offload, --dtype float16 or a smaller --width and --height")
    assert not (tmp_path / "out").exists()


def out_of_memory(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "values",
    [{"reference_frame": 9}, {"path_scale": 3.0}, {"frame_rate": 8.0}, {"eta": 0.0}],
    ids=["reference frame", "scale", "rate", "eta"],
)
def test_every_option_of_the_picture_matters(
    folder: Path, pipe: Pipeline, plain: cvd_core.Run, values: dict[str, Any]
) -> None:
    other = pipe(rig(), "a red ball", picture=start(folder, **values), progress=False, **SIZE)
    assert not torch.equal(plain.frames, other.frames)


def test_seeds_and_sizes(folder: Path, pipe: Pipeline, plain: cvd_core.Run) -> None:
    """Another seed gives another video; sides are any multiples of 64."""

    def frames(**values: Any) -> Tensor:
        return pipe(rig(), "a red ball", picture=start(folder), progress=False, **{**SIZE, **values}).frames

    assert not torch.equal(frames(seed=1), plain.frames)
    wide = frames(width=128)
    assert wide.shape == (1, 16, 64, 128, 3)
    assert not torch.equal(wide, frames(width=128, camera_strength=0))


def test_stopping(folder: Path, pipe: Pipeline, plain: cvd_core.Run) -> None:
    """Whoever watches a run may stop it; the models then work as before: the same seed gives the same bits."""

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe(rig(), "a red ball", picture=start(folder), progress=stop, **{**SIZE, "steps": 3})
    again = pipe(rig(), "a red ball", picture=start(folder), progress=False, **SIZE)
    assert torch.equal(again.frames, plain.frames)


def test_camera_guidance(folder: Path, pipe: Pipeline, plain: cvd_core.Run) -> None:
    def frames(**values: Any) -> Tensor:
        return pipe(rig(), "a red ball", picture=start(folder), progress=False, **{**SIZE, **values}).frames

    assert torch.equal(plain.frames, frames(camera_guidance=1, camera_guidance_schedule="cosine"))
    assert not torch.equal(plain.frames, frames(guidance=1))
    constant, cosine = (frames(camera_guidance=2, camera_guidance_schedule=s, steps=2) for s in ("constant", "cosine"))
    assert not torch.equal(constant, cosine)  # which start alike


def test_views_from_one_picture(folder: Path, pipe: Pipeline, plain: cvd_core.Run) -> None:
    """Each view is the video that it would be alone; with shared noise, one path twice is one video twice."""
    two = rig(2)
    both = pipe(two, "a red ball", picture=start(folder), progress=False, **SIZE)
    assert both.frames.shape[0] == 2
    assert torch.equal(both.frames[:1], plain.frames)
    twice = two.select([0, 0])
    shared = pipe(twice, "a red ball", picture=start(folder, shared_noise=True), progress=False, **SIZE)
    own = pipe(twice, "a red ball", picture=start(folder), progress=False, **SIZE)
    assert torch.equal(*shared.frames)
    assert not torch.equal(*own.frames)
    assert "does not synchronise views" in " ".join(pipe.hints(two, both.record.settings))


def test_command_and_repeat(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "--base", folder / "256_cami2v.ckpt", "--config", CONFIG, "--image", folder / "picture.png"]
    words += ["--reference-frame", 3, "--camera-guidance", 1.5, *WORDS]
    assert main([*map(str, words), "--out", str(tmp_path / "one")]) == 0
    record = tmp_path / "one" / "run.json"
    assert main(["generate", "--from", str(record), "--out", str(tmp_path / "two")]) == 0
    first, second = (read_video(tmp_path / name / "view0.mp4")[0] for name in ("one", "two"))
    assert torch.equal(first, second)
    values = json.loads(record.read_text())
    assert values["settings"]["picture"]["reference_frame"] == 3
    assert (values["settings"]["guidance"], values["settings"]["camera_guidance"]) == (7.5, 1.5)
    assert values["inputs"]["image"]["name"] == "picture.png"
    # another picture on purpose, and a changed one
    other = tmp_path / "other.png"
    Image.open(folder / "picture.png").rotate(180).save(other)
    words = ["generate", "--from", record, "--image", other, "--out", tmp_path / "three"]
    assert main([*map(str, words)]) == 0
    kept = json.loads((tmp_path / "three" / "run.json").read_text())["settings"]["picture"]
    assert (kept["image"], kept["reference_frame"]) == (str(other), 3)
    Image.open(folder / "picture.png").save(other)
    capsys.readouterr()
    assert main(["generate", "--from", str(tmp_path / "three" / "run.json"), "--out", str(tmp_path / "four")]) == 2
    message = capsys.readouterr().err
    assert f"{other} is not the file that the recorded run used" in message
    assert "with --image" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames", 8], "--frames is 8; DynamiCrafter and CamI2V make exactly 16 - --frames 16 resamples paths"),
        (["--width", 96], "--width is 96 pixels; DynamiCrafter makes multiples of 64 - the nearest is 128"),
        (["--sampler", "euler"], "--sampler is 'euler'; DynamiCrafter and CamI2V are sampled with 'ddim'"),
        (["--strategy", "partition"], "--strategy is 'partition'; CamI2V's views do not see each other"),
        (["--motion", "x.ckpt"], "--motion does not go with DynamiCrafter"),
        (["--sync", "x.ckpt"], "--sync does not go with DynamiCrafter"),
        (["--lora", "x.ckpt"], "--lora are not supported on DynamiCrafter"),
        (["--image", "nowhere.png"], "nowhere.png does not exist; expected a picture"),
        (["--image", "{folder}/trained.pt"], "trained.pt cannot be read as a picture"),
        (["--reference-frame", 16], "--reference-frame is 16; expected at least 0 and at most 15"),
        (["--eta", 2], "--eta is 2.0; expected at least 0 and at most 1"),
        (["--base", "{folder}/trained.pt"], "is only the camera's part of a CamI2V file"),
        (["--camera", "{folder}/model.ckpt"], "is not what CamI2V trained on DynamiCrafter"),
        (["--camera", "{folder}/picture.png"], "is not a model file"),
        (["--camera", str(mini.FOLDER / "camera.safetensors")], "is not what CamI2V trained on DynamiCrafter"),
        (["--base", "{folder}/model512.ckpt", "--camera", "{folder}/256_cami2v.ckpt"], "goes with the 256 model"),
        (["--config", "{folder}"], "has no tokenizer/"),
    ],
)
def test_what_cannot_work_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[object], message: str
) -> None:
    base = ["--base", folder / "model.ckpt", "--config", CONFIG, "--image", folder / "picture.png", *WORDS]
    given = [str(word).format(folder=folder) for word in [*base, *words]]
    assert main(["generate", "--out", str(tmp_path / "out"), *given]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("cvd: note:", "generating"))]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_pictures_belong_to_bases_that_take_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--out", tmp_path / "out", "--rig", "stereo", "--prompt", "a red ball"]
    assert main([*map(str, words), "--image", str(folder / "picture.png")]) == 2
    assert "--image goes with CamI2V and DynamiCrafter, the base is a text-to-video model" in capsys.readouterr().err
    assert main([*map(str, words), "--eta", "0.5"]) == 2
    assert "--image is missing; --eta goes with a picture" in capsys.readouterr().err
    words += ["--base", folder / "model.ckpt", "--config", CONFIG]
    assert main([*map(str, words)]) == 2
    assert "--image is missing; give the picture that the videos start from" in capsys.readouterr().err


def test_sizes_of_the_two_models(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, size in (("model.ckpt", (256, 256)), ("model512.ckpt", (512, 320))):
        loaded = cvd_core.load_pipeline(folder / name, config=CONFIG, device="cpu")
        settings = loaded.settings("a ball", picture=start(folder))
        assert (settings.width, settings.height) == size
        assert not any("trained at" in hint for hint in loaded.hints(rig(), settings))
        mixed = loaded.settings("a ball", picture=start(folder), width=size[1], height=size[0])
        if size[0] != size[1]:
            assert "is the 512 model, trained at 512x320" in " ".join(loaded.hints(rig(), mixed))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "256_cami2v.ckpt",
            ["a CamI2V checkpoint (256)", "--base; in ComfyUI", "UNet, VAE, text encoder, picture encoder"],
        ),
        ("model.ckpt", ["a DynamiCrafter checkpoint (256)", "--base; in ComfyUI"]),
        ("model512.ckpt", ["a DynamiCrafter checkpoint (512)"]),
        (
            "trained.pt",
            ["the camera's part of a CamI2V checkpoint", "--camera; in ComfyUI", "DynamiCrafter's whole file"],
        ),
    ],
)
def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str], name: str, expected: list[str]) -> None:
    assert main(["inspect", str(folder / name)]) == 0
    printed = capsys.readouterr().out
    assert "nothing here" not in printed
    for part in expected:
        assert part in printed


def test_a_table_of_pictures_and_paths(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths are resampled; a run that is there is not made again. Noise has no path: nothing is measured."""
    cvd_core.write_cameras(rig(frames=20), tmp_path / "path.txt", width=64, height=64)
    (tmp_path / "list.csv").write_text(f"poses,prompt,image\npath.txt,a red ball,{folder / 'picture.png'}\n")
    words = ["camera_table", tmp_path / "list.csv", "--out", tmp_path / "out", "--base", folder / "256_cami2v.ckpt"]
    words += ["--config", CONFIG, "--width", 64, "--height", 64, "--steps", 1, "--trials", 0]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    made = []
    for _ in range(2):
        camera_table.main()
        assert "RotErr nan" in capsys.readouterr().out
        made.append((tmp_path / "out" / "0" / "run.json").stat().st_mtime_ns)
    assert made[0] == made[1]
    table = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert table[0].startswith("row,poses,prompt,image,RotErr,TransErr,CamMC")
    assert len(table) == 3
    (tmp_path / "list.csv").write_text("pose,prompt\n1,2\n")
    with pytest.raises(ValueError, match=r"holds pose, prompt; expected rows with poses, prompt"):
        camera_table.main()


def test_converted_files_are_the_same_model(folder: Path, tmp_path: Path, pipe: Pipeline) -> None:
    assert main(["convert", str(folder / "256_cami2v.ckpt"), str(tmp_path / "x.safetensors")]) == 0
    converted = cvd_core.load_pipeline(tmp_path / "x.safetensors", config=CONFIG, device="cpu")
    for name in ("denoiser", "model.picture_encoder", "model.text_encoder", "model.vae", "model.networks.resampler"):
        theirs, ours = (attrgetter(name)(p.networks).state_dict() for p in (pipe, converted))
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(value, ours[key]) for key, value in theirs.items())
