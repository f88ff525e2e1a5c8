"""Ctrl-C between two steps, never within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class Interrupts:
    """Holds a Ctrl-C back while a step is being done, so that what was done is known exactly.

    A second Ctrl-C is not held back: a step may hang, such as a write to a pipe that nobody reads.
    Elsewhere than on the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._busy = False
        self._pending = False
        self._on_main_thread = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._on_main_thread:
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._on_main_thread:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A step that a first Ctrl-C does not break; KeyboardInterrupt comes behind it."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._pending:
            raise KeyboardInterrupt

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._busy and not self._pending:
            self._pending = True
            return
        raise KeyboardInterrupt
