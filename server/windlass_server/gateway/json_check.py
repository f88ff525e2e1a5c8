"""What ProtoJSON forbids and the native parser takes: looked for in the parsed JSON.

Depth is counted as protobuf's own parsers count it: messages in messages, where the entry of a map
and each of the messages that a `Struct` is made of are messages, too.
"""

import re
from typing import Any

from protobuf import DescEnum, DescMessage, ScalarType

from windlass_server.gateway.errors import Refusal, Violation, bad_request
from windlass_server.gateway.fields import DEPTH_LIMIT
from windlass_server.gateway.schema import (
    ANY,
    LIST_VALUE,
    SPECIAL,
    STRUCT,
    TYPE_PREFIX,
    FieldInfo,
    Schema,
    Shape,
    integers,
)
from windlass_server.gateway.values import INTEGER, expected, is_text

# The text of an integer: JSON's own grammar, so neither `1_000` nor `+1` nor other digits.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# One spelling for each key of a map: two would be the same key twice.
_INTEGER_KEY = re.compile(r"0|-?[1-9][0-9]{0,19}")
_BOOL_KEYS = ("true", "false")

Found = list[tuple[str, Violation]]

# What is found of one body: more than is told, so that how many there are is right for most.
_MOST_FOUND = 1000


class _Enough(Exception):
    """The end of a look at a body that has nothing but mistakes."""


class _Found(Found):
    """A list that ends the search when it is full."""

    def append(self, one: tuple[str, Violation]) -> None:
        if len(self) >= _MOST_FOUND:
            raise _Enough
        super().append(one)


class Checker:
    """Looks through parsed JSON by the descriptor of its message."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def check(self, message: DescMessage, value: dict[str, Any]) -> Found:
        """Find what is forbidden, each with its reason for programs.

        That is: unknown fields, fields given twice, two members of one oneof, integers and keys of
        maps that are not JSON's, enum numbers beyond 32 bits, and `Any`s of a foreign type.

        Raises:
            Refusal: the nesting exceeds the limit.
        """
        found = _Found()
        try:
            self._object(message, value, "", 0, found)
        except _Enough:
            return found
        return found

    def _object(
        self, message: DescMessage, value: dict[str, Any], prefix: str, depth: int, found: Found
    ) -> None:
        _limit(depth)
        names = self._schema.fields(message)
        seen: dict[str, str] = {}
        for key, item in value.items():
            info = names.get(key)
            if info is None:
                found.append(("UNKNOWN_FIELD", Violation(prefix + key, "there is no such field")))
                continue
            path = prefix + info.field.name
            self._once(info, item, path, seen, found)
            if item is not None and not info.plain:
                self._value(info, item, path, depth + 1, found)

    def _once(
        self, info: FieldInfo, item: Any, path: str, seen: dict[str, str], found: Found
    ) -> None:
        """Note the field; report it when it, or another member of its oneof, came before."""
        name = info.field.name
        if name in seen:
            found.append(("DUPLICATE_KEY", Violation(path, "is given under both of its names")))
        seen[name] = name
        if info.oneof is None or item is None:
            return
        other = seen.setdefault(f"oneof {info.oneof}", name)
        if other != name:
            found.append(("ONEOF_CONFLICT", Violation(path, f"excludes {other}, also given")))

    def _value(self, info: FieldInfo, item: Any, path: str, depth: int, found: Found) -> None:
        """Look at the value of a field that holds more than the parser can be left with."""
        if info.shape is Shape.ONE:
            self._element(info, item, path, depth, found)
        elif info.shape is Shape.LIST and isinstance(item, list):
            for index, each in enumerate(item):
                if not (info.integer and isinstance(each, int)):
                    self._element(info, each, f"{path}[{index}]", depth, found)
        elif info.shape is Shape.MAP and isinstance(item, dict):
            _limit(depth)
            for key, each in item.items():
                if wanted := _bad_key(info.key, key):
                    violation = Violation(f"{path}[{key}]", f"its key must be {wanted}")
                    found.append(("INVALID_FIELD_VALUE", violation))
                self._element(info, each, f"{path}[{key}]", depth + 1, found)

    def _element(self, info: FieldInfo, item: Any, path: str, depth: int, found: Found) -> None:
        if info.object is not None:
            if isinstance(item, dict):
                self._object(info.object, item, path + ".", depth, found)
        elif info.free:
            self._free(info, item, path, depth, found)
        elif not _readable(info, item):
            violation = Violation(path, f"must be {expected(info.value)}")
            found.append(("INVALID_FIELD_VALUE", violation))

    def _free(self, info: FieldInfo, item: Any, path: str, depth: int, found: Found) -> None:
        """Look at free-form JSON."""
        _limit(depth)
        if info.free == ANY:
            if isinstance(item, dict) and item:
                self._any(info, item, path, depth, found)
        else:
            # A Struct and a ListValue are what a Value of theirs would hold one message below it.
            _limit_value(item, depth - 1 if info.free in (STRUCT, LIST_VALUE) else depth)

    def _any(
        self, info: FieldInfo, item: dict[str, Any], path: str, depth: int, found: Found
    ) -> None:
        content = self._schema.content(item)
        if content is None:
            description = f"its @type must be {TYPE_PREFIX} and the name of a known message"
            found.append(("INVALID_FIELD_VALUE", Violation(path, description)))
            return
        message, members = content
        if message.type_name not in SPECIAL:
            self._object(message, members, path + ".", depth + 1, found)
            return
        if list(members) != ["value"]:
            description = "must hold its value as `value`, and nothing else"
            found.append(("INVALID_FIELD_VALUE", Violation(path, description)))
            return
        value = FieldInfo(info.field, Shape.ONE, message, None)
        self._element(value, members["value"], f"{path}.value", depth + 1, found)


def _limit(depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise too_deep()


def _limit_value(item: Any, depth: int) -> None:
    """Hold what a `google.protobuf.Value` at this depth contains to the limit."""
    if not isinstance(item, (dict, list)):
        return _limit(depth)
    # Of an object: the Struct, its entry and the Value in it; of a list: the ListValue, its Value.
    below = depth + (3 if isinstance(item, dict) else 2)
    _limit(below if item else depth + 1)
    for each in item.values() if isinstance(item, dict) else item:
        if isinstance(each, (dict, list)):
            _limit_value(each, below)
    return None


def _bad_key(kind: ScalarType | None, key: str) -> str:
    """What a key of a map has to be, when it is not; else empty."""
    if kind in (None, ScalarType.STRING):
        return ""
    if kind is ScalarType.BOOL:
        return "" if key in _BOOL_KEYS else "true or false"
    return "" if _INTEGER_KEY.fullmatch(key) and int(key) in integers(kind) else expected(kind)


def _readable(info: FieldInfo, item: Any) -> bool:
    """Whether a value of some types is not one that only the native parser would take."""
    if isinstance(info.value, DescEnum):
        number = int(item) if isinstance(item, str) and INTEGER.fullmatch(item) else item
        return not isinstance(number, int) or -(2**31) <= number < 2**31
    if not isinstance(item, str):
        return True
    return is_text(info.text, item) and (not info.integer or _NUMBER.fullmatch(item) is not None)


def too_deep() -> Refusal:
    """The refusal of a body whose nesting exceeds the limit."""
    return bad_request("NESTING_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels")
