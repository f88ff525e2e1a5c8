"""What the server says about itself."""

from collections.abc import Sequence

from windlass.system.v1 import system_service_pb2 as pb
from windlass_server import __version__
from windlass_server.errors import Unavailable
from windlass_server.rpc.call import Call
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.migrations import HEAD
from windlass_server.timestamps import to_proto


class SystemRpc:
    """Serves `windlass.system.v1.SystemService`.

    Args:
        started_at: when this process started, in microseconds since 1970.
        services: full names of the served services.
    """

    def __init__(self, database: Database, started_at: int, services: Sequence[str]) -> None:
        self._database = database
        self._started_at = started_at
        self._services = sorted(services)

    async def GetHealth(self, request: pb.GetHealthRequest, call: Call) -> pb.Health:
        try:
            with acting_as("health"):
                await self._database.read(lambda tx: tx.access.has_organisation())
        except Exception as error:
            message = "the database does not answer"
            raise Unavailable(message, reason="DATABASE_UNAVAILABLE") from error
        return pb.Health(status="ok")

    async def GetSystemInfo(self, request: pb.GetSystemInfoRequest, call: Call) -> pb.SystemInfo:
        return pb.SystemInfo(
            version=__version__,
            database=self._database.name,
            schema_revision=HEAD,
            start_time=to_proto(self._started_at),
            services=self._services,
        )
