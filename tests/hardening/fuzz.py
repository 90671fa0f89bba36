"""Fuzzing of every format that clay4d reads: `python tests/hardening/fuzz.py [FORMAT …] --cases 10000`.

Cases come in chunks with a seed each, in a process of their own that may take 2 GB beyond what it has
after a first good file; a case that takes more than 5 seconds of a processor, dies, or raises anything but a
ValueError or FileNotFoundError of one line in the house style is a find. Finds are kept with the files
that caused them. What is done is noted after each chunk, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MEMORY = 2 << 30
"""Bytes that a case may take."""
SECONDS = 5.0
CHUNK = 2000
ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "/etc/hostname"


class TooLong(BaseException):
    """A case was stopped."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Stop what computes longer, as far as Python is asked now and then; a busy machine's time is not its own."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def house_style(error: BaseException) -> bool:
    """Whether an error is one for users: its type, what was got and what was expected, in one line.

    A scene's problems are told all at once, a line each; nothing else has several lines.
    """
    text = str(error)
    own = isinstance(error, ValueError) and type(error).__module__.startswith("clay4d.")
    lines = text.split("\n") if type(error).__name__ == "SpecError" else [text]
    plain = type(error) in (ValueError, FileNotFoundError) or own
    said = own or "expected" in text
    return (
        plain
        and said
        and len(text) < 10_000 * len(lines)
        and all(line.isprintable() for line in lines)
    )


def complaint(error: BaseException) -> str:
    """What was raised and where, short enough to tell finds apart."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__)
        if f.filename.startswith(str(ROOT)) and "/.venv/" not in f.filename and "/hardening/" not in f.filename
    ]  # fmt: skip
    at = f"{Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {at}"


def formats() -> dict[str, Any]:
    """Everything that is fuzzed, by name."""
    from formats import FORMATS
    from formats_made import MADE_FORMATS

    return FORMATS | {f.name: f for f in MADE_FORMATS}


def hunt(name: str, cases: int, chunk: int, finds: Path, beat: Path | None = None) -> dict[str, Any]:  # fmt: skip
    """Run one chunk of a format's cases in this process; gives counts and finds by complaint."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from mutations import mutate

    form = formats()[name]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "work"
        (Path(scratch) / "seeds").mkdir()
        seeds = form.seeds(Path(scratch) / "seeds")
        for seed in seeds:  # warms up, and shows that they are good
            _put(work, seed)
            form.read(work)
        _allow(MEMORY)
        found: dict[str, Any] = {}
        done = {"cases": 0, "refused": 0}

        @hypothesis.seed(chunk)
        @settings(
            max_examples=cases, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.data())
        def case(data: Any) -> None:
            draw = data.draw
            seed = dict(draw(st.sampled_from(seeds)))
            names = sorted(seed)
            near = [n for n in names if n.endswith(form.focus)] if form.focus else names
            chosen = draw(st.sampled_from(near if draw(st.integers(0, 4)) else names))
            manner = draw(st.integers(0, 19)) if len(names) > 1 else 9
            if manner > 2:
                seed[chosen] = mutate(draw, seed[chosen], chosen)
            _put(work, seed)
            _trick(work / chosen, manner)
            done["cases"] += 1
            if beat is not None:
                beat.write_text(f"{done['cases']} {chosen}")
            try:
                with limited(SECONDS), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    form.read(work)
            except (Exception, TooLong) as error:
                if house_style(error):
                    done["refused"] += 1
                    return
                key = complaint(error)
                if key not in found:
                    found[key] = str(error)[:300]
                    _keep(work, finds / name / _safe(key), "".join(traceback.format_exception(error)))  # fmt: skip

        case()
        return {**done, "finds": found}


def _trick(path: Path, manner: int) -> None:
    """Now and then a file is gone, is a folder, or a link to a file outside."""
    if manner > 2:
        return
    path.unlink()
    if manner == 1:
        path.mkdir()
    elif manner == 2:
        path.symlink_to(OUTSIDE)


def _put(work: Path, seed: dict[str, bytes]) -> None:
    shutil.rmtree(work, ignore_errors=True)
    for name, data in seed.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)


