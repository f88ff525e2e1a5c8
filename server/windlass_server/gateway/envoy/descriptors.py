"""The descriptor set as Envoy's transcoder is given it.

Envoy loads a set only when every rule in it is one that it knows, so what it cannot do is taken out:
`response_body` of anything but `google.api.HttpBody`. `HEAD` is put in beside every `GET` that has none
and is answered with one message. What the transcoder does not read, comments above all, is left out.
"""

from collections.abc import Iterator, Sequence

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

from windlass_server.gateway.template import parse

_HTTP_BODY = ".google.api.HttpBody"


def prepare(descriptor_set: bytes, services: Sequence[str]) -> bytes:
    """Make a serialized `FileDescriptorSet` for the transcoder from the gateway's own."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    methods = [
        method
        for file in files.file
        for service in file.service
        if f"{file.package}.{service.name}".lstrip(".") in services
        for method in service.method
        if method.options.HasExtension(annotations_pb2.http)
    ]
    raw_fields = set(_raw_fields(files))
    heads = {parse(path).shape for method in methods for path in _head_paths(method)}
    for method in methods:
        _prepare_method(method, raw_fields, heads)
    for file in files.file:
        file.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def _raw_fields(files: descriptor_pb2.FileDescriptorSet) -> Iterator[tuple[str, str]]:
    """The top-level messages' fields that are HttpBody: the message's name and the field's."""
    for file in files.file:
        prefix = f".{file.package}" if file.package else ""
        for message in file.message_type:
            for field in message.field:
                if field.type_name == _HTTP_BODY:
                    yield f"{prefix}.{message.name}", field.name


def _rules(method: descriptor_pb2.MethodDescriptorProto) -> list[http_pb2.HttpRule]:
    rule = method.options.Extensions[annotations_pb2.http]
    return [rule, *rule.additional_bindings]


def _head_paths(method: descriptor_pb2.MethodDescriptorProto) -> Iterator[str]:
    """The paths that have a HEAD of their own."""
    for rule in _rules(method):
        if rule.custom.kind.upper() == "HEAD":
            yield rule.custom.path


def _prepare_method(
    method: descriptor_pb2.MethodDescriptorProto,
    raw_fields: set[tuple[str, str]],
    heads: set[str],
) -> None:
    rules = _rules(method)
    for rule in rules:
        if (method.output_type, rule.response_body) not in raw_fields:
            rule.response_body = ""
    if not method.server_streaming:
        added = [_head(rule) for rule in rules if rule.get and parse(rule.get).shape not in heads]
        rules[0].additional_bindings.extend(added)


def _head(rule: http_pb2.HttpRule) -> http_pb2.HttpRule:
    head = http_pb2.HttpRule()
    head.CopyFrom(rule)
    head.ClearField("additional_bindings")
    head.custom.CopyFrom(http_pb2.CustomHttpPattern(kind="HEAD", path=rule.get))
    return head
