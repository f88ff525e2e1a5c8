"""gRPC reflection, behind the same authentication as everything else, for administrators alone."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from windlass.options.v1.options_pb2 import Authz
from windlass_server.rpc.call import Call, Method
from windlass_server.rpc.methods import DEFAULT_MAX_REQUEST_BYTES

SERVICE = "grpc.reflection.v1alpha.ServerReflection"


def reflection_method(services: Sequence[str]) -> Method:
    """The method that tells of these services (full names)."""
    servicer = ReflectionServicer([*services, SERVICE])

    async def tell(requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for answer in servicer.ServerReflectionInfo(requests, call):
            yield answer

    reflection_pb2.DESCRIPTOR.services_by_name  # noqa: B018 - registers the service in the pool
    service = descriptor_pool.Default().FindServiceByName(SERVICE)
    descriptor = service.methods_by_name["ServerReflectionInfo"]
    return Method(
        path=f"/{SERVICE}/{descriptor.name}",
        descriptor=descriptor,
        request_class=message_factory.GetMessageClass(descriptor.input_type),
        handler=tell,
        authz=Authz(permission="system.reflect", scope=Authz.ORGANISATION),
        max_request_bytes=DEFAULT_MAX_REQUEST_BYTES,
        max_seconds=None,
    )
