"""What the contract says of an HTTP request, by other means than the gateway's.

The request is read by `google.protobuf` and judged by protovalidate. Nothing of the server's code is
used, so that the two can be compared.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

import protovalidate
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tests.support.json_differences import DIFFERENCES, GATEWAY, PEER, elements

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})", re.ASCII)
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_TEXTS = {f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask")}
_WRAPPED = re.compile(r"google\.protobuf\.\w+Value")
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


class Refused(ValueError):
    """A request that the contract refuses."""


class Beyond(Refused):
    """A request that is refused for what no schema tells."""


@dataclass(frozen=True)
class Verdict:
    """What the contract says.

    Attributes:
        accepted: whether the request is one that the method takes.
        why: why not.
        rules: ids of the rules that it breaks.
        unsure: whether google.protobuf and ProtoJSON as we serve it may differ on it.
        body: what the body says, as JSON is written; None when there is none.
    """

    accepted: bool
    why: str = ""
    rules: frozenset[str] = frozenset()
    unsure: bool = False
    body: Any = None


class Oracle:
    """Judges requests of a contract's methods."""

    def __init__(self, descriptors: bytes) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
            self._pool.Add(file)

    def judge(self, rpc: str, path: str, url_path: str, query: str, body: bytes) -> Verdict:
        """Judge a request.

        Args:
            rpc: `package.Service/Method`.
            path: the method's path as OpenAPI writes it.
            url_path: the path that was sent, still escaped.
            query: the query that was sent, still escaped.
            body: the JSON that was sent, if any.
        """
        service, _, name = rpc.partition("/")
        method = self._pool.FindServiceByName(service).methods_by_name[name]
        message: Any = message_factory.GetMessageClass(method.input_type)()
        try:
            value = self._request(method, path, url_path, query, body)
        except Refused as refused:
            return Verdict(False, str(refused), unsure=isinstance(refused, Beyond))
        try:
            json_format.ParseDict(value, message, descriptor_pool=self._pool)
        except (json_format.ParseError, ValueError, TypeError) as error:
            unsure = self._differs(method.input_type, value, GATEWAY)
            return Verdict(False, str(error), unsure=unsure)
        try:
            protovalidate.validate(message)
        except protovalidate.ValidationError as error:
            found = [each.proto for each in error.violations]
            ids = frozenset(each.rule_id for each in found)
            return Verdict(False, "; ".join(each.message for each in found), ids)
        unsure = self._differs(method.input_type, value, PEER)
        return Verdict(True, unsure=unsure, body=_written(message, method, path) if body else None)

    def _request(
        self, method: MethodDescriptor, path: str, url_path: str, query: str, body: bytes
    ) -> dict[str, Any]:
        """The request message as parsed JSON, of path, query and body."""
        rule = _rule(method, path)
        bound = _path_values(_template(rule), url_path)
        made: dict[str, Any] = {}
        if body:
            if not rule.body:
                raise Refused("no body is taken")
            parsed = _parse(body)
            made = {rule.body: parsed} if rule.body != "*" else _object(parsed)
        elif rule.body not in ("", "*"):
            made = {rule.body: {}}
        taken = {*bound, rule.body}
        for name, values in _query_values(query).items():
            if rule.body == "*" or name.split(".")[0] in taken:
                raise Refused(f"{name} is not read from the query")
            _assign(made, method.input_type, name, values)
        for name, text in bound.items():
            if _said(made, method.input_type, name) not in (None, "", text):
                raise Beyond(f"{name} differs from the path")
            _assign(made, method.input_type, name, [text])
        return made

    def _differs(self, message: Descriptor, value: Any, accepted_by: str) -> bool:
        return any(
            difference.applies(element)
            for element in elements(self._pool, message, value)
            for difference in DIFFERENCES
            if difference.accepted_by == accepted_by
        )


