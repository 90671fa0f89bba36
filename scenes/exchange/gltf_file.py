"""glTF 2.0 as a file: arrays become accessors, and the whole is written as .gltf or .glb.

Source: glTF 2.0 (Khronos, ISO/IEC 12113:2022). A .gltf holds its arrays as base64 in itself, so that
either suffix is one file. Space is metres, y up, right-handed; cameras and lights look along −z.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.files import written_whole

GENERATOR = "clay4d"
Z_UP = (-(0.5**0.5), 0.0, 0.0, 0.5**0.5)
"""The turn xyzw of a node that holds a world whose z is up."""
VERTICES, INDICES = 34962, 34963
"""Targets of buffer views: ARRAY_BUFFER and ELEMENT_ARRAY_BUFFER."""
LIMIT = 1 << 32
"""Bytes that a .glb can hold."""
_CODES = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class GltfFile:
    """A glTF document that grows; `add` puts a thing into one of its lists and gives its index.

    >>> file = GltfFile()
    >>> file.accessor(np.zeros((3, 3), np.float32), target=VERTICES, bounds=True)
    0
    >>> file.json["accessors"][0]["type"], file.json["accessors"][0]["max"]
    ('VEC3', [0.0, 0.0, 0.0])
    """

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": GENERATOR},
            "scene": 0,
            "scenes": [{"nodes": []}],
        }
        self._blobs: list[bytes] = []
        self._size = 0
        self._seen: dict[Any, int] = {}

    def add(self, where: str, thing: dict[str, Any]) -> int:
        """Append to a top-level list, which begins with its first member."""
        self.json.setdefault(where, []).append(thing)
        return len(self.json[where]) - 1

    def use(self, extension: str) -> None:
        """Say that the file uses an extension; none is ever required of a reader."""
        used = self.json.setdefault("extensionsUsed", [])
        if extension not in used:
            used.append(extension)

    def node(self, parent: int | None = None, **fields: Any) -> int:
        """A node under another, or at the top of the scene."""
        index = self.add("nodes", fields)
        if parent is None:
            self.json["scenes"][0]["nodes"].append(index)
        else:
            self.json["nodes"][parent].setdefault("children", []).append(index)
        return index

    def accessor(self, array: Any, *, target: int | None = None, bounds: bool = False) -> int:
        """An array [N] or [N, 2 to 4] of float32, uint8, uint16 or uint32; equal ones are held once.

        Args:
            target: `VERTICES` or `INDICES` for what a mesh uses.
            bounds: whether least and greatest are told, as positions and times need.

        Raises:
            ValueError: an array of another type or shape, or with NaN or infinity.
        """
        array = np.ascontiguousarray(array)
        width = 1 if array.ndim == 1 else array.shape[-1]
        if (
            array.dtype.name not in _CODES
            or array.ndim > 2
            or width not in _TYPES
            or not len(array)
        ):
            raise ValueError(
                f"accessor got {array.dtype} {list(array.shape)}; expected numbers [N] or [N, 2 to 4]."
            )
        if not np.isfinite(array).all():
            raise ValueError("glTF got NaN or infinity; expected finite values. Check the scene.")
        data = array.tobytes()
        key = (array.dtype.name, array.shape, target, bounds, data)
        if key not in self._seen:
            fields: dict[str, Any] = {
                "bufferView": self.view(data, target), "componentType": _CODES[array.dtype.name],
                "count": len(array), "type": _TYPES[width],
            }  # fmt: skip
            if bounds:
                flat = array.reshape(len(array), width)
                fields |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
            self._seen[key] = self.add("accessors", fields)
        return self._seen[key]

    def view(self, data: bytes, target: int | None = None) -> int:
        """Bytes as a buffer view, begun at a multiple of four."""
        fields = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        padded = data + b"\0" * (-len(data) % 4)
        self._blobs.append(padded)
        self._size += len(padded)
        return self.add("bufferViews", fields | ({} if target is None else {"target": target}))

    def channel(
        self, animation: dict[str, Any], node: int, path: str, times: Any, values: Any
    ) -> None:
        """Animate a node's translation, rotation (xyzw), scale or weights at times, seconds.

        Between the times values go straight, and rotations turn steadily (glTF's LINEAR).
        """
        keys = self.accessor(np.asarray(times, np.float32), bounds=True)
        sampler = {"input": keys, "output": self.accessor(np.asarray(values, np.float32))}
        animation.setdefault("samplers", []).append(sampler)
        index = len(animation["samplers"]) - 1
        target = {"node": node, "path": path}
        animation.setdefault("channels", []).append({"sampler": index, "target": target})

    def write(self, path: Path) -> None:
        """Write the document, whole or not at all.

        Raises:
            ValueError: another suffix than .gltf or .glb, or more than a .glb can hold.
        """
        suffix = path.suffix.lower()
        if suffix not in (".gltf", ".glb"):
            raise ValueError(f"path got {path.name!r}; expected the suffix .gltf or .glb.")
        document = dict(self.json)
        if self._size:
            document["buffers"] = [{"byteLength": self._size}]
        if suffix == ".gltf" and self._size:
            body = base64.b64encode(b"".join(self._blobs)).decode()
            document["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{body}"
        text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        plain = text.encode("utf-8")
        plain += b" " * (-len(plain) % 4)
        length = 12 + 8 + len(plain) + (8 + self._size if self._size else 0)
        if suffix == ".glb" and length >= LIMIT:
            raise ValueError(
                f"{path.name} got {length / 1e9:.1f} GB; expected less than 4.3, all that a .glb can "
                "hold. Export fewer times."
            )
        with written_whole(path) as place, place.open("wb") as out:
            if suffix == ".gltf":
                out.write(plain.rstrip(b" ") + b"\n")
                return
            out.write(struct.pack("<4sII", b"glTF", 2, length))
            out.write(struct.pack("<I4s", len(plain), b"JSON") + plain)
            if self._size:
                out.write(struct.pack("<I4s", self._size, b"BIN\0"))
                for blob in self._blobs:
                    out.write(blob)
