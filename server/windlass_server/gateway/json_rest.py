"""What is left of a JSON body when the fields that are refused are taken out of it.

Whoever judges the rest can then say what else is wrong with the request. Of a list nothing is left
when one of its elements is refused: the others would move.
"""

from collections.abc import Collection
from typing import Any

from protobuf import DescMessage

from windlass_server.gateway.errors import ancestors
from windlass_server.gateway.schema import FieldInfo, Schema, Shape


def rest_of(
    schema: Schema, message: DescMessage, value: dict[str, Any], refused: Collection[str]
) -> dict[str, Any]:
    """A copy of the message's JSON without the fields of these paths, and without unknown ones."""
    return _Rest(schema, refused).of(message, value, "")


class _Rest:
    def __init__(self, schema: Schema, refused: Collection[str]) -> None:
        self._schema = schema
        self._refused = frozenset(refused)
        self._above = ancestors(refused)

    def of(self, message: DescMessage, value: dict[str, Any], prefix: str) -> dict[str, Any]:
        names = self._schema.fields(message)
        rest = {}
        for key, item in value.items():
            info = names.get(key)
            path = prefix + info.field.name if info is not None else ""
            if info is None or path in self._refused:
                continue
            if path not in self._above:
                rest[key] = item
            elif info.object is not None:
                rest[key] = self._below(info, info.object, item, path)
        return rest

    def _below(self, info: FieldInfo, message: DescMessage, item: Any, path: str) -> Any:
        """What is left of a field's messages; None, which is as good as unset, when nothing is."""
        if info.shape is Shape.ONE:
            return self._one(message, item, path)
        if info.shape is Shape.MAP and isinstance(item, dict):
            left = {key: self._one(message, each, f"{path}[{key}]") for key, each in item.items()}
            return {key: each for key, each in left.items() if each is not None}
        if isinstance(item, list):
            elements = [self._one(message, each, f"{path}[{i}]") for i, each in enumerate(item)]
            return None if None in elements else elements
        return None

    def _one(self, message: DescMessage, item: Any, path: str) -> Any:
        if path in self._refused or not isinstance(item, dict):
            return None
        return self.of(message, item, path + ".") if path in self._above else item
