"""What the server says about itself."""

from windlass.system.v1 import system_service_pb2, system_service_pb2_grpc
from windlass_client.calls import AsyncGroup, Call, Group, SyncGroup, operation, unary

_Stub = system_service_pb2_grpc.SystemServiceStub
HEALTH = unary(_Stub, lambda stub: stub.GetHealth, idempotent=True)
INFO = unary(_Stub, lambda stub: stub.GetSystemInfo, idempotent=True)


class SystemCalls(Group):
    """Requests of the system API."""

    @operation
    def health(self) -> Call[system_service_pb2.GetHealthRequest, system_service_pb2.Health]:
        """Answers while the server can reach its database. Raises Unavailable."""
        return Call(HEALTH, system_service_pb2.GetHealthRequest())

    @operation
    def info(self) -> Call[system_service_pb2.GetSystemInfoRequest, system_service_pb2.SystemInfo]:
        """The server's version, database and services."""
        return Call(INFO, system_service_pb2.GetSystemInfoRequest())


class System(SystemCalls, SyncGroup):
    """The system API, blocking."""


class AsyncSystem(SystemCalls, AsyncGroup):
    """The system API for asyncio."""
