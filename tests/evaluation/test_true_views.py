"""PSNR, SSIM and LPIPS of made views against true ones: by hand, against scipy's filters, and from files."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from cvd_core.evaluation.features import load_network
from cvd_core.evaluation.true_views import LPIPS, lpips, psnr, read_true_views, ssim
from cvd_core.video.files import write_video

needs_kornia = pytest.mark.skipif(importlib.util.find_spec("kornia") is None, reason="kornia is not installed")


def video(seed: int, frames: int = 5) -> Tensor:
    return torch.randint(0, 256, (frames, 32, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_psnr_by_hand() -> None:
    black = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    grey = torch.stack([black[0], torch.full_like(black[0], 51)])
    assert psnr(grey, black).tolist() == [math.inf, pytest.approx(20 * math.log10(5))]  # 51 is a fifth of 255


@needs_kornia
def test_ssim_is_that_of_its_paper() -> None:
    """Away from the edges, where implementations differ in how they pad."""
    a, b = video(0), (video(0) // 2 + video(1) // 2).to(torch.uint8)

    def mean(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, (0, 1.5, 1.5, 0), radius=5, mode="mirror")

    x, y = (v.numpy() / 255.0 for v in (a, b))
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    expected = ((2 * mx * my + 1e-4) * (2 * cov + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    np.testing.assert_allclose(ssim(a, b).numpy(), expected.mean((1, 2, 3)), atol=2e-3)
    torch.testing.assert_close(ssim(a, a), torch.ones(5))


class Features(nn.Module):
    """Takes what StyleGAN2-ADA's VGG takes: colours 0 ... 255, channels first."""

    def forward(self, x: Tensor, resize_images: bool = True, return_lpips: bool = False) -> Tensor:
        assert not resize_images
        assert return_lpips
        assert x.max() > 1
        return x.mean(dim=[2, 3])


def test_lpips_is_the_squared_distance_of_features(tmp_path: Path) -> None:
    torch.jit.script(Features()).save(str(tmp_path / "vgg16.pt"))
    network = load_network(tmp_path / "vgg16.pt", LPIPS)
    found = lpips(network, video(0), video(1))
    expected = (video(0).float().mean((1, 2)) - video(1).float().mean((1, 2))).square().sum(-1)
    torch.testing.assert_close(found, expected)


def test_true_views_go_by_name_and_may_lack_the_given_one(tmp_path: Path) -> None:
    write_video(video(1), tmp_path / "right.mp4", 8)
    found = read_true_views(tmp_path, ["left", "right"], (5, 32, 40))
    assert list(found) == [1]
    assert found[1].shape == (5, 32, 40, 3)
    for names, size, message in (
        (["a", "b"], (5, 32, 40), "holds no video of a, b; expected true views"),
        (["right"], (5, 16, 40), "have 5 frames of 40 x 32 pixels, the views 5 of 40 x 16"),
        (["right"], (6, 32, 40), "has 5 frames"),
    ):
        with pytest.raises(ValueError, match=message):
            read_true_views(tmp_path, names, size)
    with pytest.raises(ValueError, match="does not exist; expected true views"):
        read_true_views(tmp_path / "none", ["right"], (5, 32, 40))
