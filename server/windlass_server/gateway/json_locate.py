"""Which fields of a JSON text the native parser refuses: it says only that it does, so it is asked again.

A value that is refused is tried by itself, and what is in it, until the parts that are wrong are found.
Each level of nesting is tried once more, so what is tried altogether is bounded.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from protobuf import DescMessage

from windlass_server.gateway.errors import MAX_VIOLATIONS, Violation
from windlass_server.gateway.json_repair import members
from windlass_server.gateway.schema import FieldInfo, Schema, Shape
from windlass_server.gateway.values import expected

# Characters of JSON that are tried for one body.
_TRIED = 1 << 20
_MISSING = re.compile(r"cannot encode (\S+) to binary: required field not set")


def locate(schema: Schema, message: DescMessage, value: dict[str, Any]) -> list[Violation]:
    """Which fields the native parser refuses by themselves; perhaps none, and not all of many."""
    search = _Search(schema)
    try:
        search.members(message, value, "")
    except _Enough:
        return search.found
    return search.found


class _Enough(Exception):
    """The end of a search that takes too long, or has found more than is told."""


class _Search:
    def __init__(self, schema: Schema) -> None:
        self.found: list[Violation] = []
        self._schema = schema
        self._left = _TRIED

    def members(self, message: DescMessage, value: dict[str, Any], prefix: str) -> None:
        """Search the members of an object."""
        names = self._schema.fields(message)
        for key, item in value.items():
            info = names.get(key)
            if info is None or self._parses(message, {key: item}):
                continue
            before = len(self.found)
            self._elements(message, info, key, item, prefix)
            if len(self.found) == before:
                self._wrong(prefix + info.field.name, _expected(info))

    def _elements(
        self, message: DescMessage, info: FieldInfo, key: str, item: Any, prefix: str
    ) -> None:
        """Search the parts of a refused value."""
        for name, each, alone in _elements(info, item):
            inner = members(self._schema, info, each) if isinstance(each, dict) else None
            if inner is not None:
                self.members(*inner, f"{prefix}{name}.")
            elif info.shape is not Shape.ONE and not self._parses(message, {key: alone}):
                self._wrong(prefix + name, expected(info.value))

    def _wrong(self, field: str, wanted: str) -> None:
        if len(self.found) >= MAX_VIOLATIONS:
            raise _Enough
        self.found.append(Violation(field, f"must be {wanted}"))

    def _parses(self, message: DescMessage, value: dict[str, Any]) -> bool:
        text = json.dumps(value)
        self._left -= len(text)
        if self._left < 0:
            raise _Enough
        try:
            message.type.from_json(text, registry=self._schema.registry).to_binary()
        except Exception as error:
            return missing_field(error) is not None
        return True


def _elements(info: FieldInfo, item: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each element with its path and the value that holds it alone."""
    key = info.field.name
    if info.shape is Shape.ONE:
        yield key, item, item
    elif info.shape is Shape.LIST and isinstance(item, list):
        yield from ((f"{key}[{index}]", each, [each]) for index, each in enumerate(item))
    elif info.shape is Shape.MAP and isinstance(item, dict):
        yield from ((f"{key}[{name}]", each, {name: each}) for name, each in item.items())


def missing_field(error: Exception) -> str | None:
    """The name of the required field (of proto2) that the serializer misses, if that is its error."""
    found = _MISSING.fullmatch(str(error))
    return found[1] if found else None


def _expected(info: FieldInfo) -> str:
    if info.shape is Shape.LIST:
        return f"a list, each element {expected(info.value)}"
    if info.shape is Shape.MAP:
        return f"an object, each value {expected(info.value)}"
    return expected(info.value)
