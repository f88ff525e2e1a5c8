"""Path and query parameters as fields of the request message.

A parameter is named by the dotted path of a field, each part by its proto or its JSON name. What
the path or the body binds is not to be had from the query, and what is unknown is refused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from protobuf import DescMessage, Message, ScalarType

from windlass_server.gateway.errors import Violation, bad_request
from windlass_server.gateway.fields import (
    FieldPath,
    OneofConflict,
    UnknownField,
    assign,
    lookup,
    resolve,
)
from windlass_server.gateway.percent import MalformedEscape, decode_form
from windlass_server.gateway.schema import Schema, Shape
from windlass_server.gateway.values import Reader, expected, text_reader

_LENGTH_DELIMITED = 2
# Parameters of one binding whose fields are kept by their names.
_KNOWN = 256
# The largest number that protobuf encodes as itself, in one byte.
_ONE_BYTE = 127


class ParameterError(ValueError):
    """A template that binds a variable to what cannot hold it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field that can be given as text."""

    path: FieldPath
    read: Reader


class _Refused(ValueError):
    """One parameter that is refused, with the reason for programs."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(description)
        self.reason = reason
        self.description = description

    def violation(self, name: str) -> Violation:
        """What is wrong with the parameter of that name."""
        return Violation(name, self.description, self.reason)


class PathParameters:
    """The variables of one path template."""

    def __init__(self, schema: Schema, message: DescMessage, names: Sequence[str]) -> None:
        """Resolve the variables; raises ParameterError for a field that no path can hold."""
        self._parameters = [_path_parameter(schema, message, name) for name in names]
        self.names = frozenset(parameter.path.name for parameter in self._parameters)
        self._tags = [_string_tag(parameter.path) for parameter in self._parameters]

    def serialized(self, values: Sequence[str]) -> bytes | None:
        """The request that has these values and nothing else; None when it has to be bound.

        Nearly all of what a GET asks for is strings, and their encoding is a tag, a length and UTF-8.
        """
        parts = []
        for tag, text in zip(self._tags, values, strict=True):
            value = text.encode()
            if tag is None or len(value) > _ONE_BYTE:
                return None
            if value:
                parts.append(b"%c%c%s" % (tag, len(value), value))
        return b"".join(parts)

    def bind(self, message: Message, values: Sequence[str]) -> list[Violation]:
        """Set the variables' fields; returns what is wrong with them, or denied by the body."""
        refused = []
        for parameter, text in zip(self._parameters, values, strict=True):
            try:
                _bind_variable(message, parameter, text)
            except _Refused as error:
                refused.append(error.violation(parameter.path.name))
        return refused


def _bind_variable(message: Message, parameter: Parameter, text: str) -> None:
    path = parameter.path
    try:
        value = parameter.read(text)
    except ValueError:
        raise _Refused("INVALID_FIELD_VALUE", f"must be {expected(path.leaf.value)}") from None
    present = lookup(message, path)
    try:
        assign(message, path, value)
    except OneofConflict as other:
        description = f"the path sets it and the request also sets {other}"
        raise _Refused("ONEOF_CONFLICT", description) from None
    if present is not None and present != value:
        raise _Refused("CONFLICTING_VALUES", "the body and the path give different values")


def _string_tag(path: FieldPath) -> int | None:
    """The tag of a field whose value is a string without presence, when it is one byte; else None."""
    info = path.leaf
    if path.parents or info.value is not ScalarType.STRING:
        return None
    if info.field.presence.name != "IMPLICIT":
        return None
    tag = info.field.number << 3 | _LENGTH_DELIMITED
    return tag if tag <= _ONE_BYTE else None


def _path_parameter(schema: Schema, message: DescMessage, name: str) -> Parameter:
    try:
        path = resolve(schema, message, name)
    except UnknownField:
        raise ParameterError(f"{message.type_name} has no field {name}") from None
    if path.name != name:
        raise ParameterError(f"{message.type_name}.{name}: a path names it {path.name}")
    read = text_reader(schema, path.leaf)
    if read is None or path.leaf.shape is not Shape.ONE:
        raise ParameterError(f"{message.type_name}.{name}: a path holds single values only")
    return Parameter(path, read)


class QueryParameters:
    """The query of one binding.

    Args:
        schema: descriptors.
        message: the request's type.
        taken: dotted paths that the URL's path or the body binds, with all that is below them.
        closed: the body is the whole request, so that there are no query parameters.
    """

    def __init__(
        self, schema: Schema, message: DescMessage, taken: Collection[str], *, closed: bool
    ) -> None:
        self._schema = schema
        self._message = message
        self._taken = tuple(taken)
        self._closed = closed
        self._known: dict[str, Parameter] = {}

    def bind(
        self, message: Message, query: str, fields: Sequence[tuple[str, str]] = ()
    ) -> list[Violation]:
        """Set the fields that the query and a form's fields name; returns what is wrong with them.

        Raises:
            Refusal: the query string is malformed.
        """
        seen: dict[str, list[Any]] = {}
        refused = []
        for name, text in (*_split(query), *fields):
            try:
                self._bind_one(message, name, text, seen)
            except _Refused as error:
                refused.append(error.violation(self._proto_name(name)))
        return refused

    def _proto_name(self, name: str) -> str:
        """The path of the field that a parameter names; the parameter's own name if there is none."""
        try:
            return resolve(self._schema, self._message, name).name
        except UnknownField:
            return name

    def _bind_one(self, message: Message, name: str, text: str, seen: dict[str, list[Any]]) -> None:
        if self._closed:
            raise _Refused("QUERY_NOT_ALLOWED", "the body is the whole request; no query is read")
        parameter = self._known.get(name) or self._parameter(name)
        path = parameter.path
        try:
            value = parameter.read(text)
        except ValueError:
            raise _Refused("INVALID_FIELD_VALUE", f"must be {expected(path.leaf.value)}") from None
        values = seen.setdefault(path.name, [])
        values.append(value)
        if path.leaf.shape is not Shape.LIST and len(values) > 1:
            raise _Refused("DUPLICATE_PARAMETER", "is given more than once")
        try:
            assign(message, path, values if path.leaf.shape is Shape.LIST else value)
        except OneofConflict as other:
            raise _Refused("ONEOF_CONFLICT", f"excludes {other}, which is also given") from None

    def _parameter(self, name: str) -> Parameter:
        try:
            path = resolve(self._schema, self._message, name)
        except UnknownField:
            raise _Refused("UNKNOWN_PARAMETER", "there is no such parameter") from None
        for taken in self._taken:
            if path.name == taken or path.name.startswith(taken + "."):
                raise _Refused("CONFLICTING_PARAMETER", "is set by the path or the body")
        read = text_reader(self._schema, path.leaf)
        if read is None:
            raise _Refused("INVALID_PARAMETER", "has no text form; name one of its fields")
        parameter = Parameter(path, read)
        if len(self._known) < _KNOWN:  # messages in messages have names without end
            self._known[name] = parameter
        return parameter


def _split(query: str) -> list[tuple[str, str]]:
    """The names and values of a query string, decoded; raises Refusal for a broken escape."""
    pairs = []
    for piece in query.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        try:
            pairs.append((decode_form(name), decode_form(value)))
        except MalformedEscape as error:
            raise bad_request("MALFORMED_QUERY", f"query parameter {name!r}: {error}") from None
    return pairs
