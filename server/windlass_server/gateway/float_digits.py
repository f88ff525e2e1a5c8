"""Floats of 32 bits in the fewest digits that mean them, as all other printers of ProtoJSON show them.

The native printer shows a float as the double that it is equal to: 0.1 as 0.10000000149011612.
"""

import math
import struct
from functools import cache
from typing import Any

from protobuf import DescMessage, ScalarType

from windlass_server.gateway.schema import FieldInfo, Shape, field_info

_WRAPPER = "google.protobuf.FloatValue"
_FLOAT = struct.Struct("<f")


@cache
def has_floats(message: DescMessage) -> bool:
    """Whether a message of the type may hold floats of 32 bits, at any depth."""
    seen: set[str] = set()
    pending = [message]
    while pending:
        one = pending.pop()
        if one.type_name in seen:
            continue
        seen.add(one.type_name)
        for info in map(field_info, one.fields):
            if _is_float(info):
                return True
            if isinstance(info.value, DescMessage):
                pending.append(info.value)
    return False


def shorten(message: DescMessage, value: Any) -> Any:
    """The JSON of a message of the type, under proto or JSON names, with its floats shortened.

    Objects are changed in place.
    """
    if isinstance(value, float) and message.type_name == _WRAPPER:
        return short(value)
    if isinstance(value, dict):
        for info in _infos(message):
            for name in {info.field.name, info.field.json_name}:
                if name in value:
                    value[name] = _each(info, value[name])
    return value


def _each(info: FieldInfo, value: Any) -> Any:
    if info.shape is Shape.LIST:
        return [_one(info, each) for each in value]
    if info.shape is Shape.MAP:
        return {key: _one(info, each) for key, each in value.items()}
    return _one(info, value)


def _one(info: FieldInfo, value: Any) -> Any:
    if _is_float(info):
        return short(value) if isinstance(value, float) else value
    return shorten(info.object, value) if info.object is not None else value


@cache
def _infos(message: DescMessage) -> tuple[FieldInfo, ...]:
    """The fields that may hold floats."""
    infos = map(field_info, message.fields)
    return tuple(
        info
        for info in infos
        if _is_float(info) or (info.object is not None and has_floats(info.object))
    )


def _is_float(info: FieldInfo) -> bool:
    if isinstance(info.value, DescMessage):
        return info.value.type_name == _WRAPPER
    return info.value is ScalarType.FLOAT


def short(value: float) -> float:
    """The double of the fewest digits that is this float, once it has 32 bits."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 9):
        candidate = float(f"{value:.{digits}g}")
        if _FLOAT.unpack(_FLOAT.pack(candidate))[0] == value:
            return candidate
    return float(f"{value:.9g}")
