"""The routes of a contract, read from its table, each with an example of what it is asked.

Nothing here is typed by hand: paths, parameters and bodies are made of templates and descriptors.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from windlass_server.gateway.http_rules import HttpRule, read_rules
from windlass_server.gateway.limits import read_limits
from windlass_server.gateway.routes import ANY_METHOD, Match, Router
from windlass_server.gateway.template import REST, Literal, Template, parse
from windlass_server.gateway.transcoder import WHOLE, Transcoder

LIMITS = "windlass.options.v1.limits"
DEFAULT_BYTES = 4 << 20

_FILE = "google.api.HttpBody"
_TEXTS = {
    "google.protobuf.Timestamp": "2030-01-31T12:00:00Z",
    "google.protobuf.Duration": "1.5s",
    "google.protobuf.FieldMask": "a",
    "google.protobuf.StringValue": "a",
    "google.protobuf.Int64Value": "1",
    "google.protobuf.BoolValue": "true",
}
_STRINGS = FieldDescriptor.CPPTYPE_STRING


@dataclass(frozen=True)
class ServedRoute:
    """One route and what it takes.

    Attributes:
        method: HTTP's; of a route for any method, one that no other route has.
        path: an example.
        rule: what the contract says.
        request: the request's type.
        variables: dotted paths of the fields that the path binds.
        max_bytes: largest body.
    """

    method: str
    path: str
    rule: HttpRule
    request: Descriptor
    variables: frozenset[str]
    max_bytes: int

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.rule.rpc})"

    @property
    def any_method(self) -> bool:
        """Whether the rule takes every method."""
        return self.rule.http_method == ANY_METHOD

    @property
    def takes_stream(self) -> bool:
        """Whether the client streams its request."""
        assert self.rule.method is not None
        return self.rule.method.method_kind in ("client_streaming", "bidi_streaming")

    @property
    def body_field(self) -> FieldDescriptor | None:
        """The field that the body is; None when it is the whole request or there is none."""
        name = self.rule.body
        return self.request.fields_by_name[name] if name not in ("", WHOLE) else None

    @property
    def body_message(self) -> Descriptor | None:
        """The message whose JSON object the body is, or each of its elements; None: no object."""
        field = self.body_field
        if not self.rule.body or (field is not None and field.is_repeated):
            return None
        message = self.request if field is None else field.message_type
        return None if message is None or message.full_name == _FILE else message

    @property
    def takes_file(self) -> bool:
        """Whether the body is a file."""
        field = self.body_field
        message = field.message_type if field is not None else self.request
        return bool(self.rule.body) and message is not None and message.full_name == _FILE

    @property
    def takes_json(self) -> bool:
        """Whether the body is JSON."""
        return bool(self.rule.body) and not self.takes_file

    @property
    def body(self) -> bytes | None:
        """The least body; None when there is none."""
        if not self.rule.body:
            return None
        field = self.body_field
        if self.takes_file or self.body_message is not None:
            return self.object("{}")
        assert field is not None
        return b"[]" if field.is_repeated else json.dumps(example(field)).encode()

    def object(self, text: str) -> bytes:
        """A body of one JSON object."""
        return f"[{text}]".encode() if self.takes_stream and self.takes_json else text.encode()

    def parameters(self) -> Iterator[FieldDescriptor]:
        """The fields of the request that the query may set."""
        bound = {name.partition(".")[0] for name in self.variables}
        for field in self.request.fields:
            if self.rule.body not in (WHOLE, field.name) and field.name not in bound:
                yield field


def served_routes(
    descriptors: bytes, services: Sequence[str], pool: DescriptorPool
) -> list[ServedRoute]:
    """All routes of the services, but for those that are only planned."""
    transcoder = Transcoder(descriptors)
    router: Router[HttpRule] = Router()
    templates: list[tuple[HttpRule, Template]] = []
    for rule in read_rules(transcoder.registry, services):
        template = parse(rule.path)
        router.add(rule.http_method, template, rule)
        templates.append((rule, template))
    routes = []
    for rule, template in templates:
        assert rule.method is not None
        request = pool.FindMessageTypeByName(rule.method.input.type_name)
        method = "LINK" if rule.http_method == ANY_METHOD else rule.http_method
        path = example_path(request, template)
        found = router.match(method, path)
        assert isinstance(found, Match)
        assert found.target is rule, f"{path} is no example of {rule}"
        limits = read_limits(transcoder.registry, rule.method, LIMITS)
        variables = frozenset(variable.field for variable in template.variables)
        limit = limits.body_bytes(DEFAULT_BYTES)
        routes.append(ServedRoute(method, path, rule, request, variables, limit))
    return routes


def example_path(request: Descriptor, template: Template) -> str:
    """A path that the template matches, with values that its fields can hold."""
    values = ["x/y" if segment == REST else "x" for segment in template.segments]
    for variable in template.variables:
        if not variable.multiple:
            values[variable.start] = example_text(_field(request, variable.field))
    for index, segment in enumerate(template.segments):
        if isinstance(segment, Literal):
            values[index] = quote(segment.text, safe="~")
    return "/" + "/".join(values) + (f":{template.verb}" if template.verb else "")


def example_text(field: FieldDescriptor) -> str:
    """A value of the field, or of its elements, as a path or a query has it."""
    value = example(field)
    return str(value).lower() if isinstance(value, bool) else str(value)


def example(field: FieldDescriptor) -> Any:
    """A value of the field, or of its elements, as JSON."""
    if field.message_type is not None:
        return _TEXTS.get(field.message_type.full_name, {})
    if field.enum_type is not None:
        return field.enum_type.values[-1].name
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    return "YQ" if field.cpp_type == _STRINGS else 1


def has_text(field: FieldDescriptor) -> bool:
    """Whether a query can give the field's values."""
    return field.message_type is None or field.message_type.full_name in _TEXTS


def _field(message: Descriptor, dotted: str) -> FieldDescriptor:
    name, _, below = dotted.partition(".")
    field = message.fields_by_name[name]
    return _field(field.message_type, below) if below and field.message_type else field
