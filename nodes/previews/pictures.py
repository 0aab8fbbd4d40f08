"""What all previews are drawn with: text on pictures, sheets of panels, and the way from Pillow to IMAGE and back.

Everything is drawn :data:`FINE` times too large and reduced at the end, which makes Pillow's lines smooth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Point = tuple[float, float]
Color = str | tuple[int, int, int]

FINE = 2
BACKGROUND, PANEL, TEXT, FAINT = "#16181d", "#20232a", "#e8eaed", "#9aa0a9"
ACCENT = "#ffb000"
GAP, TEXT_SIZE = 8, 13
_NODE_WIDTH, _READABLE = 400, 11
"""How wide a node shows a picture, in screen pixels, and how high its text must be there."""


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text(draw: ImageDraw.ImageDraw, at: Point, words: str, *, color: Color = TEXT, size: int = TEXT_SIZE) -> float:
    """Write ``words`` on one line, ``at`` being its top left corner; return their width. In fine pixels."""
    face = font(size * FINE)
    draw.text(at, words, fill=color, font=face)
    return draw.textlength(words, font=face)


def label(picture: Image.Image, words: str, *, color: Color = TEXT, size: int = TEXT_SIZE) -> None:
    """Write ``words`` into the top left corner, on a dark plate that keeps them readable on any picture."""
    if not words:
        return
    face, pad = font(size * FINE), size * FINE // 3
    while size > 6 and face.getlength(words) + 4 * pad > picture.width:
        size -= 1
        face, pad = font(size * FINE), size * FINE // 3
    draw = ImageDraw.Draw(picture, "RGBA")
    end = (3 * pad + face.getlength(words), size * FINE + 2.6 * pad)
    draw.rounded_rectangle((pad, pad, *end), pad, fill=(12, 13, 16, 200))
    draw.text((2 * pad, 1.5 * pad), words, fill=color, font=face)


def plate(words: str, width: int, height: int) -> Tensor:
    """``(H, W, 4)`` in 0..1: a text in the top left corner, to be laid over pictures of that size."""
    drawn = Image.new("RGBA", (width * FINE, height * FINE))
    label(drawn, words, size=max(9, height // 20))
    return torch.from_numpy(np.asarray(drawn.reduce(FINE), np.float32) / 255)


def panel_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Size of a panel, in final pixels, of the shape ``width`` x ``height`` and with a longer side of ``side``."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def readable(width: int, columns: int = 1) -> int:
    """Size of text that can be read in a node that shows ``columns`` panels of ``width`` pixels side by side."""
    return max(TEXT_SIZE, math.ceil(_READABLE * (columns * (width + GAP) + GAP) / _NODE_WIDTH))


def sheet(panels: Sequence[Image.Image], *, footer: str = "", columns: int = 0) -> Image.Image:
    """Panels of one size side by side, as square as possible unless ``columns`` are given; still in fine pixels."""
    columns = columns or columns_for(len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = panels[0].size
    gap = GAP * FINE
    full = columns * (width + gap) + gap
    text_size = readable(width // FINE, columns)
    lines, step = _wrap(footer, full - 2 * gap, text_size), round(text_size * FINE * 1.4)
    size = (full, rows * (height + gap) + gap + len(lines) * step)
    even = 2 * FINE  # video encoders want it
    canvas = Image.new("RGB", (math.ceil(size[0] / even) * even, math.ceil(size[1] / even) * even), BACKGROUND)
    for i, panel in enumerate(panels):
        canvas.paste(panel, (gap + i % columns * (width + gap), gap + i // columns * (height + gap)))
    draw = ImageDraw.Draw(canvas)
    for i, line in enumerate(lines, -len(lines)):
        text(draw, (gap, canvas.height + i * step - gap // 2), line, color=FAINT, size=text_size)
    return canvas


def _wrap(words: str, width: int, size: int) -> list[str]:
    """``words`` on as many lines as it takes."""
    lines: list[str] = []
    for word in words.split():
        if lines and font(size * FINE).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def columns_for(panels: int) -> int:
    """Up to three panels stand in one row."""
    return panels if panels <= 3 else math.ceil(math.sqrt(panels))


def to_images(pictures: Iterable[Image.Image]) -> Tensor:
    """Fine pictures of one size -> IMAGE ``(N, H, W, 3)`` float32 in 0..1."""
    reduced = [np.asarray(picture.reduce(FINE), np.uint8) for picture in pictures]
    return torch.from_numpy(np.stack(reduced)).float() / 255


def to_picture(pixels: Tensor) -> Image.Image:
    """One image ``(H, W, 3)`` in 0..1 as a fine picture, ``FINE`` times as large."""
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(array).resize((array.shape[1] * FINE, array.shape[0] * FINE), Image.Resampling.NEAREST)


def hue(angle: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """``(..., 3)`` RGB of a colour wheel: ``angle`` in radians, red at 0; saturation and value in 0..1."""
    index = (angle * (_WHEEL_STEPS / (2 * math.pi))).long() % _WHEEL_STEPS
    return value[..., None] * (1 - saturation[..., None] * (1 - _WHEEL[index]))


_WHEEL_STEPS = 1024
_THIRDS = torch.tensor([0.0, -1 / 3, 1 / 3])
_WHEEL = 0.5 + 0.5 * torch.cos(2 * math.pi * (torch.arange(_WHEEL_STEPS)[:, None] / _WHEEL_STEPS + _THIRDS))
