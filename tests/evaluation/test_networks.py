"""Networks from files: called as their authors call them, and refused where they are something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from cvd_core.evaluation.features import (
    Clip,
    clip_f,
    clip_t,
    clip_v,
    cut_clips,
    i3d_features,
    inception_features,
    load_network,
)
from tests.formula import write_tokenizer


class PictureNetwork(nn.Module):
    """Takes what StyleGAN2-ADA's Inception takes: bytes, channels first."""

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert x.dtype == torch.uint8
        assert return_features
        return x.float().mean(dim=[2, 3])


class VideoNetwork(nn.Module):
    """Takes what StyleGAN-V's I3D takes: [-1, 1], 224 x 224."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert x.shape[3] == 224
        assert x.shape[4] == 224
        assert not rescale
        assert not resize
        assert return_features
        return x.mean(dim=[3, 4]).flatten(1)


@pytest.fixture
def inception(tmp_path: Path) -> Path:
    torch.jit.script(PictureNetwork()).save(str(tmp_path / "inception.pt"))
    return tmp_path / "inception.pt"


@pytest.fixture
def i3d(tmp_path: Path) -> Path:
    torch.jit.script(VideoNetwork()).save(str(tmp_path / "i3d.pt"))
    return tmp_path / "i3d.pt"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A CLIP model of a few parameters, complete as its folder."""
    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**part, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config={**part, "image_size": 32, "patch_size": 16}, projection_dim=8)
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    write_tokenizer(tmp_path / "clip")
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def clips(views: int, frames: int) -> Tensor:
    """Every picture of one grey: ten times the view plus the frame."""
    greys = 10 * torch.arange(views)[:, None] + torch.arange(frames)
    return greys.to(torch.uint8)[..., None, None, None].repeat(1, 1, 8, 12, 3)


def test_features_of_every_picture_in_order(inception: Path) -> None:
    features = inception_features(load_network(inception, "it"), clips(2, 9))
    assert features[:, 0].tolist() == [10 * v + f for v in range(2) for f in range(9)]


def test_features_of_every_video(i3d: Path) -> None:
    features = i3d_features(load_network(i3d, "it"), clips(2, 9))
    assert features.shape == (2, 27)
    expected = torch.tensor([10 * v + f for v in range(2) for f in range(9)], dtype=torch.float64) / 127.5 - 1
    torch.testing.assert_close(features[:, :9].flatten(), expected, atol=1e-6, rtol=0)


def test_too_few_frames_for_fvd(i3d: Path) -> None:
    with pytest.raises(ValueError, match="videos of 8 frames; FVD needs 9 or more"):
        i3d_features(load_network(i3d, "it"), clips(2, 8))


def test_clips_of_a_view_overlap_by_half() -> None:
    found = cut_clips(clips(2, 35))
    assert found.shape == (2, 3, 16, 8, 12, 3)
    for clip, first in enumerate((0, 8, 16)):
        assert torch.equal(found[:, clip], clips(2, 35)[:, first : first + 16])
    with pytest.raises(ValueError, match="videos of 23 frames; FVD-V needs 24"):
        cut_clips(clips(2, 23))


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    for name, found in (("text.pt", "cannot be read as TorchScript"), ("none.pt", "does not exist"), (".", "folder")):
        with pytest.raises(ValueError, match=f"{found}.*expected Inception"):
            load_network(tmp_path / name, "Inception")


def test_clip_embeds_pictures_and_texts(clip: Path) -> None:
    model = Clip(clip)
    noise = torch.randint(0, 256, (2, 3, 40, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pictures, texts = model.pictures(noise), model.texts(["a cat", "a much longer text about a dog"])
    assert pictures.shape == (2, 3, 8)
    assert texts.shape == (2, 8)
    for embedding in (pictures, texts):
        torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(embedding.shape[:-1]))
    alone = model.texts(["a cat"])[0]
    torch.testing.assert_close(texts[0], alone, atol=1e-5, rtol=0)  # padding changes nothing
    assert (texts[0] - texts[1]).abs().max() > 1e-3
    torch.testing.assert_close(model.pictures(noise[1:])[0], pictures[1])


def test_folders_that_are_no_clip(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; expected a folder with a CLIP model"):
        Clip(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no complete CLIP model"):
        Clip(tmp_path / "empty")
    (clip / "config.json").unlink()
    with pytest.raises(ValueError, match="holds no complete CLIP model"):
        Clip(clip)


def test_scores_by_hand() -> None:
    x, y = torch.tensor([1.0, 0]), torch.tensor([0, 1.0])
    pictures = torch.stack([torch.stack([x, x, y]), torch.stack([x, y, y])])
    assert clip_t(pictures, torch.stack([x, y])) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert clip_f(pictures) == pytest.approx(0.5)
    assert clip_v(pictures) == pytest.approx(2 / 3)
