"""What ProtoJSON forbids and the native parser takes: looked for in the parsed JSON."""

import re
from typing import Any

from protobuf import DescEnum, DescMessage

from windlass_server.gateway.errors import Refusal, Violation, bad_request
from windlass_server.gateway.fields import DEPTH_LIMIT
from windlass_server.gateway.schema import FieldInfo, Schema, Shape
from windlass_server.gateway.values import expected

# The text of an integer: JSON's own grammar, so neither `1_000` nor `+1` nor other digits.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

Found = list[tuple[str, Violation]]


class Checker:
    """Looks through parsed JSON by the descriptor of its message."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def check(self, message: DescMessage, value: dict[str, Any]) -> Found:
        """Find what is forbidden, each with its reason for programs.

        That is: unknown fields, fields given twice, two members of one oneof, integers that are not
        JSON's and enum numbers beyond 32 bits.

        Raises:
            Refusal: the nesting exceeds the limit.
        """
        found: Found = []
        self._object(message, value, "", 1, found)
        return found

    def _object(
        self, message: DescMessage, value: dict[str, Any], prefix: str, depth: int, found: Found
    ) -> None:
        if depth > DEPTH_LIMIT + 1:
            raise too_deep()
        names = self._schema.fields(message)
        seen: dict[str, str] = {}
        for key, item in value.items():
            info = names.get(key)
            if info is None:
                found.append(("UNKNOWN_FIELD", Violation(prefix + key, "there is no such field")))
                continue
            self._once(info, item, prefix + key, seen, found)
            if item is not None and not info.plain:
                self._value(info, item, prefix + key, depth, found)

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
        """Look at the value of a field that holds objects or integers."""
        if info.shape is Shape.ONE:
            self._element(info, item, path, depth, found)
        elif info.shape is Shape.LIST and isinstance(item, list):
            for index, each in enumerate(item):
                self._element(info, each, f"{path}[{index}]", depth, found)
        elif info.shape is Shape.MAP and isinstance(item, dict):
            for key, each in item.items():
                self._element(info, each, f"{path}.{key}", depth, found)

    def _element(self, info: FieldInfo, item: Any, path: str, depth: int, found: Found) -> None:
        if info.object is not None:
            if isinstance(item, dict):
                self._object(info.object, item, path + ".", depth + 1, found)
        elif not _readable(info, item):
            violation = Violation(path, f"must be {expected(info.value)}")
            found.append(("INVALID_FIELD_VALUE", violation))


def _readable(info: FieldInfo, item: Any) -> bool:
    """Whether an integer or enum value is not one that only the native parser would take."""
    if isinstance(info.value, DescEnum):
        return not isinstance(item, int) or -(2**31) <= item < 2**31
    return not isinstance(item, str) or _NUMBER.fullmatch(item) is not None


def too_deep() -> Refusal:
    """The refusal of a body whose nesting exceeds the limit."""
    return bad_request("NESTING_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels")
