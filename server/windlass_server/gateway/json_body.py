"""JSON bodies as messages, strictly.

The native parser does nearly all. What it lets through is closed by a look at the parsed JSON
first: duplicate keys, a field under both of its names, two members of one oneof, and integers that
only Python would read (`"1_000"`). When it refuses, the JSON is normalised by descriptor (enum
names in any case, field masks in proto names) and parsed once more; only then is the error
searched for, so that it names its field.
"""

import json
import math
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NoReturn

from protobuf import DescMessage, Message

from windlass_server.gateway.errors import (
    RESOURCE_EXHAUSTED,
    Refusal,
    Violation,
    ancestors,
    bad_fields,
    bad_request,
)
from windlass_server.gateway.json_check import Checker, Found, too_deep
from windlass_server.gateway.json_locate import locate
from windlass_server.gateway.json_repair import normalise
from windlass_server.gateway.json_rest import rest_of
from windlass_server.gateway.schema import Schema

# Characters of JSON up to which wrong fields are searched for: each probe parses a part again.
LOCATE_LIMIT = 65536

# Objects and lists in one body.
_MOST_CONTAINERS = 100_000
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)

_WHOLE = Violation("", "the body does not fit the message")

PARSE_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)


class _Refused(ValueError):
    """A JSON text that is refused, by the reason for programs."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("DUPLICATE_KEY", f"the key {_twice(pairs)!r} is given twice in one object")
    return members


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """The first name that comes again."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("every name comes once")


def _no_constant(text: str) -> NoReturn:
    raise _Refused("MALFORMED_JSON", f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("MALFORMED_JSON", "the body has a number that no double can hold")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)


class JsonReader:
    """Reads JSON texts as messages."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._checker = Checker(schema)

    def read(self, message: DescMessage, body: bytes, field: str = "") -> Message:
        """Read the whole body as the message, or as the value of one of its fields.

        Raises:
            Refusal: INVALID_ARGUMENT with the fields that are wrong.
        """
        if len(body) > 2 * _MOST_CONTAINERS:  # it may have so many
            _limit_containers(body)
        text, value = _parse(body)
        if field:
            text, value = f'{{"{field}":{text}}}', {field: value}
        elif not isinstance(value, dict):
            raise bad_request("MALFORMED_JSON", "the body must be a JSON object")
        found = self._checker.check(message, value)
        if found:
            raise self._refusal(message, value, text, found)
        try:
            return message.type.from_json(text, registry=self._schema.registry)
        except PARSE_ERRORS:
            return self._read_normalised(message, value, text)

    def _read_normalised(self, message: DescMessage, value: dict[str, Any], text: str) -> Message:
        normal = normalise(self._schema, message, value)
        try:
            return message.type.from_json(json.dumps(normal), registry=self._schema.registry)
        except PARSE_ERRORS:
            raise self._refusal(message, normal, text, []) from None

    def _refusal(
        self, message: DescMessage, value: dict[str, Any], text: str, found: Found
    ) -> Refusal:
        """The refusal that names every wrong field; of a large body only what was found so far."""
        reason = found[0][0] if found else "INVALID_FIELD_VALUE"
        violations = {each.field: replace(each, reason=why) for why, each in found}
        if len(text) > LOCATE_LIMIT:
            return bad_fields(reason, list(violations.values()) or [_WHOLE])
        normal = normalise(self._schema, message, value)
        above = ancestors(violations)
        for violation in locate(self._schema, message, normal):
            if violation.field not in above:
                wrong = replace(violation, reason="INVALID_FIELD_VALUE")
                violations.setdefault(violation.field, wrong)
        refusal = bad_fields(reason, list(violations.values()) or [_WHOLE])
        refusal.rest = self._rest(message, normal, violations)
        return refusal

    def _rest(
        self, message: DescMessage, value: dict[str, Any], refused: Collection[str]
    ) -> bytes | None:
        """The message without the refused fields; None when it cannot be told."""
        if not refused:
            return None
        text = json.dumps(rest_of(self._schema, message, value, refused))
        try:
            return message.type.from_json(text, registry=self._schema.registry).to_binary()
        except PARSE_ERRORS:
            return None


def _limit_containers(body: bytes) -> None:
    """Raise Refusal (413) for a body of more objects and lists than one may have.

    The parser makes messages of them, up to 6 us each, and everybody else waits meanwhile.
    """
    if body.count(b"{") + body.count(b"[") <= _MOST_CONTAINERS:
        return
    outside = _STRING.sub(b"", body)
    if outside.count(b"{") + outside.count(b"[") > _MOST_CONTAINERS:
        message = f"the body has more than {_MOST_CONTAINERS} objects and lists"
        raise Refusal(RESOURCE_EXHAUSTED, "BODY_TOO_COMPLEX", message, http_status=413)


def _parse(body: bytes) -> tuple[str, Any]:
    """The body as text and as Python values; raises Refusal."""
    try:
        text = body.decode("utf-8")
        return text, _DECODER.decode(text)
    except UnicodeDecodeError:
        raise bad_request("MALFORMED_JSON", "the body is not valid UTF-8") from None
    except _Refused as error:
        reason, message = error.args
        raise bad_request(reason, message) from None
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as error:
        raise bad_request("MALFORMED_JSON", f"the body is not JSON: {error}") from None
    except ValueError:  # what Python says of integers with thousands of digits
        raise bad_request("MALFORMED_JSON", "the body has a number that is too long") from None
