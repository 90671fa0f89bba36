"""Structure-aware mutation of valid files: what a format consists of is changed, not its bytes alone.

JSON and YAML are changed as trees; headers of PLY, npy and safetensors as what they say; what lies
inside gzip, zip and zstandard is unpacked, changed and packed again, so that most cases get past the
first check of a reader. Every choice is drawn by hypothesis.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import yaml
import zstandard
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

INTS = (0, 1, -1, 2, 3, 7, 127, 255, 256, 65535, 1 << 20, (1 << 31) - 1, -(1 << 31), (1 << 32) - 1,
        1 << 40, 1 << 53, (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30)  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, 1e-45, 1e-30, -1.0, 3.4e38, 1e30, -1e30, 1e308,
          float("nan"), float("inf"), -float("inf"))  # fmt: skip
TEXTS = ("", ".", "..", "../x", "/etc/passwd", "C:\\x", "..\\x", "a\0b", "x" * 5000, "nan", "1e999",
         "<script>alert(1)</script>", "$(touch x)", "`id`", "é\u202e", "\ud800", "__class__", "-1")  # fmt: skip
VALUES = (None, True, False, *INTS, *FLOATS, *TEXTS, [], {}, [[]], [None], [[1]], {"": 0}, [0] * 50,
          [float("nan")] * 3, {"kind": "x"}, [{}], "0", [1, 2, 3], [-1.0, 0.0, 0.0])  # fmt: skip
PACKS = ("<b", "<h", "<i", "<q", "<f", "<d", ">i", ">f")


def mutate(draw: Draw, data: bytes, name: str) -> bytes:
    """Another content for the file `name`, changed by what its suffix says it is."""
    if draw(st.integers(0, 4)) == 0:  # now and then blindly
        return _bytes(draw, data)
    kind = _kind(data, name)
    try:
        return KINDS[kind](draw, data)
    except (ValueError, KeyError, IndexError, struct.error, zlib.error, OSError, zipfile.BadZipFile,
            zstandard.ZstdError, yaml.YAMLError, RecursionError, OverflowError):  # fmt: skip
        return _bytes(draw, data)


def _kind(data: bytes, name: str) -> str:
    if data[:4] == b"NGSP":
        return "spz4"
    if data[:2] == b"\x1f\x8b":
        return "gzip"
    if data[:2] == b"PK":
        return "zip"
    if data[:6] == b"\x93NUMPY":
        return "npy"
    if data[:3] == b"ply":
        return "ply"
    if data[8:9] == b"{":
        return "safetensors"
    return {"json": "json", "jsonl": "json", "yaml": "yaml", "txt": "text"}.get(
        name.rpartition(".")[2], "bytes"
    )


def _bytes(draw: Draw, data: bytes) -> bytes:
    """One to four edits of bytes, more often near the beginning, where headers are."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        most = min(len(out), draw(st.sampled_from([16, 64, 300, len(out)])))
        at = draw(st.integers(0, max(most - 1, 0)))
        match draw(st.integers(0, 6)):
            case 0 | 1:
                _set(draw, out, at - at % draw(st.sampled_from([1, 4])))
            case 2 if out:
                out[at] ^= 1 << draw(st.integers(0, 7))
            case 3:
                del out[at:]
            case 4:
                del out[at : at + draw(st.integers(1, 40))]
            case 5:
                out[at:at] = out[at : at + draw(st.integers(1, 40))]
            case _:
                out[at:at] = draw(st.binary(max_size=12))
    return bytes(out)


def _set(draw: Draw, out: bytearray, at: int) -> None:
    """A number that is at the end of some range, in some type, in the place of what is there."""
    pack = draw(st.sampled_from(PACKS))
    if pack[1] in "fd":
        value = struct.pack("<d", draw(st.sampled_from(FLOATS)))
        if pack[1] == "f":
            number = struct.unpack("<d", value)[0]
            value = struct.pack(pack, number) if abs(number) < 3e38 or number != number else b"\0\0\x80\x7f"  # fmt: skip
    else:
        size = struct.calcsize(pack)
        number = draw(st.sampled_from(INTS)) & ((1 << 8 * size) - 1)
        value = number.to_bytes(size, "big" if pack[0] == ">" else "little")
    if at + len(value) <= len(out):
        out[at : at + len(value)] = value


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if len(at) > 12:
        return
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for key, inner in items:
        yield from _paths(inner, (*at, key))


