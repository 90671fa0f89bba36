"""Turns at the processor: a viewer draws between the steps of a training loop, never during one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One thing at a time: the steps of a loop, and what others ask for between them.

    A plain lock would not do: a loop that lets go of it and takes it again at once hardly ever lets
    another in, and others that never cease to ask would hold up the loop.

    >>> turns = Turns()
    >>> with turns.taken():
    ...     pass
    >>> with turns.looping():
    ...     turns.offer()
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._busy, self._looping = False, False
        self._waiting, self._passes = 0, 0

    @contextmanager
    def looping(self) -> Iterator[None]:
        """Keep the turn for a loop; others have theirs when it calls `offer`."""
        with self.taken():
            self._looping = True
            try:
                yield
            finally:
                self._looping = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A turn of one's own, as soon as nobody else has it."""
        with self._change:
            self._waiting += 1
            self._change.wait_for(lambda: not self._busy and (self._passes or not self._looping))
            self._waiting -= 1
            self._passes = max(self._passes - 1, 0)
            self._busy = True
        try:
            yield
        finally:
            with self._change:
                self._busy = False
                self._change.notify_all()

    def offer(self) -> None:
        """Between two steps: let each of those who wait now have one turn."""
        with self._change:
            self._passes = self._waiting
            if not self._passes:
                return
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: not self._passes and not self._busy)
            self._busy = True
