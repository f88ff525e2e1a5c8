"""What the server says about itself."""

from collections.abc import AsyncIterator, Sequence

from google.api import httpbody_pb2

from windlass.system.v1 import system_service_pb2 as pb
from windlass_server import __version__
from windlass_server.errors import Unavailable
from windlass_server.meters import Meters
from windlass_server.resources.exposition import NodeExposition
from windlass_server.rpc.call import Call
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.migrations import HEAD
from windlass_server.timestamps import to_proto

_PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class SystemRpc:
    """Serves `windlass.system.v1.SystemService`.

    Args:
        started_at: when this process started, in microseconds since 1970.
        services: full names of the served services.
        meters: what the server measures of itself.
        nodes: what nodes measure.
    """

    def __init__(
        self,
        database: Database,
        started_at: int,
        services: Sequence[str],
        meters: Meters,
        nodes: NodeExposition,
    ) -> None:
        self._database = database
        self._started_at = started_at
        self._services = sorted(services)
        self._meters = meters
        self._nodes = nodes

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

    async def ExportMetrics(
        self, request: pb.ExportMetricsRequest, call: Call
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        yield httpbody_pb2.HttpBody(content_type=_PROMETHEUS_TEXT, data=self._meters.text())
        # An operator who opens this to everyone shows it whole.
        who = None if call.method.authz.public else call.caller
        async for piece in self._nodes.text(who):
            yield httpbody_pb2.HttpBody(data=piece)
