"""Sound that goes with a video: AAC in MP4, Opus in WebM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from torch import Tensor

_LAYOUTS = {1: "mono", 2: "stereo"}
_OPUS_RATE = 48000


@dataclass(frozen=True, eq=False)
class Sound:
    """Samples of one or two channels.

    Args:
        waveform: ``(C, T)`` in -1..1.
        rate: samples per second.

    Raises:
        ValueError: another shape, no samples, more than two channels, or a rate that is not positive.
    """

    waveform: Tensor
    rate: int

    def __post_init__(self) -> None:
        if self.waveform.ndim != 2 or self.waveform.shape[0] not in _LAYOUTS or self.waveform.shape[1] == 0:
            raise ValueError(
                f"sound has shape {tuple(self.waveform.shape)}; expected (channels, samples) with one or two channels"
            )
        if self.rate < 1:
            raise ValueError(f"sound has {self.rate} samples per second; expected a positive number, such as 44100")


def add_sound(container: OutputContainer, codec: str, sound: Sound) -> av.AudioStream:
    """Add a stream for ``sound``: before anything is written, for files list their streams first."""
    rate = _OPUS_RATE if codec == "libopus" else sound.rate
    layout = _LAYOUTS[sound.waveform.shape[0]]
    return cast(av.AudioStream, container.add_stream(codec, rate=rate, layout=layout))


def encode_sound(container: OutputContainer, stream: av.AudioStream, sound: Sound, seconds: float) -> None:
    """Encode the first ``seconds`` of ``sound``; what is shorter ends earlier."""
    samples = sound.waveform[:, : round(seconds * sound.rate)]
    for start in range(0, samples.shape[1], sound.rate):
        part = samples[:, start : start + sound.rate].float().clamp(-1, 1).cpu().numpy()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=_LAYOUTS[samples.shape[0]])
        frame.sample_rate, frame.pts = sound.rate, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
