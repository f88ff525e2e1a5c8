"""Between the integer microseconds of the server and the protobuf types of the contract."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.errors import InvalidInput

_NANOS_PER_MICRO = 1000
_NANOS_PER_SECOND = 1_000_000_000
# 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what google.protobuf.Timestamp can say.
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
EARLIEST = _FIRST_SECOND * MICROS_PER_SECOND
"""The first time that a Timestamp can say, in microseconds since 1970."""
# About 10,000 years: what google.protobuf.Duration can say.
_LONGEST_SECONDS = 315_576_000_000


def to_proto(micros: int) -> Timestamp:
    """A time as a Timestamp; ValueError outside of the years 1 to 9999."""
    timestamp = Timestamp()
    set_time(timestamp, micros)
    return timestamp


def set_time(timestamp: Timestamp, micros: int) -> None:
    """The same into a message's own field; ValueError outside of the years 1 to 9999."""
    seconds, rest = divmod(micros, MICROS_PER_SECOND)
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        message = f"{micros} microseconds is outside of the years 1 to 9999"
        raise ValueError(message)
    # Both are always set: that is what makes the field present, also in the first second of 1970.
    timestamp.seconds = seconds
    timestamp.nanos = rest * _NANOS_PER_MICRO


def from_proto(timestamp: Timestamp) -> int:
    """A Timestamp in microseconds since 1970, rounded down; `InvalidInput` when it is not one."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < _NANOS_PER_SECOND):
        message = "a timestamp must lie in the years 1 to 9999, with nanos in [0, 999999999]"
        raise InvalidInput(message, reason="TIMESTAMP_OUT_OF_RANGE")
    return seconds * MICROS_PER_SECOND + nanos // _NANOS_PER_MICRO


def nanos(timestamp: Timestamp) -> int:
    """A Timestamp in nanoseconds since 1970; `InvalidInput` as for `from_proto`."""
    return from_proto(timestamp) * _NANOS_PER_MICRO + timestamp.nanos % _NANOS_PER_MICRO


def duration_to_proto(micros: int) -> Duration:
    """A span of time as a Duration; ValueError beyond 10,000 years either way."""
    seconds, rest = divmod(abs(micros), MICROS_PER_SECOND)
    if seconds > _LONGEST_SECONDS or (seconds == _LONGEST_SECONDS and rest):
        message = f"{micros} microseconds is longer than 10,000 years"
        raise ValueError(message)
    sign = -1 if micros < 0 else 1
    return Duration(seconds=sign * seconds, nanos=sign * rest * _NANOS_PER_MICRO)


def duration_from_proto(duration: Duration) -> int:
    """A Duration in microseconds, rounded towards zero; `InvalidInput` when it is not one."""
    seconds, nanos = duration.seconds, duration.nanos
    in_range = abs(seconds) <= _LONGEST_SECONDS and abs(nanos) < _NANOS_PER_SECOND
    if not in_range or seconds * nanos < 0:
        message = "a duration must be within 10,000 years, its nanos below a second of one sign"
        raise InvalidInput(message, reason="DURATION_OUT_OF_RANGE")
    total = seconds * _NANOS_PER_SECOND + nanos
    micros = abs(total) // _NANOS_PER_MICRO
    return -micros if total < 0 else micros
