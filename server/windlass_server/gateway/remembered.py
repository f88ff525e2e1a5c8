"""What was made of messages lately, by their bytes, so that it is not made again.

A message's JSON depends on nothing but its bytes. A job is asked for far more often than it changes, and
each of a thousand followers of one log gets the same messages.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Larger messages are not kept: few are the same, and to look for one takes longer. A node of eight GPUs
# is smaller.
_LARGEST_BYTES = 16 << 10
# What Python's own objects take beside the bytes.
_OVERHEAD_BYTES = 256


class Memory:
    """A bound for all that is remembered in it.

    It has two generations. What is asked for again moves to the younger one; when that holds half of
    the bytes it becomes the older one, and the one before is forgotten.

    Args:
        max_bytes: of all messages and what was made of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._held = 0
        self._all: list[Remembered[object]] = []

    def remember(self, make: Callable[[bytes], T], size: Callable[[T], int]) -> "Remembered[T]":
        """A function like `make`, of which what it made is kept; `size` is of that, in bytes."""
        made = Remembered(make, size, self)
        self._all.append(made)  # type: ignore[arg-type]
        return made

    def grew(self, size: int) -> None:
        """Take note of something that is kept."""
        self._held += size
        if self._held > self._half:
            self._held = 0
            for each in self._all:
                each.grow_older()


class Remembered(Generic[T]):
    """A function of a message's bytes; see `Memory`."""

    __slots__ = ("_make", "_memory", "_old", "_size", "_young")

    def __init__(
        self, make: Callable[[bytes], T], size: Callable[[T], int], memory: Memory
    ) -> None:
        self._make = make
        self._size = size
        self._memory = memory
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def __call__(self, message: bytes) -> T:
        """What is made of the message; raises what making it raises, and keeps nothing of that."""
        found = self._young.get(message)
        return self._other(message) if found is None else found

    def grow_older(self) -> None:
        """Begin a generation."""
        self._old = self._young
        self._young = {}

    def _other(self, message: bytes) -> T:
        found = self._old.get(message)
        if found is None:
            found = self._make(message)
        if len(message) <= _LARGEST_BYTES:
            self._young[message] = found
            self._memory.grew(len(message) + self._size(found) + _OVERHEAD_BYTES)
        return found
