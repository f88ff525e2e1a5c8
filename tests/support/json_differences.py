"""Where the gateway and `json_format` do not agree on which JSON is a message, and why.

The list is complete: whatever else the two judge differently is a defect of the gateway.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

GATEWAY = "the gateway"
PEER = "json_format"

_ANY = "google.protobuf.Any"
_FREE = {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"}
_WRAPPED = re.compile(r"google\.protobuf\.\w+Value")
_FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.A
)
_DURATION = re.compile(r"-?\d+(\.\d{0,9})?s", re.A)
_MASK = re.compile(r"[A-Za-z][A-Za-z0-9]*([.,][A-Za-z][A-Za-z0-9]*)*")
_TYPE_URL = re.compile(r"type\.googleapis\.com/[A-Za-z0-9_.]*")
_KEY = re.compile(r"0|-?[1-9][0-9]*|true|false")


@dataclass(frozen=True)
class Element:
    """A value by its place.

    Attributes:
        field: of what it is the value; None of a message.
        type: full name of its message type; empty when it is no message.
        item: the parsed JSON.
        key: whether it is a key of a map.
        twice: whether it is an object that gives a field under both of its names.
    """

    field: FieldDescriptor | None
    type: str
    item: Any
    key: bool = False
    twice: bool = False

    def kind(self, *kinds: int) -> bool:
        """Whether it is the value of a field of one of these C++ types."""
        return self.field is not None and not self.key and self.field.cpp_type in kinds


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        reason: why the gateway does not do as the peer.
        accepted_by: `GATEWAY` or `PEER`; the other one refuses.
        examples: bodies of `sample.v1.Thing`.
        applies: whether an element of a body may be judged differently for this reason.
    """

    reason: str
    accepted_by: str
    examples: tuple[str, ...]
    applies: Callable[[Element], bool]


def _odd(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, str) and pattern.fullmatch(item) is None


_odd_number, _odd_base64 = _odd(_NUMBER), _odd(_BASE64)
_odd_mask, _odd_type_url = _odd(_MASK), _odd(_TYPE_URL)
_odd_time, _odd_duration = _odd(_TIME), _odd(_DURATION)


def _too_large(item: Any) -> bool:
    """A number, or its text, that a 32-bit float (or a double) holds as infinity."""
    try:
        return isinstance(item, (str, int, float)) and abs(float(item)) >= 2.0**128
    except (ValueError, OverflowError):
        return isinstance(item, int)


