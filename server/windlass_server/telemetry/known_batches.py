"""Batches of samples that differ from one before in nothing but their time and their values.

A node sends the same series each second: ten kilobytes of which a tenth is new. To parse one, to hold it to
the rules and to find out of what its values are takes longer than all that is then made of them. So what
is equal byte for byte to one that was parsed and kept to the rules is not parsed again: its time and its
values stand where they stood in that one, and there is no rule for what they are.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from windlass.agents.v1 import agent_pb2, agents_service_pb2
from windlass_server.telemetry.rollup import Floats

# Sorts of batches of a node that are remembered, by their lengths.
_REMEMBERED = 4
# To learn one costs as much as four that are known save. A node all of whose batches are different is
# let off.
_COST, _AT_FIRST, _MOST = 4, 16, 64
# Times of our days have so many bytes; none of so many is negative.
_TIME_BYTES = 9
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_FIELD, _VALUE_BYTES = 3, 8


def _tag(message: type[Message], field: str, wire_type: int) -> int:
    return message.DESCRIPTOR.fields_by_name[field].number << _FIELD | wire_type


_MESSAGE = _tag(agents_service_pb2.StreamTelemetryRequest, "message", _LENGTH)
_SAMPLES = _tag(agent_pb2.TelemetryMessage, "samples", _LENGTH)
_TIME = _tag(agent_pb2.SampleBatch, "base_time_nanos", _VARINT)
_SERIES = _tag(agent_pb2.SampleBatch, "series", _LENGTH)
_VALUES = _tag(agent_pb2.Series, "values", _LENGTH)

_Bytes: TypeAlias = NDArray[np.uint8]
_Field: TypeAlias = tuple[int, int, int]
"""A tag, and where its value begins and ends."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownBatch:
    """A batch of one time, without its message.

    Attributes:
        fields: of each series.
        subjects: of each series.
        base_time_nanos: as in a `SampleBatch`, as what follows.
        values: one of each series.
        gpu_processes: at that time.
        runs: at that time.
        size: of the batch, in bytes.
    """

    fields: tuple[int, ...]
    subjects: tuple[str, ...]
    base_time_nanos: int
    values: Floats
    gpu_processes: Sequence[agent_pb2.GpuProcessSample]
    runs: Sequence[agent_pb2.RunStamp]
    size: int


Batch: TypeAlias = agent_pb2.SampleBatch | KnownBatch


def values_in(batch: Batch) -> int:
    """How many values there are in a batch."""
    if isinstance(batch, KnownBatch):
        return len(batch.fields)
    return len(batch.series) * len(batch.time_deltas_nanos)


class BatchReader:
    """Reads the messages of one node's telemetry stream.

    Args:
        read: parses a message, and refuses one that breaks a rule.
    """

    def __init__(self, read: Callable[[bytes], Message]) -> None:
        self._read = read
        self._known: dict[int, _Known] = {}
        self._saved = _AT_FIRST

    def __call__(self, request: bytes) -> Message | KnownBatch:
        """The message, a `StreamTelemetryRequest`, or the batch that is in it; raises what `read` does."""
        known = self._known.get(len(request))
        found = None if known is None else known.match(request)
        if found is not None:
            self._saved = min(self._saved + 1, _MOST)
            return found
        message = self._read(request)
        if self._saved >= _COST and isinstance(message, agents_service_pb2.StreamTelemetryRequest):
            self._learn(request, message.message.samples)
        return message

    def _learn(self, request: bytes, batch: agent_pb2.SampleBatch) -> None:
        if not _has_one_time(batch):
            return
        self._saved -= _COST
        places = _places(request)
        if places is None:
            return
        self._known[len(request)] = _Known(request, batch, *places)
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