def _keep(work: Path, place: Path, why: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(work, place, symlinks=True)
    (place / "why.txt").write_text(why, encoding="utf-8", errors="replace")


def _safe(key: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in key)


def _allow(more: int) -> None:
    """Let this process take `more` bytes of address space beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def in_child(name: str, cases: int, chunk: int, out: Path) -> dict[str, Any]:
    """`hunt` in a process of its own; one that hangs or dies is a find too."""
    beat = out / f".beat-{name}"
    beat.write_text("0 nothing")
    command = [sys.executable, __file__, name, "--cases", str(cases), "--chunk", str(chunk), "--out", str(out)]  # fmt: skip
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as cried:
        child = subprocess.Popen(command, stdout=said, stderr=cried)
        seen, since = "", time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            now = beat.read_text()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > (
                60 if 0 < int(now.split(" ")[0] or 0) < cases else 300
            ):
                child.kill()
        said.seek(0), cried.seek(0)  # type: ignore[func-returns-value]
        lines = said.read().splitlines()
        beat.unlink(missing_ok=True)
        if child.returncode == 0 and lines:
            result: dict[str, Any] = json.loads(lines[-1])
            return result
        why = cried.read()[-2000:]
        count = int(seen.split(" ")[0] or 0)
        return {"cases": count, "refused": 0, "finds": {f"ended with {child.returncode} in case {count} of chunk {chunk}": why}}  # fmt: skip


def run(names: list[str], cases: int, out: Path) -> dict[str, Any]:
    """All chunks of some formats that are not yet done; what is known is in OUT/fuzz.json."""
    out.mkdir(parents=True, exist_ok=True)
    place = out / "fuzz.json"
    state: dict[str, Any] = json.loads(place.read_text()) if place.is_file() else {}
    todo = [
        (name, chunk) for name in names for chunk in range((cases + CHUNK - 1) // CHUNK)
        if str(chunk) not in state.get(name, {})
    ]  # fmt: skip
    began = time.monotonic()
    for k, (name, chunk) in enumerate(todo):
        size = min(CHUNK, cases - chunk * CHUNK)
        started = time.monotonic()
        result = in_child(name, size, chunk, out)
        result["seconds"] = round(time.monotonic() - started, 1)
        state.setdefault(name, {})[str(chunk)] = result
        whole = place.with_suffix(".part")
        whole.write_text(json.dumps(state, indent=1))
        os.replace(whole, place)
        left = (time.monotonic() - began) / (k + 1) * (len(todo) - k - 1) / 60
        found = "".join(f"\n  FIND {key}: {why}" for key, why in result["finds"].items())
        print(f"{name} chunk {chunk}: {result['cases']} cases, {result['refused']} refused, {left:.1f} min left{found}", file=sys.stderr, flush=True)  # fmt: skip
    return state


def summary(state: dict[str, Any], names: list[str]) -> tuple[str, int]:
    """A table of what is done, and how many finds there are."""
    rows, total = [], 0
    for name in names:
        chunks = state.get(name, {}).values()
        finds = {key for c in chunks for key in c["finds"]}
        total += len(finds)
        counts = [sum(c[k] for c in chunks) for k in ("cases", "refused", "seconds")]
        rows.append(f"{name:16} {counts[0]:7} cases {counts[1]:7} refused {counts[2]:8.0f} s {len(finds):4} finds")  # fmt: skip
    return "\n".join(rows), total


def main() -> int:
    """The command."""
    sys.path.insert(0, str(Path(__file__).parent))
    known = formats()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build/fuzz")
    parser.add_argument("--chunk", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.formats or list(known)
    unknown = [n for n in names if n not in known]
    if unknown:
        parser.error(f"format got {unknown[0]!r}; expected one of {', '.join(known)}.")
    if given.chunk is not None:
        for name in names:
            beat = given.out / f".beat-{name}"
            print(json.dumps(hunt(name, given.cases, given.chunk, given.out / "finds", beat)))
        return 0
    text, finds = summary(run(names, given.cases, given.out), names)
    print(text)
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
