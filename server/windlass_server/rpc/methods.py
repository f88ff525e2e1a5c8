"""The served methods, read from the contract. What the contract leaves open stops the server."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from windlass.options.v1 import options_pb2
from windlass_server.rpc.call import Method

DEFAULT_MAX_REQUEST_BYTES = 4 * 1024 * 1024
DEFAULT_MAX_SECONDS = 60.0


class BadContract(Exception):
    """The protos or the servicers are not fit to be served; a defect, found at start."""


def served_methods(servicers: Mapping[str, object]) -> dict[str, Method]:
    """The methods of these services (full name to servicer) by their gRPC path.

    Raises:
        BadContract: a method has no authz option, an incomplete one, or no handler.
    """
    pool = descriptor_pool.Default()
    methods: dict[str, Method] = {}
    for name, servicer in servicers.items():
        service: ServiceDescriptor = pool.FindServiceByName(name)
        for descriptor in service.methods:
            method = _method(service, descriptor, servicer)
            methods[method.path] = method
    return methods


def _method(service: ServiceDescriptor, descriptor: MethodDescriptor, servicer: object) -> Method:
    path = f"/{service.full_name}/{descriptor.name}"
    handler: Any = getattr(servicer, descriptor.name, None)
    if handler is None:
        message = f"{path} has no handler in {type(servicer).__name__}"
        raise BadContract(message)
    options = descriptor.GetOptions()
    authz: options_pb2.Authz = options.Extensions[options_pb2.authz]  # type: ignore[index]
    _check_authz(path, descriptor, authz)
    limits: options_pb2.Limits = options.Extensions[options_pb2.limits]  # type: ignore[index]
    streams = descriptor.client_streaming or descriptor.server_streaming
    seconds = limits.max_duration.ToTimedelta().total_seconds()
    return Method(
        path=path,
        descriptor=descriptor,
        request_class=message_factory.GetMessageClass(descriptor.input_type),
        handler=handler,
        authz=authz,
        max_request_bytes=limits.max_request_bytes or DEFAULT_MAX_REQUEST_BYTES,
        max_seconds=seconds or (None if streams else DEFAULT_MAX_SECONDS),
        max_stream_bytes=limits.max_stream_bytes or None,
        reader=getattr(type(servicer), "READERS", {}).get(descriptor.name),
    )


def _check_authz(path: str, descriptor: MethodDescriptor, authz: options_pb2.Authz) -> None:
    if authz.public:
        return
    if authz.scope == options_pb2.Authz.SCOPE_UNSPECIFIED:
        message = f"{path} has no authz option"
        raise BadContract(message)
    if authz.scope != options_pb2.Authz.SELF and not authz.permission:
        message = f"{path}: authz names no permission"
        raise BadContract(message)
    if authz.scope == options_pb2.Authz.PROJECT and descriptor.client_streaming:
        message = f"{path}: a client's stream has no request that names its project"
        raise BadContract(message)
    if authz.scope == options_pb2.Authz.PROJECT:
        _check_field(path, descriptor, authz.project_field)


def _check_field(path: str, descriptor: MethodDescriptor, field_path: str) -> None:
    message_type: Descriptor | None = descriptor.input_type
    for name in field_path.split("."):
        field = message_type.fields_by_name.get(name) if message_type else None
        if field is None:
            message = f"{path}: authz.project_field {field_path!r} is not a field of the request"
            raise BadContract(message)
        message_type = field.message_type
