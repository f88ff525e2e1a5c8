"""What the gateway looks up in message descriptors, prepared once per type."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Registry,
    ScalarType,
)

INTEGERS = frozenset(
    {
        ScalarType.INT32,
        ScalarType.INT64,
        ScalarType.UINT32,
        ScalarType.UINT64,
        ScalarType.SINT32,
        ScalarType.SINT64,
        ScalarType.FIXED32,
        ScalarType.FIXED64,
        ScalarType.SFIXED32,
        ScalarType.SFIXED64,
    }
)
# Messages whose JSON is not an object of their fields.
WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in (
        "Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64",
    )
)  # fmt: skip
INTEGER_WRAPPERS = frozenset(name for name in WRAPPERS if "Int" in name)
FIELD_MASK = "google.protobuf.FieldMask"
TIMESTAMP = "google.protobuf.Timestamp"
TEXTS = frozenset({FIELD_MASK, TIMESTAMP, "google.protobuf.Duration"})
ANY = "google.protobuf.Any"
STRUCT = "google.protobuf.Struct"
LIST_VALUE = "google.protobuf.ListValue"
FREE_FORM = frozenset({ANY, STRUCT, LIST_VALUE, "google.protobuf.Value"})
# The only one that the parser does not replace by this one.
TYPE_PREFIX = "type.googleapis.com/"
SPECIAL = WRAPPERS | TEXTS | FREE_FORM


class Shape(Enum):
    """How many values a field has."""

    ONE = "one"
    LIST = "list"
    MAP = "map"


@dataclass(frozen=True)
class FieldInfo:
    """A field: its shape and the type of its value, of its elements or of its map's values.

    `key` is the type of a map's keys; None for other fields.
    """

    field: DescField
    shape: Shape
    value: ScalarType | DescEnum | DescMessage
    oneof: str | None
    key: ScalarType | None = None

    @cached_property
    def integer(self) -> bool:
        """Whether its values are integers."""
        if isinstance(self.value, DescMessage):
            return self.value.type_name in INTEGER_WRAPPERS
        return self.value in INTEGERS

    @cached_property
    def object(self) -> DescMessage | None:
        """The message whose fields make up the value's JSON object; None for other values."""
        if isinstance(self.value, DescMessage) and self.value.type_name not in SPECIAL:
            return self.value
        return None

    @cached_property
    def free(self) -> str:
        """The name of its values' type when their JSON is free-form (`FREE_FORM`), else empty."""
        name = self.value.type_name if isinstance(self.value, DescMessage) else ""
        return name if name in FREE_FORM else ""

    @cached_property
    def text(self) -> str:
        """The name of its values' type when their JSON is one text (`TEXTS`), else empty."""
        name = self.value.type_name if isinstance(self.value, DescMessage) else ""
        return name if name in TEXTS else ""

    @cached_property
    def plain(self) -> bool:
        """Whether its JSON needs no look beyond what the parser does."""
        looked_at = self.object or self.integer or self.free or self.text
        strings = self.key in (None, ScalarType.STRING)
        return not looked_at and strings and not isinstance(self.value, DescEnum)


class Schema:
    """Fields and enum values by the names that callers may use; one per registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._fields: dict[str, dict[str, FieldInfo]] = {}
        self._enums: dict[str, dict[str, int]] = {}

    def fields(self, message: DescMessage) -> dict[str, FieldInfo]:
        """The message's fields, each by its proto name and by its JSON name."""
        names = self._fields.get(message.type_name)
        if names is None:
            infos = [field_info(field) for field in message.fields]
            names = {info.field.json_name: info for info in infos}
            names.update({info.field.name: info for info in infos})
            self._fields[message.type_name] = names
        return names

    def content(self, item: dict[str, Any]) -> tuple[DescMessage, dict[str, Any]] | None:
        """The type that the JSON of an `Any` names, and its members; None when it names none."""
        url = item.get("@type")
        if not isinstance(url, str) or not url.startswith(TYPE_PREFIX):
            return None
        message = self.registry.message(url.removeprefix(TYPE_PREFIX))
        if message is None:
            return None
        return message, {name: value for name, value in item.items() if name != "@type"}

    def enum_value(self, enum: DescEnum, name: str) -> int | None:
        """The number of an enum value named in any case; None when there is none."""
        numbers = self._enums.get(enum.type_name)
        if numbers is None:
            numbers = {value.name.upper(): value.number for value in reversed(enum.values)}
            numbers.update({value.name: value.number for value in enum.values})
            self._enums[enum.type_name] = numbers
        exact = numbers.get(name)
        return numbers.get(name.upper()) if exact is None else exact


def integers(scalar: ScalarType) -> range:
    """The integers that a scalar of an integer type can be."""
    bits = int(scalar.name[-2:])
    if scalar.name.startswith(("UINT", "FIXED")):
        return range(2**bits)
    return range(-(2 ** (bits - 1)), 2 ** (bits - 1))


def field_info(field: DescField) -> FieldInfo:
    """What is looked up of a field."""
    match field.value:
        case DescFieldValueList(element=element):
            return FieldInfo(field, Shape.LIST, element, None)
        case DescFieldValueMap(key=key, value=value):
            return FieldInfo(field, Shape.MAP, value, None, key)
        case DescFieldValueMessage(message=message, oneof=oneof):
            return FieldInfo(field, Shape.ONE, message, oneof.name if oneof else None)
        case DescFieldValueEnum(enum=enum, oneof=oneof):
            return FieldInfo(field, Shape.ONE, enum, oneof.name if oneof else None)
        case scalar:
            oneof = scalar.oneof
            return FieldInfo(field, Shape.ONE, scalar.scalar, oneof.name if oneof else None)
