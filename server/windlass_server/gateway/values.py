"""Text of paths and queries as field values: ProtoJSON's text forms without their quotes."""

import json
import re
from collections.abc import Callable
from typing import Any

from protobuf import DescEnum, DescMessage, Message, ScalarType
from protobuf.wkt import (
    BytesValue,
    DoubleValue,
    FloatValue,
    Int32Value,
    Int64Value,
    UInt32Value,
    UInt64Value,
)

from windlass_server.gateway.schema import (
    FIELD_MASK,
    INTEGERS,
    TEXTS,
    TIMESTAMP,
    WRAPPERS,
    FieldInfo,
    Schema,
    Shape,
)

Reader = Callable[[str], Any]

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
_CAMEL = re.compile(r"[A-Z]")
_MASK_NAME = r"_?[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*"
_MASK_PATH = re.compile(rf"{_MASK_NAME}(\.{_MASK_NAME})*")

# Types whose JSON parser reads the scalar's text form and checks its range.
_PARSERS: dict[ScalarType, type[Message]] = {
    ScalarType.BYTES: BytesValue,
    ScalarType.DOUBLE: DoubleValue,
    ScalarType.FLOAT: FloatValue,
    ScalarType.INT32: Int32Value,
    ScalarType.SINT32: Int32Value,
    ScalarType.SFIXED32: Int32Value,
    ScalarType.INT64: Int64Value,
    ScalarType.SINT64: Int64Value,
    ScalarType.SFIXED64: Int64Value,
    ScalarType.UINT32: UInt32Value,
    ScalarType.FIXED32: UInt32Value,
    ScalarType.UINT64: UInt64Value,
    ScalarType.FIXED64: UInt64Value,
}
_EXPECTED = {
    ScalarType.BOOL: "true or false",
    ScalarType.BYTES: "base64",
    ScalarType.STRING: "a string of valid UTF-8",
    ScalarType.DOUBLE: "a number",
    ScalarType.FLOAT: "a number in the range of a 32-bit float",
}
_EXPECTED_MESSAGES = {
    "google.protobuf.Timestamp": "an RFC 3339 time such as 2030-01-31T12:00:00Z",
    "google.protobuf.Duration": "seconds such as 1.5s",
    "google.protobuf.FieldMask": "field paths separated by commas",
}


def expected(value: ScalarType | DescEnum | DescMessage) -> str:
    """What a value of this type has to be, in words that follow `must be`."""
    if isinstance(value, DescEnum):
        names = ", ".join(each.name for each in value.values[:16])
        return f"one of {names}" + (", ..." if len(value.values) > 16 else "")
    if isinstance(value, DescMessage):
        if value.type_name in WRAPPERS:
            return expected(_wrapped(value))
        return _EXPECTED_MESSAGES.get(value.type_name, "an object")
    if value in INTEGERS:
        sign = "an unsigned" if value.name.startswith(("UINT", "FIXED")) else "a signed"
        return f"{sign} {value.name[-2:]}-bit integer"
    return _EXPECTED[value]


def text_reader(schema: Schema, info: FieldInfo) -> Reader | None:
    """A function from text to a value of the field, or to one element when it is repeated.

    It raises ValueError when the text is none. None instead of a function: the field's values have
    no text form (messages and maps).
    """
    if info.shape is Shape.MAP:
        return None
    return _reader(schema, info.value)


def _reader(schema: Schema, value: ScalarType | DescEnum | DescMessage) -> Reader | None:
    if isinstance(value, DescEnum):
        return _enum_reader(schema, value)
    if isinstance(value, DescMessage):
        return _message_reader(schema, value)
    if value is ScalarType.STRING:
        return str
    if value is ScalarType.BOOL:
        return _bool
    return _parsed_reader(value)


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _enum_reader(schema: Schema, enum: DescEnum) -> Reader:
    def read(text: str) -> Any:
        if INTEGER.fullmatch(text):
            number = int(text)
            if not -(2**31) <= number < 2**31:
                raise ValueError(text)
            return enum.type(number)
        named = schema.enum_value(enum, text)
        if named is None:
            raise ValueError(text)
        return enum.type(named)

    return read


def _message_reader(schema: Schema, message: DescMessage) -> Reader | None:
    if message.type_name in TEXTS:
        return lambda text: _text(message, text)
    if message.type_name in WRAPPERS:
        inner = _reader(schema, _wrapped(message))
        assert inner is not None
        return lambda text: message.type(value=inner(text))
    return None


def _parsed_reader(scalar: ScalarType) -> Reader:
    """A reader of numbers and bytes that asks the JSON parser."""
    integer = scalar in INTEGERS
    parser = _PARSERS[scalar]

    def read(text: str) -> Any:
        if integer and not INTEGER.fullmatch(text):
            raise ValueError(text)
        value: Any = _from_json(parser, json.dumps(text))
        return value.value

    return read


def _from_json(parser: type[Message], text: str) -> Any:
    try:
        return parser.from_json(text)
    except (TypeError, OverflowError) as error:
        raise ValueError(text) from error


def is_text(type_name: str, text: str) -> bool:
    """Whether the text of a message that is one (`TEXTS`) is none that only the parser would take.

    That of a field mask has to be one that JSON names can tell, as `line_1` cannot: no answer could
    hold it.
    """
    if type_name == TIMESTAMP:
        return _TIME.fullmatch(text) is not None
    return type_name != FIELD_MASK or all(map(_MASK_PATH.fullmatch, _paths(text)))


def _text(message: DescMessage, text: str) -> Any:
    if not is_text(message.type_name, text):
        raise ValueError(text)
    if message.type_name == FIELD_MASK:
        return message.type(paths=_paths(text))
    return _from_json(message.type, json.dumps(text))


def _paths(text: str) -> list[str]:
    """The paths of a field mask in proto names, given in proto or JSON names."""
    paths = [_CAMEL.sub(lambda found: "_" + found[0].lower(), path) for path in text.split(",")]
    return [] if paths == [""] else paths


def _wrapped(message: DescMessage) -> ScalarType:
    """The scalar that a wrapper message wraps."""
    scalar = getattr(message.fields[0].value, "scalar", None)
    assert isinstance(scalar, ScalarType)
    return scalar
