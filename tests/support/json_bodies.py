"""Hypothesis strategies for JSON bodies by descriptor: mostly right, often nearly right."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

TYPE = "type.googleapis.com/"

_BYTES = ["", "YQ", "YQ==", "YQ=", "_-8", "/+8=", "***", "Y Q==", "a"]
_INTEGERS = [
    *(0, 1, -1, 1.0, -0.0, 1.5, 1e3, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63, 2**64),
    *("0", "-0", "1", "01", "+1", "1_0", " 1", "1.0", "1e3", "", "0x1", "NaN", "\u0661"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "1" * 30),
]
_FLOATS = [
    *(*_INTEGERS, 0.5, 1e39, 1e300, 5e-324, 1e-50, "0.5", "-Infinity", "nan", "inf", "-NaN"),
    *("1e400", "3.5e38", "1.", ".5", "1e-50"),
]
_TEXTS = ["", "a", "ä€😀", "\ud800", "\0\n\u2028", "null", "</script>"]
_ENUMS = [
    *("SMALL", "LARGE", "minus", "small", "Minus", "HUGE", "", "1", "-1", "77", "1_0", "1.0", " 1"),
    *(0, 1, -1, 77, 1.0, 1.5, 2**31, -(2**31), 2**63),
]
_BY_TYPE: dict[str, list[Any]] = {
    "google.protobuf.Timestamp": [
        *("2030-01-31T12:00:00Z", "2030-01-31T12:00:00.5+01:00", "2030-1-1T0:0:0Z", "noon", ""),
        *("2030-01-31T12:00:00+25:00", "2030-02-30T12:00:00Z", "2030-01-31t12:00:00z"),
        *("0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"),
        *("2030-01-31T12:00:00.1234567891Z", "2030-01-31T12:00:60Z", "9999-12-31T23:59:59-01:00"),
    ],
    "google.protobuf.Duration": [
        *("0s", "1s", "-1.5s", "1.s", ".5s", "+1s", "1_0s", " 1s", "1", "1e3s", "1.1234567891s"),
        *("315576000000s", "315576000001s", "-0.000000001s", "s", "-s", "1.-5s"),
    ],
    "google.protobuf.FieldMask": ["", "a", "a.bC,d", "a_b", "A", ",", "a,,b", "a b", "a__b", "_a"],
    "google.protobuf.StringValue": _TEXTS,
    "google.protobuf.Int64Value": _INTEGERS,
    "google.protobuf.BoolValue": [True, False, "true", 1],
}
_BY_KIND: dict[int, list[Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: [True, False, "true", 1],
    FieldDescriptor.CPPTYPE_DOUBLE: _FLOATS,
    FieldDescriptor.CPPTYPE_FLOAT: _FLOATS,
    FieldDescriptor.CPPTYPE_ENUM: _ENUMS,
}
# What may stand for a value of any type, right or wrong.
LEAVES: list[Any] = [
    *(None, True, False, *_BYTES, *_FLOATS, *_TEXTS, *_ENUMS),
    *(text for texts in _BY_TYPE.values() for text in texts),
]
_KEYS: dict[int, list[str]] = {
    FieldDescriptor.CPPTYPE_BOOL: ["true", "false", "True", "1", ""],
    FieldDescriptor.CPPTYPE_INT32: ["1", "2", "-1", "01", "+1", "1_0", " 1", "1.0", "-0", "x"],
    FieldDescriptor.CPPTYPE_STRING: ["", "a", "b", "ä"],
}
_WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1.5, "", "x", [], {}, [None], {"a": 1}, [[]]]
)
_FREE = st.recursive(
    st.sampled_from([None, True, 0, 1.5, 1e300, "", "a", "\ud800"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def bodies(draw: st.DrawFn, message: Descriptor, depth: int = 2) -> dict[str, Any]:
    """A JSON object of the message's fields, by either of their names, seldom of others."""
    body = {}
    for field in draw(st.lists(st.sampled_from(list(message.fields)), max_size=3)):
        name = draw(st.sampled_from([field.name, field.json_name]))
        body[name] = draw(_WRONG if draw(_seldom()) else _field(field, depth))
    if draw(_seldom()):
        body[draw(st.sampled_from(["nope", "@type", "", "[a.b]"]))] = draw(_WRONG)
    return body


def _seldom() -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * 15 + [True])


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        key, value = nested.fields_by_name["key"], nested.fields_by_name["value"]
        keys = st.sampled_from(_KEYS[key.cpp_type])
        return st.dictionaries(keys, _element(value, depth), max_size=2)
    if field.is_repeated:
        return st.lists(_element(field, depth), max_size=2)
    return _element(field, depth)


def _element(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    nested = field.message_type
    if nested is None:
        return st.sampled_from(_scalars(field))
    if nested.full_name in _BY_TYPE:
        return st.sampled_from(_BY_TYPE[nested.full_name])
    if nested.full_name == "google.protobuf.Any":
        return _any(field.containing_type, depth)
    if nested.full_name.startswith("google.protobuf."):
        return _FREE
    return bodies(nested, depth - 1) if depth else st.just({})


def _scalars(field: FieldDescriptor) -> list[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _BYTES
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _TEXTS
    return _BY_KIND.get(field.cpp_type, _INTEGERS)


def _any(message: Any, depth: int) -> st.SearchStrategy[Any]:
    """An Any that holds the message that it is a field of, or a type with JSON of its own."""
    kind = st.sampled_from(
        [TYPE + message.full_name] * 4 + [message.full_name, "a.com/" + message.full_name, TYPE]
    )
    inner = bodies(message, depth - 1) if depth else st.just({})
    plain = st.builds(lambda url, members: {"@type": url, **members}, kind, inner)
    name = "google.protobuf.Duration"
    special = st.fixed_dictionaries(
        {"@type": st.just(TYPE + name)},
        optional={"value": st.sampled_from(_BY_TYPE[name]), "x": st.just(1)},
    )
    return st.one_of(st.just({}), plain, special)
