"""What a set of worlds says of itself is checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WORDS = (
    "name",
    "split",
    "prompt",
    "paraphrases",
    "events",
    "questions",
    "objects",
    "hidden",
    "scene",
)
"""What a shard's JSON says of each world."""


def check_index(where: str, index: Mapping[str, Any]) -> None:
    """Refuse a worlds.json that lacks something, or whose shards have names that lead elsewhere.

    Raises:
        ValueError: naming what is wrong.

    >>> check_index("worlds.json", {"recipe": {}, "complete": False, "shards": []})
    """
    kinds = {"recipe": dict, "complete": bool, "shards": list}
    for key, kind in kinds.items():
        if not isinstance(index.get(key), kind):
            raise ValueError(
                f"{where} got {key} {str(index.get(key))[:60]!r}; expected one. Make the worlds again."
            )
    for shard in index["shards"]:
        if not _is_entry(shard):
            raise ValueError(
                f"{where} got shard {str(shard)[:60]!r}; expected a name, worlds, splits and sums. "
                "Make the worlds again."
            )


def _is_entry(shard: Any) -> bool:
    if not isinstance(shard, dict) or not _texts([shard.get(k) for k in ("name", "sha256", "sha256_json")]):  # fmt: skip
        return False
    worlds, splits = shard.get("worlds"), shard.get("splits")
    return (
        re.fullmatch(r"shard-[0-9]{5,}", shard["name"]) is not None
        and isinstance(worlds, list) and isinstance(splits, list)
        and len(worlds) == len(splits) and _texts([*worlds, *splits])
    )  # fmt: skip


def has_worlds(header: Mapping[str, Any]) -> bool:
    """Whether a shard's JSON has a list of worlds, each with its words.

    >>> has_worlds({"worlds": []}), has_worlds({"worlds": [3]})
    (True, False)
    """
    worlds = header.get("worlds")
    return isinstance(worlds, list) and all(
        isinstance(w, dict) and all(k in w for k in WORDS) and _texts([w["name"], w["split"]])
        for w in worlds
    )


def _texts(values: list[Any]) -> bool:
    return all(isinstance(v, str) for v in values)
