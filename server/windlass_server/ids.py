"""Identifiers: a kind and a lower-case ULID, such as `job-01jd8x0v5gq2m4t6w8y0a2c4e6`."""

import os
import threading

from windlass_server.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS = 80


class IdSource:
    """Makes ids that sort by the time of their making, also within one millisecond.

    A ULID is 48 bits of milliseconds and 80 random bits (github.com/ulid/spec). Within the same
    millisecond, and when the clock steps back, the last value is raised by a random step, so that
    ids of one process never go backwards and still cannot be guessed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def new(self, kind: str) -> str:
        """A new id `<kind>-<ulid>`."""
        fresh = (self._clock.now() // 1000 << _RANDOM_BITS) | int.from_bytes(os.urandom(10))
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + int.from_bytes(os.urandom(5))
            self._last = fresh
        return f"{kind}-{encode_ulid(fresh)}"


def first_id(kind: str, at: int) -> str:
    """The least id that is made at a time (microseconds since 1970) or later."""
    return f"{kind}-{encode_ulid(max(at, 0) // 1000 << _RANDOM_BITS)}"


def encode_ulid(value: int) -> str:
    """The 26 characters of a 128-bit ULID, in Crockford's base 32, lower case."""
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
