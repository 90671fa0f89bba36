"""Configs: frozen dataclasses are the schema, YAML files the presets, the command line has the last word.

A dataclass's fields are the keys of its mapping in YAML. Where a field is a union of dataclasses, the
mapping names the member by its class: `motion: {kind: control-nodes, nodes: 512}` is `ControlNodes`.
A list of mappings is a `tuple[SomeDataclass, ...]`.
What `to_dict` gives, `from_dict` reads back to an equal value. Nothing here imports anything heavy.
"""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from clay4d.files import written_whole

T = TypeVar("T")

KIND = "kind"
"""Key that names the member of a union."""
_SHORT = reprlib.Repr()
"""Says what was got: aliases of aliases (`&a [*b, *b]`) would be longer than memory in full."""
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict = 2, 8, 8, 8
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


def kind_name(cls: type) -> str:
    """The name of a class in YAML: its words in lower case, joined by hyphens.

    >>> class ControlNodes: ...
    >>> kind_name(ControlNodes)
    'control-nodes'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()


def from_dict(cls: type[T], raw: Any, where: str = "") -> T:
    """An instance of a dataclass from plain values; what is left out keeps its default.

    Args:
        cls: the dataclass.
        raw: a mapping of its fields, as YAML or JSON give it.
        where: the start of error messages, such as a file's name.

    Raises:
        ValueError: an unknown or missing key, an unknown kind, a value of the wrong type.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Ball:
    ...     radius: float = 1.0
    >>> from_dict(Ball, {"radius": 2})
    Ball(radius=2.0)
    >>> from_dict(Ball, {"radios": 2}, "ball.yaml")
    Traceback (most recent call last):
    ValueError: ball.yaml: unknown key 'radios'; expected one of radius.
    """
    value: T = _dataclass(cls, raw, where or cls.__name__, "")
    return value


def to_dict(config: Any) -> dict[str, Any]:
    """Plain values of a dataclass: what YAML and JSON can hold and `from_dict` reads back.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Ball:
    ...     radius: float = 1.0
    >>> to_dict(Ball())
    {'radius': 1.0}
    """
    hints = get_type_hints(type(config))
    return {
        f.name: _plain(getattr(config, f.name), tagged=_members(hints[f.name]) > 1)
        for f in dataclasses.fields(config)
        if f.init
    }


def load_config(cls: type[T], path: str | Path, *, but: tuple[str, ...] = ()) -> T:
    """Read a dataclass from a YAML file; keys in `but` are another's and passed over.

    With `dict` in the place of a dataclass, the file's mapping is given as it stands.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not YAML, or not what the dataclass holds.
    """
    path = Path(path)
    raw = _read(path)
    if isinstance(raw, dict):
        raw = {k: v for k, v in raw.items() if k not in but}
    if cls is dict:
        if not isinstance(raw, dict):
            raise ValueError(f"{path.name} got {_SHORT.repr(raw)}; expected a mapping.")
        return cast(T, raw)
    return from_dict(cls, raw, path.name)


def save_config(
    path: str | Path, config: Any, **beside: str | int | float | bool | Path | None
) -> None:
    """Write a dataclass to a YAML file, whole or not at all; `beside` adds keys before its own.

    Paths are written whole, so that a run finds its data again from any folder.
    """
    path = Path(path)
    said = {k: str(v.absolute()) if isinstance(v, Path) else v for k, v in beside.items()}
    values = {**said, **to_dict(config)}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    with written_whole(path) as place:
        place.write_text(text, encoding="utf-8")


def presets(cls: type[T], folder: Path, *, prefix: str = "") -> dict[str, tuple[str, T]]:
    """The presets of a folder by name, each with its help: the first line of its file, a comment.

    `NAME.yaml` is a preset of training; with a `prefix`, `PREFIX.NAME.yaml` are read instead, so
    that the presets of several commands share a folder.

    Raises:
        ValueError: a file that does not hold what the dataclass holds.
    """
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        *before, name = path.stem.split(".")
        if ".".join(before) == prefix:
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            note = first.lstrip("# ").rstrip() if first.startswith("#") else ""
            found[name] = (note, load_config(cls, path))
    return found


def preset_folder() -> Path:
    """The folder of the presets that come with clay4d."""
    import clay4d.configs

    return Path(clay4d.configs.__path__[0])


def _read(path: Path) -> Any:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"config got {path}; expected a YAML file there.") from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        # Not YAML's own: bytes that are no UTF-8, dates that are none, lists in lists without end.
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path.name} is not YAML ({_said(reason)}); expected key: value lines."
        ) from None
    return {} if raw is None else raw


def _said(text: str) -> str:
    """At most 300 characters of a text, in ones that can be printed."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def _members(hint: Any) -> int:
    """How many dataclasses a hint can stand for."""
    return sum(1 for option in _options(hint) if dataclasses.is_dataclass(option))


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _of_dataclasses(hint: Any) -> bool:
    """Whether a hint is a tuple of any number of dataclasses, all of one kind."""
    args = get_args(hint)
    many = get_origin(hint) is tuple and len(args) == 2 and args[1] is Ellipsis
    return many and dataclasses.is_dataclass(args[0])


