"""Numbers with bounds and units, and the errors that name the field that holds a wrong one.

Specs are pydantic dataclasses: one declaration checks what Python builds, what JSON holds and what a
language model answers, and writes the JSON Schema. A field's unit is the end of its docstring.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Any, TypeVar, get_type_hints

import pydantic
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import dataclass_transform

T = TypeVar("T")


class SpecError(ValueError):
    """A scene's description is wrong; each line of the message names a field and says why."""


def _number(unit: str, **bounds: float) -> Any:
    extra: Any = {"unit": unit} if unit else None
    limits: dict[str, Any] = dict(bounds)
    return Field(allow_inf_nan=False, json_schema_extra=extra, **limits)


MAX_LENGTH, MAX_SPEED, MAX_SPIN = 1000.0, 1000.0, 1000.0
"""Metres, metres per second and radians per second past which a scene is taken for a mistake."""

Finite = Annotated[float, _number("")]
Length = Annotated[float, _number("metres", gt=0, le=MAX_LENGTH)]
Coordinate = Annotated[float, _number("metres", ge=-MAX_LENGTH, le=MAX_LENGTH)]
Seconds = Annotated[float, _number("seconds", ge=0)]
Degrees = Annotated[float, _number("degrees")]
Kilograms = Annotated[float, _number("kilograms", gt=0)]
Density = Annotated[float, _number("kilograms per cubic metre", gt=0)]
Pascals = Annotated[float, _number("pascals", gt=0)]
Fraction = Annotated[float, _number("", ge=0, le=1)]
NotNegative = Annotated[float, _number("", ge=0)]
Positive = Annotated[float, _number("", gt=0)]
Speed = Annotated[float, _number("metres per second", ge=-MAX_SPEED, le=MAX_SPEED)]
Spin = Annotated[float, _number("radians per second", ge=-MAX_SPIN, le=MAX_SPIN)]

Vec3 = tuple[Finite, Finite, Finite]
Position = tuple[Coordinate, Coordinate, Coordinate]
Size3 = tuple[Length, Length, Length]
Size2 = tuple[Length, Length]
Velocity = tuple[Speed, Speed, Speed]
AngularVelocity = tuple[Spin, Spin, Spin]
Colour = tuple[Fraction, Fraction, Fraction]


def _not_zero(value: Any) -> Any:
    if sum(v * v for v in value) < 1e-12:
        raise ValueError("expected a vector that is not zero.")
    return value


Direction = Annotated[Vec3, AfterValidator(_not_zero)]
Quaternion = Annotated[tuple[Finite, Finite, Finite, Finite], AfterValidator(_not_zero)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]*$", max_length=64)]

_CONFIG = pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True)
_TAGS: dict[str, type] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def part(cls: type[T]) -> type[T]:
    """Make a frozen, keyword-only, checked dataclass of `cls` whose errors are `SpecError`."""
    made: Any = pydantic_dataclass(frozen=True, kw_only=True, config=_CONFIG)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            checked(self, *args, **kwargs)
        except pydantic.ValidationError as error:
            raise SpecError(explain_errors(error, made)) from None

    made.__init__ = init
    hints = get_type_hints(made, include_extras=True)
    for field in dataclasses.fields(made):
        if field.name == "kind":
            _TAGS[str(field.default)] = made
        words = made.__pydantic_fields__[field.name].description
        if words:  # Pydantic reads a class's own docstrings only; so they reach its subclasses.
            field.type = Annotated[hints[field.name], Field(description=words)]
    result: type[T] = made
    return result


MOST = 100
"""Problems that are told at the most."""


def explain_errors(error: pydantic.ValidationError, root: type) -> str:
    """One line for each wrong field: `bodies[2].radius got -0.1; expected more than 0 metres.`"""
    lines = []
    for item in error.errors(include_url=False):
        path, unit = _path(item["loc"], root)
        lines.append(_line(path, unit, item))
    # Names of fields come from the file, too: they may be long, or control the terminal.
    plain = [
        "".join(c if c.isprintable() else "?" for c in part)[:500]
        for line in lines[:MOST]
        for part in line.split("\n")
    ]
    return "\n".join(dict.fromkeys(plain))


def _path(loc: tuple[int | str, ...], root: type) -> tuple[str, str]:
    """A readable path without the unions' tags, and the unit of the field at its end."""
    path, unit, here = "", "", root
    previous: int | str = ""
    for item in loc:
        if isinstance(item, int):
            path += f"[{item}]"
        elif isinstance(previous, int) and item in _TAGS:
            here = _TAGS[item]
        else:
            path += f".{item}" if path else item
            fields = getattr(here, "__pydantic_fields__", {})
            if item in fields:
                unit = _unit(fields[item])
                if dataclasses.is_dataclass(fields[item].annotation):
                    here = fields[item].annotation
        previous = item
    return path, unit


def _unit(field: Any) -> str:
    """The field's unit; of a vector, its first component's."""
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra.get("unit", ""))
    inner = list(getattr(field.annotation, "__args__", ()))
    inner += [a for b in inner for a in getattr(b, "__args__", ())]
    for argument in inner:
        for note in getattr(argument, "__metadata__", ()):
            extra = getattr(note, "json_schema_extra", None)
            if isinstance(extra, dict) and "unit" in extra:
                return str(extra["unit"])
    return ""


_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _line(path: str, unit: str, item: Any) -> str:
    kind, context = item["type"], item.get("ctx", {})
    got = repr(item["input"])
    got = got if len(got) <= 60 else got[:57] + "..."
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        number = f"{bound:g}" if isinstance(bound, (int, float)) else str(bound)
        return f"{path} got {got}; expected {words} {number}{' ' + unit if unit else ''}."
    if kind == "value_error":  # Raised by our own checks; its message may begin with a field.
        message = str(context["error"])
        if message.startswith("expected"):
            return f"{path} got {got}; {message}"
        return f"{path}.{message}" if path else message
    if kind in ("missing", "missing_argument"):
        return f"{path} is missing{'; expected ' + unit if unit else ''}."
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{path} got {got}; no such field here. Remove it or correct its name."
    if kind == "union_tag_invalid":
        return f"{path}.kind got {context['tag']!r}; expected one of {context['expected_tags']}."
    if kind == "union_tag_not_found":
        return f"{path}.kind is missing; expected the kind of this part."
    if kind == "literal_error":
        return f"{path} got {got}; expected one of {context['expected']}."
    if kind == "string_pattern_mismatch":
        return f"{path} got {got}; expected a letter, then letters, digits, _ or -."
    return f"{path or 'scene'} got {got}; {item['msg'][0].lower()}{item['msg'][1:]}."
