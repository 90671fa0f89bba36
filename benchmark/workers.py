"""Systems at work, each in a process of its own that gets observations and nothing else.

So no system can read a later frame or a hidden number, one that hangs is stopped, and one that dies
takes nothing with it.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.benchmark.observation import Observation, Prediction

START = 600.0
"""Seconds that a process may take to start and to load its system: minutes where a machine is busy."""


@dataclass(frozen=True)
class Answer:
    """What a system said, or why it said nothing."""

    prediction: Any
    """A `Prediction`, or what else the question asks for; None: nothing."""
    reason: str = ""
    seconds: float = 0.0
    """Wall clock."""
    cpu_seconds: float | None = None
    """Processor time of the system's process, all its threads."""
    peak_memory_mb: float = 0.0


class Worker:
    """A system in a process of its own; it is started again after it was stopped or died."""

    def __init__(self, make: Callable[..., Any], *given: Any) -> None:
        self._make, self._given = make, given
        self._context = _context()
        self._process: Any = None
        self._pipe: Any = None
        self._broken = ""

    def _start(self) -> None:
        """Start the process and let it make its system; what fails now fails for good."""
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(theirs, self._make, self._given), daemon=True
        )
        self._process.start()
        theirs.close()
        kind, value = self._receive(START)
        if kind != "ready":
            self.stop()
            self._broken = f"it cannot be made: {value}"

    def ask(self, question: Any, times: Float[np.ndarray, " T"], *, timeout: float) -> Answer:
        """One answer to an observation or another question, or the reason why there is none."""
        if self._process is None and not self._broken:
            self._start()
        if self._broken:
            return Answer(None, self._broken)
        began = time.perf_counter()
        try:
            self._pipe.send((question, times))
        except OSError:
            return self._lost("it died")
        kind, value = self._receive(timeout)
        seconds = time.perf_counter() - began
        if kind == "answer":
            prediction, memory, spent = value
            return Answer(prediction, seconds=seconds, cpu_seconds=spent, peak_memory_mb=memory)
        if kind == "failed":
            return Answer(None, value, seconds)
        return self._lost(value)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = None

    def _receive(self, timeout: float) -> tuple[str, Any]:
        try:
            if not self._pipe.poll(timeout):
                return "lost", f"no answer within {timeout:g} s"
            kind, value = self._pipe.recv()
            return str(kind), value
        except (EOFError, OSError):
            self._process.join(5)
            return "lost", f"its process ended with code {self._process.exitcode}"

    def _lost(self, reason: str) -> Answer:
        self.stop()
        return Answer(None, reason)


def _context() -> Any:
    """How processes begin: as copies of one that has imported what systems need and done nothing else.

    A process that imports all that by itself takes seconds to start.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clay4d.benchmark.systems"])
    return context


def _serve(pipe: Any, make: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """The process's own loop."""
    try:
        system = make(*given)
    except Exception as error:  # whatever a system raises is its failure, and the run goes on
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", ""))
    while True:
        try:
            question, times = pipe.recv()
        except EOFError:
            return
        began = time.process_time()
        try:
            found = system.predict(question, times)
            spent = time.process_time() - began
            seen = getattr(question, "observation", question)
            if isinstance(seen, Observation):
                found = check_prediction(found, seen, times)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            pipe.send(("answer", (found, memory, spent)))
        except Exception as error:
            pipe.send(("failed", f"{type(error).__name__}: {str(error)[:300]}"))


def check_prediction(
    prediction: Prediction, observation: Observation, times: Float[np.ndarray, " T"]
) -> Prediction:
    """The prediction, if it is one.

    Raises:
        ValueError: another shape, NaN or infinity.
    """
    expected = (len(times), len(observation.things), 3)
    if prediction.positions.shape != expected:
        raise ValueError(f"positions got shape {prediction.positions.shape}; expected {expected}.")
    for name in ("positions", "quats", "samples"):
        value = getattr(prediction, name)
        if value is not None and not np.isfinite(value).all():
            raise ValueError(f"{name} got NaN or infinity; expected finite numbers.")
    if prediction.quats is not None and prediction.quats.shape != (*expected[:2], 4):
        raise ValueError(
            f"quats got shape {prediction.quats.shape}; expected {(*expected[:2], 4)}."
        )
    if prediction.samples is not None and prediction.samples.shape[1:] != expected:
        raise ValueError(f"samples got shape {prediction.samples.shape}; expected K × {expected}.")
    return prediction
