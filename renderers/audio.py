"""Sound on disk: WAV files, and sound put into a video beside its pictures."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clay4d.files import written_whole
from clay4d.renderers.video import SUFFIXES, container_options

BLOCK = 1024
"""Samples of an AAC block."""


def write_wav(path: str | Path, samples: Float[np.ndarray, " S"], *, rate: int = 48_000) -> None:
    """Write one channel of sound as 16-bit PCM; what is beyond −1 to 1 is cut.

    Raises:
        ValueError: no samples, or values that are not finite.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(Path(folder, "a.wav"), np.zeros(480))
    ...     Path(folder, "a.wav").stat().st_size  # 44 bytes of header
    1004
    """
    sixteen = _sixteen_bits(samples)
    with written_whole(Path(path)) as place, wave.open(str(place), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sixteen.astype("<i2").tobytes())


def add_sound(video: str | Path, samples: Float[np.ndarray, " S"], *, rate: int = 48_000) -> None:
    """Put one channel of sound into a video file, as AAC; its pictures are copied as they are.

    Sound that was there before is replaced. The same samples give the same bytes.

    Raises:
        FileNotFoundError: there is no such video.
        ValueError: another suffix, no pictures in it, no samples, or values that are not finite.
    """
    import av

    path = Path(video)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"video got {path.name}; expected a name in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"video got {path}, which is not there; expected a video file.")
    sixteen = _sixteen_bits(samples)
    with written_whole(path) as place, av.open(str(path)) as source:
        if not source.streams.video:
            raise ValueError(f"video got {path.name} without pictures; expected some.")
        options = container_options(suffix)
        with av.open(str(place), "w", format=SUFFIXES[suffix], options=options) as target:
            _mux(source, target, sixteen, rate)


def _mux(source: Any, target: Any, samples: Int[np.ndarray, " S"], rate: int) -> None:
    pictures = source.streams.video[0]
    copied = target.add_stream_from_template(pictures)
    sound = target.add_stream("aac", rate=rate, layout="mono")
    sound.codec_context.bit_rate = 160_000
    sound.codec_context.thread_count = 1
    blocks = _blocks(sound, samples, rate)
    waiting = next(blocks, None)
    for packet in _pictures(source, pictures):
        # In the order of time, so that a player finds both halves near each other.
        while waiting is not None and waiting.dts * waiting.time_base < packet.dts * packet.time_base:  # fmt: skip
            target.mux(waiting)
            waiting = next(blocks, None)
        packet.stream = copied
        target.mux(packet)
    while waiting is not None:
        target.mux(waiting)
        waiting = next(blocks, None)


def _pictures(source: Any, stream: Any) -> list[Any]:
    """The coded pictures with the times of decoding that Matroska leaves out at the start."""
    packets = [p for p in source.demux(stream) if p.size]
    step = max(1, round(float(1 / (stream.average_rate * stream.time_base))))
    known = next((k for k, p in enumerate(packets) if p.dts is not None), 0)
    for k in range(known - 1, -1, -1):
        packets[k].dts = packets[k + 1].dts - step
    for packet in packets:
        packet.dts = packet.pts if packet.dts is None else packet.dts
    return packets


def _blocks(stream: Any, samples: Int[np.ndarray, " S"], rate: int) -> Any:
    from av import AudioFrame

    for first in range(0, len(samples), BLOCK):
        part = (samples[first : first + BLOCK] / 32768).astype(np.float32)
        frame = AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = first
        frame.time_base = Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode()


def _sixteen_bits(samples: Float[np.ndarray, " S"]) -> Int[np.ndarray, " S"]:
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"samples got shape {list(values.shape)}; expected [S], one or more.")
    if not np.isfinite(values).all():
        raise ValueError("samples got NaN or infinity; expected finite values.")
    sixteen: Int[np.ndarray, " S"] = np.round(np.clip(values, -1, 1) * 32767).astype(np.int16)
    return sixteen


def read_sound(path: str | Path) -> tuple[Float[np.ndarray, " S"], int]:
    """The first sound of a video or WAV file, its channels averaged, and its samples a second.

    The encoder's lead-in is cut, so that sample 0 is at time 0.

    Raises:
        ValueError: there is no sound in it.
    """
    import av

    with av.open(str(path)) as file:
        if not file.streams.audio:
            raise ValueError(f"{path} got no sound; expected some.")
        stream = file.streams.audio[0]
        rate = int(stream.rate)
        parts: list[np.ndarray[Any, Any]] = []
        first = 0
        for frame in file.decode(stream):
            values = frame.to_ndarray().astype(np.float64)
            values = values / 32768 if frame.format.name.startswith("s16") else values
            if not parts and frame.pts is not None and frame.time_base is not None:
                first = round(float(frame.pts * frame.time_base) * rate)
            # The rest follows without gaps: Matroska rounds its times to milliseconds.
            parts.append(values.reshape(-1, frame.samples).mean(0))
    whole = np.concatenate(parts)
    return (whole[-first:] if first < 0 else np.pad(whole, (first, 0))), rate
