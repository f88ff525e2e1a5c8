"""The descriptor set as Envoy's transcoder is given it.

Envoy loads a set only when every rule in it is one that it knows, so what it cannot do is taken out:
`response_body` of anything but `google.api.HttpBody`. `HEAD` is put in beside every `GET`. What the
transcoder does not read, comments above all, is left out.
"""

from collections.abc import Iterator, Sequence

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

_HTTP_BODY = ".google.api.HttpBody"


def prepare(descriptor_set: bytes, services: Sequence[str]) -> bytes:
    """Make a serialized `FileDescriptorSet` for the transcoder from the gateway's own."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    raw_fields = set(_raw_fields(files))
    for file in files.file:
        file.ClearField("source_code_info")
        for service in file.service:
            if f"{file.package}.{service.name}".lstrip(".") in services:
                for method in service.method:
                    _prepare_method(method, raw_fields)
    return files.SerializeToString(deterministic=True)


def _raw_fields(files: descriptor_pb2.FileDescriptorSet) -> Iterator[tuple[str, str]]:
    """The top-level messages' fields that are HttpBody: the message's name and the field's."""
    for file in files.file:
        prefix = f".{file.package}" if file.package else ""
        for message in file.message_type:
            for field in message.field:
                if field.type_name == _HTTP_BODY:
                    yield f"{prefix}.{message.name}", field.name


def _prepare_method(
    method: descriptor_pb2.MethodDescriptorProto, raw_fields: set[tuple[str, str]]
) -> None:
    if not method.options.HasExtension(annotations_pb2.http):
        return
    rule = method.options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        if (method.output_type, binding.response_body) not in raw_fields:
            binding.response_body = ""
    rule.additional_bindings.extend(list(_heads(rule)))


def _heads(rule: http_pb2.HttpRule) -> Iterator[http_pb2.HttpRule]:
    for binding in (rule, *rule.additional_bindings):
        if binding.get:
            head = http_pb2.HttpRule()
            head.CopyFrom(binding)
            head.ClearField("additional_bindings")
            head.custom.CopyFrom(http_pb2.CustomHttpPattern(kind="HEAD", path=binding.get))
            yield head
