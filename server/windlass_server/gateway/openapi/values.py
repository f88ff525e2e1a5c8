"""JSON Schemas of single values, as ProtoJSON writes them."""

from collections.abc import Callable
from typing import Any

from protobuf import ScalarType

Json = dict[str, Any]

_FLOAT_MAX = 3.4028234663852886e38
_INT32 = (-(2**31), 2**31 - 1)
_SIGNED = "^(0|-?[1-9][0-9]{0,18})$"
_UNSIGNED = "^(0|[1-9][0-9]{0,19})$"

TIMESTAMP_EXAMPLE = "2030-01-31T12:00:00Z"


def _integer(low: int, high: int, form: str) -> Json:
    return {"type": "integer", "format": form, "minimum": low, "maximum": high}


def _long(form: str, pattern: str) -> Json:
    """A 64-bit integer, which JSON numbers cannot hold in every reader: a string of digits."""
    return {"type": "string", "format": form, "pattern": pattern}


def _number(form: str, **bounds: float) -> Json:
    """A floating-point number; those that JSON has no number for are words."""
    words = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
    return {"anyOf": [{"type": "number", "format": form, **bounds}, words]}


_SCALARS: dict[ScalarType, Callable[[], Json]] = {
    ScalarType.BOOL: lambda: {"type": "boolean"},
    ScalarType.STRING: lambda: {"type": "string"},
    ScalarType.BYTES: lambda: {"type": "string", "format": "byte", "contentEncoding": "base64"},
    ScalarType.DOUBLE: lambda: _number("double"),
    ScalarType.FLOAT: lambda: _number("float", minimum=-_FLOAT_MAX, maximum=_FLOAT_MAX),
    ScalarType.INT32: lambda: _integer(*_INT32, "int32"),
    ScalarType.SINT32: lambda: _integer(*_INT32, "int32"),
    ScalarType.SFIXED32: lambda: _integer(*_INT32, "int32"),
    ScalarType.UINT32: lambda: _integer(0, 2**32 - 1, "uint32"),
    ScalarType.FIXED32: lambda: _integer(0, 2**32 - 1, "uint32"),
    ScalarType.INT64: lambda: _long("int64", _SIGNED),
    ScalarType.SINT64: lambda: _long("int64", _SIGNED),
    ScalarType.SFIXED64: lambda: _long("int64", _SIGNED),
    ScalarType.UINT64: lambda: _long("uint64", _UNSIGNED),
    ScalarType.FIXED64: lambda: _long("uint64", _UNSIGNED),
}

# Messages whose JSON is not an object of their fields; wrappers are made from their scalars.
_WELL_KNOWN: dict[str, Callable[[], Json]] = {
    "google.protobuf.Timestamp": lambda: {
        "type": "string",
        "format": "date-time",
        "examples": [TIMESTAMP_EXAMPLE],
    },
    "google.protobuf.Duration": lambda: {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$",
        "description": "Seconds, with up to nine decimals.",
        "examples": ["1.5s"],
    },
    "google.protobuf.FieldMask": lambda: {
        "type": "string",
        "pattern": r"^([A-Za-z_][A-Za-z0-9_.]*(,[A-Za-z_][A-Za-z0-9_.]*)*)?$",
        "description": "Paths of fields, separated by commas.",
    },
    "google.protobuf.Struct": lambda: {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": dict,
    "google.protobuf.ListValue": lambda: {"type": "array", "items": {}},
    "google.protobuf.Any": lambda: {
        "type": "object",
        "properties": {
            "@type": {"type": "string", "description": "The message's type, as a URL that ends in its full name."}
        },
        "additionalProperties": True,
        "description": "Any message: its fields, and its type as `@type`.",
    },
}  # fmt: skip


def scalar(kind: ScalarType) -> Json:
    """The schema of a scalar."""
    return _SCALARS[kind]()


def well_known(type_name: str) -> Json | None:
    """The schema of a well-known message with a JSON form of its own; None for all others.

    Wrappers are not here: they look like what they wrap.
    """
    make = _WELL_KNOWN.get(type_name)
    return make() if make else None


def nullable(schema: Json) -> Json:
    """The schema, or null."""
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema | {"type": [schema["type"], "null"]}