class _Known:
    """One sort of batches.

    Args:
        request: one of them.
        batch: the same, parsed.
        time_at: where its time stands.
        values_at: where the values of its series stand.
    """

    def __init__(
        self, request: bytes, batch: agent_pb2.SampleBatch, time_at: int, values_at: tuple[int, ...]
    ) -> None:
        self._request = request
        self._time_at = time_at
        self._fixed, self._values_at = _masks(len(request), time_at, values_at)
        series = list(batch.series)
        self._fields = tuple(one.field for one in series)
        self._subjects = tuple(sys.intern(one.subject) for one in series)
        # A copy: the message itself has far more.
        rest = agent_pb2.SampleBatch(gpu_processes=batch.gpu_processes, runs=batch.runs)
        self._processes, self._runs = list(rest.gpu_processes), list(rest.runs)
        self._size = batch.ByteSize()

    def match(self, request: bytes) -> KnownBatch | None:
        """What is in a message of the same length; None when it is of another sort."""
        data = np.frombuffer(request, np.uint8)
        ours = np.frombuffer(self._request, np.uint8)
        if ((data ^ ours) & self._fixed).any():
            return None
        time, end = 0, self._time_at + _TIME_BYTES
        for byte in reversed(request[self._time_at : end]):
            time = time << 7 | byte & 0x7F
        values = data[self._values_at].view("<f8")
        return KnownBatch(
            self._fields, self._subjects, time, values, self._processes, self._runs, self._size
        )


def _has_one_time(batch: agent_pb2.SampleBatch) -> bool:
    return list(batch.time_deltas_nanos) == [0] and all(
        len(one.values) == 1 for one in batch.series
    )


# Nodes of one kind are told alike.
@lru_cache(256)
def _masks(
    length: int, time_at: int, values_at: tuple[int, ...]
) -> tuple[_Bytes, NDArray[np.intp]]:
    """Which bits of a message are always the same, and where the bytes of its values stand."""
    fixed = np.full(length, 0xFF, np.uint8)
    # The last bit of each byte of a number says whether it goes on.
    fixed[time_at : time_at + _TIME_BYTES] = 0x80
    places = np.add.outer(np.array(values_at, np.intp), np.arange(_VALUE_BYTES)).ravel()
    fixed[places] = 0
    return fixed, places


def _places(request: bytes) -> tuple[int, tuple[int, ...]] | None:
    """Where the time and each value stand; None of a message that is put in another way.

    What could be meant to be merged, such as a field that comes twice, is not looked into.
    """
    inner = _only(request, _MESSAGE, 0, len(request))
    batch = inner and _only(request, _SAMPLES, *inner)
    if not batch:
        return None
    times, values = list[int](), list[int]()
    for tag, start, end in _fields(request, *batch):
        if tag == _TIME:
            times.append(start if end - start == _TIME_BYTES else -1)
        elif tag == _SERIES:
            found = [one for one in _fields(request, start, end) if one[0] == _VALUES]
            if len(found) != 1 or found[0][2] - found[0][1] != _VALUE_BYTES:
                return None
            values.append(found[0][1])
    return (times[0], tuple(values)) if len(times) == 1 and times[0] >= 0 else None


def _only(request: bytes, tag: int, start: int, end: int) -> tuple[int, int] | None:
    """Where the value of a message's only field stands."""
    found = list(_fields(request, start, end))
    return found[0][1:] if len(found) == 1 and found[0][0] == tag else None


def _fields(request: bytes, at: int, end: int) -> Iterator[_Field]:
    """The fields of a message that was parsed, so that it is one."""
    while at < end:
        tag, at = _number(request, at)
        kind = tag & 7
        if kind == _VARINT:
            _, behind = _number(request, at)
        elif kind == _LENGTH:
            length, at = _number(request, at)
            behind = at + length
        elif kind in (_FIXED_64, _FIXED_32):
            behind = at + (8 if kind == _FIXED_64 else 4)
        else:
            # Groups: nobody sends any. An end that no tag has: nothing is taken for known.
            yield -1, at, end
            return
        yield tag, at, behind
        at = behind


def _number(request: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = request[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
