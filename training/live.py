"""A scene in the browser while it is trained, without a change to what is trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clay4d.training.fields import FieldTrainer
from clay4d.training.trainer import Trainer

EVERY = 2.0
"""Seconds after which pages are told that the scene has changed."""


@contextmanager
def live_view(trainer: Trainer | FieldTrainer, port: int | None) -> Iterator[Callable[[], None]]:
    """Show the trainer's scene at a port; gives what to call after each step.

    Pages are drawn between steps and only read, so the run's bits are those of a run without a viewer;
    it only takes longer. With no port nothing is shown.

    Raises:
        ValueError: a port out of range.
        OSError: no port is free.
    """
    if port is None:
        yield lambda: None
        return
    if not 0 <= port < 65536:
        raise ValueError(f"port got {port}; expected 0 to 65535.")
    # viser takes half a second to import, which every other command would wait for.
    from clay4d.renderers.viewer import Viewer
    from clay4d.renderers.viewer.turns import Turns

    turns = Turns()
    viewer = Viewer(trainer.scene, views=trainer.dataset.train, port=port, turns=turns)
    print(f"{viewer.url}  (without WebGL: {viewer.url}/frames)", file=sys.stderr, flush=True)
    told = time.monotonic()

    def after_step() -> None:
        nonlocal told
        turns.offer()
        if time.monotonic() - told > EVERY:
            viewer.changed()
            told = time.monotonic()

    try:
        with turns.looping():
            yield after_step
    finally:
        viewer.close()
