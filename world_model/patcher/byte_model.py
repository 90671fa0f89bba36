"""A causal model of bytes: one GRU, run byte by byte so that what follows can never change what was said.

The kernel does the same operations for a byte whatever comes after it, so entropies of a text and of its
beginning agree to the bit; a batched matrix product would not promise that. GRU: Cho et al. 2014, in
PyTorch's arrangement of the gates (reset, update, new).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open

from clay4d.jit import device

FORMAT = "clay4d-byte-model-1"
START = 256
"""The token before a text's first byte."""
WEIGHTS = Path(__file__).with_name("byte_model.safetensors")
NAMES = ("embedding", "input", "input_bias", "state", "state_bias", "head", "head_bias")


@dataclass(frozen=True)
class ByteModel:
    """Weights of the GRU with H units; E is the width of a byte's embedding.

    Raises:
        ValueError: shapes that do not agree, values that are not finite.
    """

    embedding: Float32[np.ndarray, "257 E"]
    input: Float32[np.ndarray, "3H E"]
    input_bias: Float32[np.ndarray, " 3H"]
    state: Float32[np.ndarray, "3H H"]
    state_bias: Float32[np.ndarray, " 3H"]
    head: Float32[np.ndarray, "256 H"]
    head_bias: Float32[np.ndarray, " 256"]

    def __post_init__(self) -> None:
        width, units = self.embedding.shape[-1], self.state.shape[-1]
        shapes: dict[str, tuple[int, ...]] = {
            "embedding": (257, width), "input": (3 * units, width), "input_bias": (3 * units,),
            "state": (3 * units, units), "state_bias": (3 * units,), "head": (256, units),
            "head_bias": (256,),
        }  # fmt: skip
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape or value.dtype != np.float32:
                raise ValueError(
                    f"{name} got {value.dtype} of shape {list(value.shape)}; expected float32 of shape "
                    f"{list(shape)}."
                )
            if not np.isfinite(value).all():
                raise ValueError(f"{name} got NaN or infinity; expected finite values.")

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(getattr(self, name).size for name in NAMES)

    def entropies(self, text: bytes) -> Float32[np.ndarray, " L"]:
        """Bits of doubt about each byte before it is read, of the distribution over 256 bytes.

        >>> model = load_byte_model()
        >>> short, long = model.entropies(b"the red ba"), model.entropies(b"the red ball rolls")
        >>> bool((short == long[:10]).all())
        True
        """
        entropies, _ = self._run(text)
        return entropies

    def surprises(self, text: bytes) -> Float32[np.ndarray, " L"]:
        """Bits that each byte costs; their mean is the text's bits per byte."""
        _, surprises = self._run(text)
        return surprises

    def _run(self, text: bytes) -> tuple[Float32[np.ndarray, " L"], Float32[np.ndarray, " L"]]:
        data = np.frombuffer(text, np.uint8)
        entropy, surprise = np.zeros(len(data), np.float32), np.zeros(len(data), np.float32)
        read_bytes(data, self._gates, self.state, self.state_bias, self.head, self.head_bias, entropy, surprise)  # fmt: skip
        return entropy, surprise

    @cached_property
    def _gates(self) -> Float32[np.ndarray, "257 3H"]:
        """What each byte adds to the gates: embedding and input matrix in one table."""
        table: Float32[np.ndarray, "257 3H"] = self.embedding @ self.input.T + self.input_bias
        return table


@device
def read_bytes(data, gates, state, state_bias, head, head_bias, entropy, surprise):  # type: ignore[no-untyped-def]
    """Run the GRU over a text; fill the entropy before each byte and the bits that it costs."""
    units = state.shape[1]
    h = np.zeros(units, np.float32)
    new = np.zeros(units, np.float32)
    logits = np.zeros(256, np.float32)
    token = START
    for t in range(len(data)):
        for k in range(units):
            r, z, n = state_bias[k], state_bias[units + k], state_bias[2 * units + k]
            for j in range(units):
                r += state[k, j] * h[j]
            for j in range(units):
                z += state[units + k, j] * h[j]
            for j in range(units):
                n += state[2 * units + k, j] * h[j]
            r = np.float32(1) / (np.float32(1) + np.exp(-(gates[token, k] + r)))
            z = np.float32(1) / (np.float32(1) + np.exp(-(gates[token, units + k] + z)))
            n = np.tanh(gates[token, 2 * units + k] + r * n)
            new[k] = (np.float32(1) - z) * n + z * h[k]
        h[:] = new
        top = np.float32(-1e30)
        for v in range(256):
            x = head_bias[v]
            for j in range(units):
                x += head[v, j] * h[j]
            logits[v] = x
            top = max(top, x)
        total, mean = np.float32(0), np.float32(0)
        for v in range(256):
            e = np.exp(logits[v] - top)
            total += e
            mean += e * (logits[v] - top)
        log_total = math.log(total)
        # −Σ p·log p of a softmax: log Z − E[logit].
        entropy[t] = (log_total - mean / total) / math.log(2)
        token = data[t]
        surprise[t] = (log_total - (logits[token] - top)) / math.log(2)


@cache
def load_byte_model(path: str | Path = WEIGHTS) -> ByteModel:
    """The byte model that comes with clay4d, or another of the same format.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no byte model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"byte model got {path}, which is not there; expected a safetensors file. Make it with: "
            "python -m clay4d.world_model.patcher.train"
        )
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("clay4d", "null"))
            tensors = {name: file.get_tensor(name) for name in NAMES}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} got {error}; expected a byte model's weights.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path} got another format; expected {FORMAT}.")
    return ByteModel(**tensors)