def _plain(value: Any, *, tagged: bool) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = {KIND: kind_name(type(value))} if tagged else {}
        return {**tag, **to_dict(value)}
    if isinstance(value, list | tuple):
        return [_plain(x, tagged=False) for x in value]
    return str(value) if isinstance(value, Path) else value


def _dataclass(cls: Any, raw: Any, where: str, at: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ValueError(
            f"{_at(where, at)} got {_SHORT.repr(raw)}; expected a mapping of {cls.__name__}."
        )
    hints = get_type_hints(cls)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    names = [f.name for f in fields]
    for key in raw:
        if key not in names:
            known = ", ".join(names) or "nothing: it has no keys"
            place = f"{_at(where, at)}: " if not at else f"{_at(where, at)} got "
            raise ValueError(f"{place}unknown key {_SHORT.repr(key)}; expected one of {known}.")
    for f in fields:
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in raw:
            raise ValueError(f"{_at(where, _join(at, f.name))} is missing; expected a value.")
    values = {k: _value(hints[k], v, where, _join(at, k)) for k, v in raw.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"{_at(where, at)}: {error}") from None


def _value(hint: Any, raw: Any, where: str, at: str) -> Any:
    options = _options(hint)
    if raw is None and type(None) in options:
        return None
    classes = [o for o in options if dataclasses.is_dataclass(o)]
    if len(classes) > 1:
        return _member(classes, raw, where, at)
    if classes:
        return _dataclass(classes[0], raw, where, at)
    for option in options:
        if _of_dataclasses(option) and isinstance(raw, list | tuple):
            each = get_args(option)[0]
            return tuple(_value(each, x, where, f"{at}[{k}]") for k, x in enumerate(raw))
    for option in options:
        found, value = _scalar(option, raw)
        if found:
            return value
    expected = " or ".join(_words(option) for option in options)
    raise ValueError(f"{_at(where, at)} got {_SHORT.repr(raw)}; expected {expected}.")


def _member(classes: list[Any], raw: Any, where: str, at: str) -> Any:
    """The member of a union that `raw` names by its kind."""
    known = {kind_name(c): c for c in classes}
    kind = raw.get(KIND) if isinstance(raw, Mapping) else raw
    if not isinstance(raw, Mapping) or str(kind) not in known:
        kinds, got = ", ".join(known), "no kind" if kind is None else f"kind {_SHORT.repr(kind)}"
        raise ValueError(f"{_at(where, at)} got {got}; expected {{kind: one of {kinds}}}.")
    rest = {k: v for k, v in raw.items() if k != KIND}
    return _dataclass(known[str(kind)], rest, where, at)


def _scalar(hint: Any, raw: Any) -> tuple[bool, Any]:
    """Whether a plain value fits a type, and the value as that type."""
    origin = get_origin(hint)
    if origin is Literal:
        return any(raw == a and type(raw) is type(a) for a in get_args(hint)), raw
    if origin in (list, tuple):
        return _sequence(hint, raw)
    if hint is float:
        return _number(raw)
    if hint is Path:
        return isinstance(raw, str), Path(raw) if isinstance(raw, str) else None
    if hint in (int, str, bool):
        return type(raw) is hint, raw
    return False, None


def _number(raw: Any) -> tuple[bool, Any]:
    # YAML 1.1 reads 1e-4 as text (it wants a point), which nobody who writes it means.
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return False, None
    try:
        value = float(raw)
    except ValueError:
        return False, None
    return math.isfinite(value), value


def _sequence(hint: Any, raw: Any) -> tuple[bool, Any]:
    if not isinstance(raw, list | tuple):
        return False, None
    args = get_args(hint)
    each = list(args)
    if get_origin(hint) is list or args[-1] is Ellipsis:
        each = [args[0]] * len(raw)
    if len(each) != len(raw):
        return False, None
    parts = [_scalar(h, x) for h, x in zip(each, raw)]
    value = [x for _, x in parts]
    done = value if get_origin(hint) is list else tuple(value)
    return all(found for found, _ in parts), done


def _words(hint: Any) -> str:
    """A type in words, for error messages."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    names |= {Path: "a path", type(None): "null"}
    if _of_dataclasses(hint):
        return f"a list of mappings, each of {get_args(hint)[0].__name__}"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (list, tuple):
        args = [a for a in get_args(hint) if a is not Ellipsis]
        count = "" if get_origin(hint) is list or Ellipsis in get_args(hint) else f"{len(args)} "
        return f"a list of {count}values, each {_words(args[0])}"
    return names.get(hint, str(hint))


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else str(key)


def _at(where: str, at: str) -> str:
    return f"{where}: {at}" if at else where
