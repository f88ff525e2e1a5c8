"""The second look at JSON that the native parser refused: what may be meant."""

from collections.abc import Callable
from typing import Any

from protobuf import DescEnum, DescMessage

from windlass_server.gateway.schema import ANY, FIELD_MASK, SPECIAL, FieldInfo, Schema, Shape
from windlass_server.gateway.values import INTEGER


def normalise(schema: Schema, message: DescMessage, value: dict[str, Any]) -> dict[str, Any]:
    """A copy in which enum names have their declared case and field masks have JSON names."""
    names = schema.fields(message)
    return {
        key: _each(names[key], item, lambda info, each: _normal(schema, info, each))
        if key in names
        else item
        for key, item in value.items()
    }


def _each(info: FieldInfo, item: Any, change: Callable[[FieldInfo, Any], Any]) -> Any:
    """The value of a field with each of its elements changed."""
    if info.shape is Shape.LIST:
        return [change(info, each) for each in item] if isinstance(item, list) else item
    if info.shape is Shape.MAP:
        if not isinstance(item, dict):
            return item
        return {key: change(info, each) for key, each in item.items()}
    return change(info, item)


def _normal(schema: Schema, info: FieldInfo, item: Any) -> Any:
    if isinstance(item, dict):
        inner = members(schema, info, item)
        return {**item, **normalise(schema, *inner)} if inner else item
    if not isinstance(item, str):
        return item
    if isinstance(info.value, DescEnum):
        if INTEGER.fullmatch(item):
            return int(item)
        number = schema.enum_value(info.value, item)
        return item if number is None else number
    if info.text == FIELD_MASK:
        return ",".join(map(_camel, item.split(",")))
    return item


def members(
    schema: Schema, info: FieldInfo, item: dict[str, Any]
) -> tuple[DescMessage, dict[str, Any]] | None:
    """The message that an object is the JSON of, and its members; None when it has no fields."""
    if info.object is not None:
        return info.object, item
    content = schema.content(item) if info.free == ANY else None
    return content if content and content[0].type_name not in SPECIAL else None


def _camel(path: str) -> str:
    """A field path in JSON names."""
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