DIFFERENCES = (
    Difference(
        "a caller need not know the case of an enum's names",
        GATEWAY,
        ('{"kind":"small"}', '{"kinds":["Large"]}', '{"kind_by_name":{"a":"MINUS"}}'),
        lambda e: e.kind(FieldDescriptor.CPPTYPE_ENUM) and isinstance(e.item, str),
    ),
    Difference(
        "field masks may have the proto names that all other JSON has",
        GATEWAY,
        ('{"update_mask":"a_b"}',),
        lambda e: e.type == "google.protobuf.FieldMask" and "_" in str(e.item),
    ),
    Difference(
        "a field mask that no JSON can tell could not be answered",
        PEER,
        ('{"update_mask":","}', '{"update_mask":"a b"}', '{"update_mask":"a."}'),
        lambda e: e.type == "google.protobuf.FieldMask" and _odd_mask(e.item),
    ),
    Difference(
        "an enum's number is an integer",
        PEER,
        ('{"kind":1.5}', '{"kind":true}', '{"kind":"1_0"}'),
        lambda e: e.kind(FieldDescriptor.CPPTYPE_ENUM) and not isinstance(e.item, (dict, list)),
    ),
    Difference(
        "an integer is written as JSON writes it, not as Python reads it",
        PEER,
        ('{"i64":"1_0"}', '{"i32":"+1"}', '{"u32":"01"}', '{"wrapped_number":"1_0"}'),
        lambda e: e.kind(*_INTEGERS) and _odd_number(e.item),
    ),
    Difference(
        "a number is written as JSON writes it, and a number is no truth value",
        PEER,
        ('{"f64":"1_0"}', '{"f64":" 1"}', '{"f64":"inf"}', '{"f64":"-NaN"}', '{"f64":true}'),
        lambda e: e.kind(*_FLOATS) and (_odd_number(e.item) or isinstance(e.item, bool)),
    ),
    Difference(
        "a number that its field cannot hold is refused, not made infinite",
        PEER,
        ('{"f32":"3.5e38"}', '{"f64":"1e400"}', '{"value":1e400}'),
        lambda e: _too_large(e.item),
    ),
    Difference(
        "bytes are base64",
        PEER,
        ('{"data":"***"}', '{"data":"Y Q=="}', '{"data":"YQ==x"}'),
        lambda e: (
            e.kind(FieldDescriptor.CPPTYPE_STRING)
            and e.field is not None
            and e.field.type == FieldDescriptor.TYPE_BYTES
            and isinstance(e.item, str)
        ),
    ),
    Difference(
        "a message is an object",
        PEER,
        ("[]", '""', '{"child":[]}', '{"child":""}', '{"children":[[]]}'),
        lambda e: e.type != "" and e.item in ([], ""),
    ),
    Difference(
        "a key of a map has one spelling, or one key could be given twice",
        PEER,
        ('{"by_number":{"01":"x"}}', '{"by_number":{"1":"x","+1":"y"}}'),
        lambda e: e.key and not _KEY.fullmatch(str(e.item)),
    ),
    Difference(
        "a time is RFC 3339",
        PEER,
        ('{"time":"2020-1-1T0:0:0Z"}', '{"time":"2020-01-01T00:00:00+25:00"}'),
        lambda e: e.type == "google.protobuf.Timestamp" and _odd_time(e.item),
    ),
    Difference(
        "a duration is decimal seconds",
        PEER,
        ('{"age":"+1s"}', '{"age":" 1s"}', '{"age":"1_0s"}', '{"age":"1.1234567891s"}'),
        lambda e: e.type == "google.protobuf.Duration" and _odd_duration(e.item),
    ),
    Difference(
        "of the hosts of a type only the one that is served back is taken",
        PEER,
        (
            '{"any":{"@type":"sample.v1.Thing"}}',
            '{"any":{"@type":"a.com/sample.v1.Thing"}}',
            '{"any":{"@type":"type.googleapis.com/a/sample.v1.Thing"}}',
        ),
        lambda e: (
            e.type == _ANY
            and isinstance(e.item, dict)
            and _odd_type_url(e.item.get("@type"))
        ),
    ),
    Difference(
        "an Any of a type with JSON of its own holds `value` and nothing else",
        PEER,
        (
            '{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s","x":1}}',
        ),
        lambda e: e.type == _ANY and isinstance(e.item, dict) and {"@type", "value"} < set(e.item),
    ),
    Difference(
        "a field is given once, under one of its names",
        PEER,
        ('{"oddSpelling":"a","spelled_oddly":"a"}', '{"child":{"byFlag":{},"by_flag":{}}}'),
        lambda e: e.twice,
    ),
)  # fmt: skip


def elements(pool: DescriptorPool, message: Descriptor, value: Any) -> Iterator[Element]:
    """All values in a parsed body, the body itself first."""
    name = message.full_name
    both = [{field.name, field.json_name} for field in message.fields]
    given = set(value) if isinstance(value, dict) else set()
    yield Element(None, name, value, twice=any(len(each & given) == 2 for each in both))
    if not isinstance(value, dict):
        if _WRAPPED.fullmatch(name) and name not in _FREE:
            yield Element(message.fields_by_name["value"], "", value)
        elif name in _FREE:
            yield from _free(value)
        return
    if name in _FREE:
        yield from _free(value)
        return
    fields = {field.name: field for field in message.fields}
    fields |= {field.json_name: field for field in message.fields}
    if name == _ANY:
        yield from _content(pool, value)
        return
    for key, item in value.items():
        if key in fields:
            yield from _field(pool, fields[key], item)


def _free(value: Any) -> Iterator[Element]:
    yield Element(None, "", value)
    if isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _free(each)


def _content(pool: DescriptorPool, value: dict[str, Any]) -> Iterator[Element]:
    try:
        inner = pool.FindMessageTypeByName(str(value.get("@type")).rpartition("/")[2])
    except KeyError:
        return
    special = inner.full_name.startswith("google.protobuf.")
    yield from elements(pool, inner, value.get("value") if special else value)


def _field(pool: DescriptorPool, field: FieldDescriptor, item: Any) -> Iterator[Element]:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        for key, each in item.items() if isinstance(item, dict) else ():
            yield Element(nested.fields_by_name["key"], "", key, key=True)
            yield from _element(pool, nested.fields_by_name["value"], each)
    elif field.is_repeated:
        for each in item if isinstance(item, list) else ():
            yield from _element(pool, field, each)
    else:
        yield from _element(pool, field, item)


def _element(pool: DescriptorPool, field: FieldDescriptor, item: Any) -> Iterator[Element]:
    if field.message_type is not None:
        yield from elements(pool, field.message_type, item)
    else:
        yield Element(field, "", item)
