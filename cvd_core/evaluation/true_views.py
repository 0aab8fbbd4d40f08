"""Made views against true ones, picture by picture: PSNR, SSIM and LPIPS, as SynCamMaster measures new views of a
given video (Tab. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.evaluation.extras import require_extra
from cvd_core.evaluation.features import load_network
from cvd_core.evaluation.footage import VIDEO_ENDINGS, Footage, read_reference
from cvd_core.evaluation.objects import check_videos
from cvd_core.evaluation.results import Results, mean

LPIPS = "vgg16.pt, the TorchScript VGG of StyleGAN2-ADA, whose features compare as LPIPS does"
SSIM_WINDOW = 11
"""Pixels, a Gaussian of 1.5 within them (Wang et al., 2004)."""
TRUE = "Views against the true ones"
_MEASURES = {"PSNR": ("dB", "higher"), "SSIM": ("", "higher"), "LPIPS": ("", "lower")}
"""Unit, and what is better."""
_BATCH = 4


def measure_true_views(footage: Footage, results: Results, folder: Path, lpips_file: Path | None = None) -> None:
    """All measures of every view of which there is a true video; LPIPS where its network is given.

    Raises:
        ValueError: see :func:`read_true_views`, or the network is something else.
    """
    names = footage.cameras.names
    network = load_network(lpips_file, LPIPS) if lpips_file else None
    true = read_true_views(folder, names, footage.videos.shape[1:4])
    measured = {}
    for view, video in true.items():
        made = footage.videos[view]
        found = {"PSNR": psnr(made, video), "SSIM": ssim(made, video)}
        found |= {"LPIPS": lpips(network, made, video)} if network else {}
        measured[names[view]] = {measure: float(values.double().mean()) for measure, values in found.items()}
    averages = {measure: mean([of_view[measure] for of_view in measured.values()]) for measure in found}
    for subject, values_of in {"all": averages, **measured}.items():
        results.add(TRUE, subject, [(measure, value, *_MEASURES[measure]) for measure, value in values_of.items()])
    if missing := [name for view, name in enumerate(names) if view not in true]:
        results.notes.append(f"{TRUE}: without {', '.join(missing)}, of which there are no true videos.")


def read_true_views(folder: Path, names: Sequence[str], size: Sequence[int]) -> dict[int, Tensor]:
    """The true videos that a folder has, by the number of their view.

    Args:
        folder: holds videos called as the views are; those of the given view may be missing.
        names: of the views.
        size: frames, height and width of the videos.

    Returns:
        ``(F, H, W, 3)`` uint8 each.

    Raises:
        ValueError: no folder, no video of a view in it, or one that is unreadable or of another size or length.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} {'is a file' if folder.exists() else 'does not exist'}; expected true views")
    found = {
        view: file
        for view, name in enumerate(names)
        for file in (folder / f"{name}{ending}" for ending in VIDEO_ENDINGS)
        if file.is_file()
    }
    if not found:
        raise ValueError(f"{folder} holds no video of {', '.join(names)}; expected true views called as the views are")
    videos = read_reference(list(found.values()), size[0])
    if tuple(videos.shape[1:4]) != tuple(size):
        frames, height, width = videos.shape[1:4]
        raise ValueError(
            f"the true views in {folder} have {frames} frames of {width} x {height} pixels, the views {size[0]} of "
            f"{size[2]} x {size[1]}; expected the same"
        )
    return dict(zip(found, videos, strict=True))


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """``(F,)`` peak signal-to-noise ratio in dB of ``(F, H, W, 3)`` uint8 pictures; infinite for equal ones."""
    error = ((_pictures(a).double() - _pictures(b).double()) / 255).square().mean((1, 2, 3))
    return -10 * error.log10()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """``(F,)`` structural similarity of ``(F, H, W, 3)`` uint8 pictures, mean over pixels and colours.

    Raises:
        ValueError: kornia is not installed.
    """
    require_extra("kornia", "SSIM")
    from kornia.metrics import ssim as ssim_map

    pairs = zip(_pictures(a).split(_BATCH), _pictures(b).split(_BATCH), strict=True)
    return torch.cat([ssim_map(x / 255, y / 255, SSIM_WINDOW).mean((1, 2, 3)) for x, y in pairs])


@torch.no_grad()
def lpips(network: torch.jit.ScriptModule, a: Tensor, b: Tensor) -> Tensor:
    """``(F,)`` LPIPS distances of ``(F, H, W, 3)`` uint8 pictures by :data:`LPIPS`."""

    def features(pictures: Tensor) -> Tensor:
        parts = pictures.split(_BATCH)
        return torch.cat([network(part, resize_images=False, return_lpips=True) for part in parts])

    return (features(_pictures(a)) - features(_pictures(b))).square().sum(-1)


def _pictures(video: Tensor) -> Tensor:
    """``(F, 3, H, W)`` float32, 0 ... 255."""
    check_videos(video[None])
    return video.movedim(-1, 1).float()