def _rule(method: MethodDescriptor, path: str) -> Any:
    """The method's rule for a path, in which OpenAPI may call the variables otherwise."""
    annotation: Any = annotations_pb2.http
    first = method.GetOptions().Extensions[annotation]
    for rule in (first, *first.additional_bindings):
        if _unnamed(_template(rule)) == _unnamed(path):
            return rule
    raise AssertionError(f"{method.full_name} has no rule for {path}")


def _template(rule: Any) -> str:
    return str(getattr(rule, rule.WhichOneof("pattern")))


def _unnamed(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", path)


def _said(made: Any, message: Descriptor, name: str) -> Any:
    """What a body says where a dotted name leads; None when it says nothing there."""
    for field in _fields(message, name):
        if not isinstance(made, dict):
            return None
        made = made.get(field.name, made.get(field.json_name))
    return made


def _written(message: Any, method: MethodDescriptor, path: str) -> Any:
    """The body of a request as JSON is written."""
    pool = message.DESCRIPTOR.file.pool
    value = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=pool
    )
    body = _rule(method, path).body
    if body != "*":
        return value.get(body)
    bound = re.findall(r"\{([^}]+)\}", path)
    return {name: each for name, each in value.items() if name not in bound}


def _path_values(path: str, url_path: str) -> dict[str, str]:
    """The values of a path's placeholders, each one segment."""
    names = re.findall(r"\{([^}]+)\}", path)
    pattern = re.sub(r"\\\{[^}]+\\\}", "([^/]+)", re.escape(path))
    found = re.fullmatch(pattern, url_path)
    if found is None:
        raise Refused("the path is another")
    return {
        name: _unescape(text, plus=False) for name, text in zip(names, found.groups(), strict=True)
    }


def _query_values(query: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, text = pair.partition("=")
        values.setdefault(_unescape(name, plus=True), []).append(_unescape(text, plus=True))
    return values


def _unescape(text: str, *, plus: bool) -> str:
    if not _ESCAPES.fullmatch(text):
        raise Refused("an escape is malformed")
    try:
        return unquote_plus(text, errors="strict") if plus else unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refused("an escape is not UTF-8") from None


def _parse(body: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Refused("a key is given twice")
        return dict(pairs)

    def constant(text: str) -> Any:
        raise Refused(f"{text} is not JSON")

    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except Refused:
        raise
    except (UnicodeError, ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from None
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("the body is not an object")
    return value


def _assign(made: dict[str, Any], message: Descriptor, name: str, texts: list[str]) -> None:
    """Put the texts where the dotted name leads."""
    *parents, leaf = _fields(message, name)
    for parent in parents:
        made = _object(made.setdefault(parent.name, {}))
    if leaf.name in made and leaf.name != name.rpartition(".")[2]:
        raise Refused(f"{name} is given under both of its names")
    values = [_value(leaf, text) for text in texts]
    if not leaf.is_repeated and len(values) > 1:
        raise Refused(f"{name} is given twice")
    made[leaf.name] = values if leaf.is_repeated else values[0]


def _fields(message: Descriptor, dotted: str) -> Iterator[FieldDescriptor]:
    owner: Descriptor | None = message
    for part in dotted.split("."):
        names = {} if owner is None else {field.name: field for field in owner.fields}
        names |= {} if owner is None else {field.json_name: field for field in owner.fields}
        if part not in names:
            raise Refused(f"there is no parameter {dotted}")
        field = names[part]
        yield field
        owner = None if field.is_repeated else field.message_type


def _value(field: FieldDescriptor, text: str) -> Any:
    """The text of a parameter as JSON has the value."""
    nested = field.message_type
    if nested is not None:
        if nested.full_name in _TEXTS:
            return text
        if _WRAPPED.fullmatch(nested.full_name) and nested.fields_by_name.keys() == {"value"}:
            return _value(nested.fields_by_name["value"], text)
        raise Refused(f"{field.name} has no text form")
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text not in ("true", "false"):
            raise Refused(f"{text!r} is not true or false")
        return text == "true"
    if field.cpp_type in _INTEGERS and not _INTEGER.fullmatch(text):
        raise Refused(f"{text!r} is no integer")
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return int(text) if _INTEGER.fullmatch(text) else text
    return text
