"""Buckets as bytes for the database: columns whose bytes lie in planes, compressed.

A value is kept to the seven digits of a float32, four times as small as rows of numbers would be. The bytes of
a column are sorted by their significance first, since exponents hardly change and zlib then sees
that (as Blosc's "shuffle" does). A segment of eight GPUs over five minutes takes about 1.5 KiB.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from windlass_server.telemetry.rollup import LARGEST, Columns, Rollup

_VERSION = 1
# version, bytes of names, buckets, subjects
_HEAD = struct.Struct("<BIII")
_SEPARATOR = "\0"
_MICROS = 1_000_000
_FLOATS = 4
_COMPRESSION = 1


def encode(rollup: Rollup) -> bytes:
    """A rollup whose buckets begin at whole seconds, within a century of each other."""
    names = _SEPARATOR.join(rollup.subjects).encode()
    seconds = rollup.starts // _MICROS
    head = _HEAD.pack(_VERSION, len(names), len(seconds), len(rollup.subjects))
    parts = [
        head,
        names,
        int(seconds[0]).to_bytes(8, "little", signed=True),
        _planes((seconds - seconds[0]).astype("<u4")),
        _planes(np.minimum(rollup.columns.number, 0xFFFFFFFF).astype("<u4")),
    ]
    floats = rollup.columns[1:]
    parts += [_planes(np.clip(column, -LARGEST, LARGEST).astype("<f4")) for column in floats]
    return zlib.compress(b"".join(parts), _COMPRESSION)


def decode(data: bytes) -> Rollup:
    """What `encode` was given; ValueError when it is of another version."""
    raw = zlib.decompress(data)
    version, name_bytes, buckets, columns = _HEAD.unpack_from(raw)
    if version != _VERSION:
        message = f"telemetry segments of version {version} are unknown here"
        raise ValueError(message)
    at = _HEAD.size
    subjects = tuple(raw[at : at + name_bytes].decode().split(_SEPARATOR))
    at += name_bytes
    first = int.from_bytes(raw[at : at + 8], "little", signed=True)
    at += 8
    starts = _from_planes(raw, at, buckets, "<u4").astype(np.int64)
    at += 4 * buckets
    shape, size = (columns, buckets), 4 * buckets * columns
    count = _from_planes(raw, at, buckets * columns, "<u4").astype(np.int64).reshape(shape).T
    floats = [
        _from_planes(raw, at + size * number, buckets * columns, "<f4")
        .astype(float)
        .reshape(shape)
        .T
        for number in range(1, _FLOATS + 1)
    ]
    return Rollup(subjects, (starts + first) * _MICROS, Columns(count, *floats))


def _planes(column: NDArray[np.uint32] | NDArray[np.float32]) -> bytes:
    # By subject first: a value resembles the one before it of the same thing.
    flat = np.ascontiguousarray(column.T).reshape(-1)
    return flat.view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_planes(raw: bytes, at: int, values: int, kind: str) -> NDArray[np.uint32]:
    planes = np.frombuffer(raw, np.uint8, 4 * values, at).reshape(4, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind)
