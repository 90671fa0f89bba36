"""Checkpoints of gsplat's trainer, read without running anything that is in them.

Source: gsplat 1.5.3, examples/simple_trainer.py (Apache-2.0): `torch.save({"step": …, "splats": state_dict})`,
a zip of raw tensors beside a pickle that says where each goes. Python's unpickler would run what a pickle
asks for; here its tokens are read by a machine that knows tensors, dicts and tuples and refuses the rest.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clay4d.files import written_whole
from clay4d.scenes.exchange.gsplat_dict import NAMES, from_gsplat
from clay4d.scenes.gaussians import Gaussians

STORAGES = {"FloatStorage": np.float32, "HalfStorage": np.float16, "DoubleStorage": np.float64}
CALLS = {
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
}  # fmt: skip
LARGEST = 1 << 34
"""Bytes of tensors that a checkpoint may hold, unpacked."""
REMEDY = "expected a checkpoint of gsplat's trainer. Save its splats as .ply there instead."
MARK = object()


def write_gsplat(path: str | Path, splats: Mapping[str, Tensor], *, step: int = 0) -> None:
    """Write gsplat's parameters as its trainer does, whole or not at all.

    Args:
        splats: as `to_gsplat` gives them, parameters or not. step: what the trainer had done.
    """
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in splats.items()}
    with written_whole(Path(path)) as place:
        torch.save({"step": step, "splats": plain}, place)


def read_gsplat(path: str | Path) -> Gaussians:
    """The Gaussians of a checkpoint that gsplat's trainer, or `write_gsplat`, wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such checkpoint, is damaged, or asks for more than tensors.

    >>> import tempfile
    >>> from clay4d.scenes.exchange import to_gsplat
    >>> one = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_gsplat(f"{folder}/ckpt.pt", to_gsplat(one))
    ...     len(read_gsplat(f"{folder}/ckpt.pt"))
    1
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a checkpoint. Check the path.")
    try:
        with zipfile.ZipFile(path) as file:
            held = _Reader(file).read()
    except (zipfile.BadZipFile, KeyError, IndexError, TypeError, EOFError) as error:
        raise ValueError(f"{path} got {error or type(error).__name__}; {REMEDY}") from None
    except ValueError as error:
        raise ValueError(f"{path} got {error}; {REMEDY}") from None
    splats = held.get("splats") if isinstance(held, dict) else None
    if not isinstance(splats, dict):
        raise ValueError(f"{path} got no splats; {REMEDY}")
    wanted = {k: v for k, v in splats.items() if k in NAMES and isinstance(v, Tensor)}
    for name, value in wanted.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path}: {name} got NaN or infinity; expected finite values.")
    return from_gsplat(wanted)


class _Reader:
    """Goes through the tokens of `data.pkl` with a stack, as the unpickler would, and runs nothing."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file
        names = [i.filename for i in file.infolist() if i.filename.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("no data.pkl in it")
        self.folder = names[0].removesuffix("data.pkl")
        if sum(i.file_size for i in file.infolist()) > LARGEST:
            raise ValueError("more than 16 GB in it")
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """What the pickle describes."""
        for op, arg, _ in pickletools.genops(self.file.read(f"{self.folder}data.pkl")):
            if op.name == "STOP":
                return self.stack.pop()
            self._token(op.name, arg)
        raise ValueError("an end before its end")

    def _token(self, name: str, arg: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(MARK)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(arg)
            case "BINPUT" | "LONG_BINPUT":
                self.memo[arg] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[arg])
            case "TUPLE":
                stack.append(tuple(self._to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                items = self._to_mark()
                stack[-1].update(zip(items[::2], items[1::2]))
            case "GLOBAL":
                if arg not in CALLS and not (arg.startswith("torch ") and arg[6:] in STORAGES):
                    raise ValueError(f"{arg.replace(' ', '.')} to run")
                stack.append(arg)
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                args, call = stack.pop(), stack.pop()
                stack.append(self._call(call, args))
            case "BUILD":
                stack.pop()  # versions of modules, beside a state_dict's tensors
            case _:
                raise ValueError(f"{name} in its pickle")

    def _to_mark(self) -> list[Any]:
        at = max(i for i, item in enumerate(self.stack) if item is MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _storage(self, claim: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        _, kind, key, _, count = claim
        data = self.file.read(f"{self.folder}data/{key}")
        values = np.frombuffer(data, STORAGES[kind.removeprefix("torch ")])
        if len(values) != count:
            raise ValueError(f"{len(values)} numbers in the place of {count}")
        return values

    @staticmethod
    def _call(call: str, args: tuple[Any, ...]) -> Any:
        if call == "collections OrderedDict":
            return {}
        if call == "torch._utils _rebuild_parameter":
            return args[0]
        if call != "torch._utils _rebuild_tensor_v2":
            raise ValueError(f"{call!r:.40} to run")
        values, offset, shape, stride = args[:4]
        count = math.prod(shape)
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride)) if count else -1
        within = last < len(values) and count <= len(values)
        if min((*shape, *stride, offset)) < 0 or not within:
            raise ValueError(f"a tensor of shape {list(shape)} in {len(values)} numbers")
        whole = torch.from_numpy(values.astype(np.float32))
        return torch.as_strided(whole, shape, stride, offset).clone()
