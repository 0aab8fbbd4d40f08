"""The given picture as the networks take it: cropped to the video's size, and as CLIP's vision tower was fed it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

CLIP_SIDE = 224
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(picture: Tensor) -> Tensor:
    """Pixels for CLIP's vision tower: squeezed to a square without cropping, as DynamiCrafter was trained.

    A Gaussian takes the place of antialiasing and the bicubic grid keeps the corners, as in kornia's ``resize``, which
    the released code uses.

    Args:
        picture: ``(N, 3, H, W)`` in -1 ... 1; zeros are the picture of the unconditional branch.

    Returns:
        ``(N, 3, 224, 224)`` of CLIP's mean and spread.
    """
    factors = [side / CLIP_SIDE for side in picture.shape[-2:]]
    if max(factors) > 1:
        for axis, factor in enumerate(factors):
            picture = _blurred(picture, max((factor - 1) / 2, 0.001), axis)
    square = interpolate(picture, (CLIP_SIDE, CLIP_SIDE), mode="bicubic", align_corners=True)
    mean, std = (square.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    return ((square + 1) / 2 - mean) / std


def _blurred(picture: Tensor, sigma: float, axis: int) -> Tensor:
    """Convolve one axis (0 rows, 1 columns) with a Gaussian of four standard deviations, reflected at the borders."""
    length = int(max(4 * sigma, 3)) | 1
    offsets = torch.arange(length, device=picture.device, dtype=picture.dtype) - length // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    shape = (1, 1, length, 1) if axis == 0 else (1, 1, 1, length)
    margin = (0, 0, length // 2, length // 2) if axis == 0 else (length // 2, length // 2, 0, 0)
    flat = pad(picture.flatten(0, 1)[:, None], margin, mode="reflect")
    return conv2d(flat, (kernel / kernel.sum()).view(shape)).view(picture.shape)
