"""The second look at JSON that the native parser refused: what may be meant, and what is wrong."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from protobuf import DescEnum, DescMessage

from windlass_server.gateway.errors import Violation
from windlass_server.gateway.schema import ANY, FIELD_MASK, SPECIAL, FieldInfo, Schema, Shape
from windlass_server.gateway.values import INTEGER, expected

_MISSING = re.compile(r"cannot encode (\S+) to binary: required field not set")


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
        inner = _members(schema, info, item)
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


def _members(
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


def locate(schema: Schema, message: DescMessage, value: dict[str, Any]) -> list[Violation]:
    """Which fields the native parser refuses by themselves; perhaps none."""
    return list(_wrong(schema, message, value, ""))


def _wrong(
    schema: Schema, message: DescMessage, value: dict[str, Any], prefix: str
) -> Iterator[Violation]:
    names = schema.fields(message)
    for key, item in value.items():
        if key not in names or _parses(schema, message, {key: item}):
            continue
        info = names[key]
        inner = list(_wrong_elements(schema, message, info, key, item, prefix))
        description = f"must be {_expected(info)}"
        yield from inner or [Violation(prefix + info.field.name, description)]


def _wrong_elements(
    schema: Schema, message: DescMessage, info: FieldInfo, key: str, item: Any, prefix: str
) -> Iterator[Violation]:
    """The parts of a refused value that are refused by themselves."""
    for name, each, alone in _elements(info, item):
        inner = _members(schema, info, each) if isinstance(each, dict) else None
        if inner is not None:
            yield from _wrong(schema, *inner, f"{prefix}{name}.")
        elif info.shape is not Shape.ONE and not _parses(schema, message, {key: alone}):
            yield Violation(prefix + name, f"must be {expected(info.value)}")


def _elements(info: FieldInfo, item: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each element with its path and the value that holds it alone."""
    key = info.field.name
    if info.shape is Shape.ONE:
        yield key, item, item
    elif info.shape is Shape.LIST and isinstance(item, list):
        yield from ((f"{key}[{index}]", each, [each]) for index, each in enumerate(item))
    elif info.shape is Shape.MAP and isinstance(item, dict):
        yield from ((f"{key}[{name}]", each, {name: each}) for name, each in item.items())


def _parses(schema: Schema, message: DescMessage, value: dict[str, Any]) -> bool:
    try:
        message.type.from_json(json.dumps(value), registry=schema.registry).to_binary()
    except Exception as error:
        return missing_field(error) is not None
    return True


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