def tree(draw: Draw, value: Any) -> Any:
    """A JSON value with one to three places changed, added, doubled or taken out."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(value))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                value = copy.deepcopy(draw(st.sampled_from(VALUES)))
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        _change(draw, holder, path[-1])
    return value


def _change(draw: Draw, holder: Any, key: Any) -> None:
    old = holder[key]
    match draw(st.integers(0, 7)):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(old))
        case 1:
            holder[draw(st.sampled_from([*TEXTS, f"{key}_", str(key).upper()]))] = old
        case 2 if isinstance(old, int | float) and not isinstance(old, bool):
            holder[key] = draw(st.sampled_from([-old, old * 1000, old / 1000, old + 1, old * 1e30, str(old)]))  # fmt: skip
        case 2 if isinstance(old, list) and old:
            holder[key] = old[:-1] if draw(st.booleans()) else old + old
        case 2 if isinstance(old, str):
            holder[key] = draw(st.sampled_from([old + "/..", "../" + old, old * 200, old[:-1], [old]]))  # fmt: skip
        case 3:
            deep: Any = old
            for _ in range(draw(st.sampled_from([1, 30, 3000]))):
                deep = [deep]
            holder[key] = deep
        case _:
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))


def _json(draw: Draw, data: bytes) -> bytes:
    if draw(st.integers(0, 30)) == 0:
        depth = draw(st.sampled_from([500, 5000, 200000]))
        return draw(st.sampled_from([b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth, b"9" * depth]))  # fmt: skip
    lines = data.split(b"\n")
    if len(lines) > 2 and lines[0][:1] == b"{" and lines[0][-1:] == b"}":  # one value a line
        k = draw(st.integers(0, len(lines) - 2))
        lines[k] = dumped(tree(draw, json.loads(lines[k])))
        return b"\n".join(lines)
    return dumped(tree(draw, json.loads(data)))


def dumped(value: Any) -> bytes:
    """JSON as bytes, depth and lone surrogates included."""
    return _dumped(value).encode("utf-8", "surrogatepass")


def _dumped(value: Any) -> str:
    depth = 0
    while isinstance(value, list) and len(value) == 1 and depth < 5000:
        value, depth = value[0], depth + 1
    if isinstance(value, dict):
        text = "{" + ",".join(f"{json.dumps(str(k))}:{_dumped(v)}" for k, v in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ",".join(map(_dumped, value)) + "]"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return "[" * depth + text + "]" * depth


def _yaml(draw: Draw, data: bytes) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([
            b"!!python/object/apply:os.system ['touch x']", b"&a [*a]", b"a: &x [1,2]\nb: [*x,*x]",
            b"- " * 3000, b"[" * 3000, b"? ", b"%YAML 9.9\n---\n", b"\xff\xfe", b"a: !!binary x",
            b"a: 2001-99-99", b"a: !!timestamp 2001-99-99", b"<<: 3", b"a: .nan", b"a: 1:99:99", b"{a: b}: c", b"? [x]\n: y",
        ]))  # fmt: skip
    changed = tree(draw, yaml.safe_load(data))
    return yaml.safe_dump(changed, allow_unicode=True).encode("utf-8", "surrogatepass")


def _text(draw: Draw, data: bytes) -> bytes:
    """Lines of words: a word, a line or the order of lines is changed."""
    lines = data.decode("utf-8", "replace").split("\n")
    k = draw(st.integers(0, len(lines) - 1))
    words = lines[k].split(" ")
    j = draw(st.integers(0, len(words) - 1))
    match draw(st.integers(0, 4)):
        case 0:
            del lines[k]
        case 1:
            lines.insert(k, lines[k])
        case 2:
            del words[j]
            lines[k] = " ".join(words)
        case _:
            words[j] = str(draw(st.sampled_from([*INTS, *FLOATS, *TEXTS])))
            lines[k] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _ply(draw: Draw, data: bytes) -> bytes:
    end = data.index(b"end_header") + 11
    if draw(st.booleans()):
        return _text(draw, data[:end]) + data[end:]
    return data[:end] + _floats(draw, data[end:])


def _floats(draw: Draw, data: bytes) -> bytes:
    """Numbers of 4 bytes at their own places."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        if len(out) >= 8:
            _set(draw, out, 4 * draw(st.integers(0, len(out) // 4 - 2)))
    return bytes(out)


def _npy(draw: Draw, data: bytes) -> bytes:
    if draw(st.booleans()):
        return data[:128] + _floats(draw, data[128:])
    (size,) = struct.unpack_from("<H", data, 8)
    header = data[10 : 10 + size].decode("latin-1")
    value = draw(st.sampled_from([
        "()", "(0,)", "(-1, 3)", f"({1 << 40}, 3)", "(3,)", "(1, 1)", "(2, 2, 2)", "((((1))))", "(1e9,)", "[1]", "x",
        "(" * 300, "(True,)", "(" + "1," * 40 + ")", f"({10**30},)",
    ]))  # fmt: skip
    if draw(st.booleans()):
        header = re.sub(r"'shape': \([^)]*\)", f"'shape': {value}", header)
    else:
        kind = draw(st.sampled_from(["<f2", "<f4", "<i8", "|O", "|S5", "<U9", "<c16", "|b1", "<M8[s]", "|V8", "x", "<f99", ">f8"]))  # fmt: skip
        header = re.sub(r"'descr': '[^']*'", f"'descr': '{kind}'", header)
    return data[:8] + struct.pack("<H", len(header)) + header.encode("latin-1") + data[10 + size :]


def _safetensors(draw: Draw, data: bytes) -> bytes:
    (size,) = struct.unpack_from("<Q", data, 0)
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    match draw(st.integers(0, 3)):
        case 0:
            text = dumped(tree(draw, header))
        case 1:
            body = _floats(draw, body)
            text = dumped(header)
        case _:
            inner = header.get("__metadata__", {})
            key = draw(st.sampled_from(sorted(inner) or ["clay4d"]))
            try:
                inner[key] = dumped(tree(draw, json.loads(inner[key]))).decode()
            except (ValueError, KeyError):
                inner[key] = draw(st.sampled_from(TEXTS))
            header["__metadata__"] = inner
            text = dumped(header)
    return struct.pack("<Q", len(text)) + text + body


def _gzip(draw: Draw, data: bytes) -> bytes:
    inner = gzip.decompress(data)
    changed = _floats(draw, inner) if draw(st.integers(0, 3)) == 0 else _bytes(draw, inner)
    return gzip.compress(changed, 1, mtime=0)


def _zip(draw: Draw, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {n: file.read(n) for n in file.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    match draw(st.integers(0, 5)):
        case 0:
            del members[name]
        case 1:
            members[draw(st.sampled_from([t for t in TEXTS if "\ud800" not in t]))] = members.pop(name)  # fmt: skip
        case 2:
            members[name] = members[draw(st.sampled_from(sorted(members)))]
        case _:
            texts = [n for n in members if n.endswith(".json")]
            name = draw(st.sampled_from(texts * 3 + [name]))
            members[name] = mutate(draw, members[name], name)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for key, value in members.items():
            file.writestr(zipfile.ZipInfo(key), value)
    return out.getvalue()


def _spz4(draw: Draw, data: bytes) -> bytes:
    """Streams of SPZ's version 4: one is unpacked, changed and packed, with its sizes or without."""
    number, start = data[15], struct.unpack_from("<I", data, 16)[0]
    sizes = list(struct.unpack_from(f"<{2 * number}Q", data, start))
    at, streams = start + 16 * number, []
    for size in sizes[::2]:
        streams.append(data[at : at + size])
        at += size
    k = draw(st.integers(0, number - 1))
    inner = zstandard.ZstdDecompressor().decompress(streams[k], max_output_size=1 << 20)
    inner = _bytes(draw, inner) if draw(st.booleans()) else _floats(draw, inner)
    streams[k] = zstandard.ZstdCompressor(level=1).compress(inner)
    if draw(st.integers(0, 3)):
        sizes[2 * k], sizes[2 * k + 1] = len(streams[k]), len(inner)
    head = bytearray(data[:start])
    if draw(st.integers(0, 3)) == 0:
        _set(draw, head, draw(st.integers(4, len(head) - 4)))
    return bytes(head) + struct.pack(f"<{2 * number}Q", *sizes) + b"".join(streams)


KINDS = {
    "bytes": _bytes, "json": _json, "yaml": _yaml, "text": _text, "ply": _ply, "npy": _npy,
    "safetensors": _safetensors, "gzip": _gzip, "zip": _zip, "spz4": _spz4,
}  # fmt: skip
