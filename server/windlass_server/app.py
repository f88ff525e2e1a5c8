"""A whole server: how it is put together, how it starts and how it stops; read it as the tour."""

import asyncio
import logging

from windlass_server import __version__
from windlass_server.config import ServerConfig
from windlass_server.data_dir import DataDir
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.wiring.areas import Areas, open_areas
from windlass_server.wiring.calls import Calls, admit_calls
from windlass_server.wiring.controllers import Controllers, set_controllers
from windlass_server.wiring.foundation import Foundation, lay_foundation
from windlass_server.wiring.front_ends import FrontEnds, open_front_ends

_log = logging.getLogger(__name__)

# What is said of the end of a server takes a moment to be sent.
_NOTICE_SECONDS = 0.02


class App:
    """A whole server: built by `App.build`, then `start`, and at the end `stop`."""

    def __init__(
        self,
        foundation: Foundation,
        areas: Areas,
        controllers: Controllers,
        calls: Calls,
        front_ends: FrontEnds,
    ) -> None:
        self._foundation = foundation
        self._areas = areas
        self._controllers = controllers
        self._calls = calls
        self._front_ends = front_ends

    @classmethod
    async def build(cls, config: ServerConfig) -> "App":
        """Wire a server; raises BadConfiguration when it cannot run as configured."""
        data_dir = DataDir(config.data_dir)
        database = await open_database(config.effective_database_url)
        try:
            return await cls._wire(config, data_dir, database)
        except BaseException:
            await database.close()
            data_dir.close()
            raise

    @classmethod
    async def _wire(cls, config: ServerConfig, data_dir: DataDir, database: Database) -> "App":
        # Time, names, secrets, state and logs.
        foundation = lay_foundation(config, data_dir, database)
        # Identity, inventory, jobs, capacity, nodes: what the server can do.
        areas = await open_areas(foundation)
        # What it does without being asked.
        controllers = set_controllers(foundation, areas)
        # The contract, and the chain that every call takes.
        calls = admit_calls(foundation, areas)
        # gRPC and HTTP.
        front_ends = open_front_ends(config, calls)
        return cls(foundation, areas, controllers, calls, front_ends)

    @property
    def http_address(self) -> str:
        """Where HTTP is answered, `host:port` with the real port."""
        address = self._front_ends.http.address
        return f"{address.host}:{address.port}"

    @property
    def grpc_address(self) -> str:
        """Where gRPC is answered, `host:port` with the real port."""
        host = self._foundation.config.grpc.rpartition(":")[0]
        return f"{host}:{self._front_ends.grpc.port}"

    async def start(self) -> None:
        """Begin to answer; returns when both front ends do."""
        # SQLite has one server; on PostgreSQL nodes may be connected to others.
        if self._foundation.database.name == "sqlite":
            with acting_as("start"):
                await self._areas.nodes.membership.server_started()
        for loop in self._controllers.loops:
            loop.start(self._cycle_ended)
        await self._front_ends.grpc.start()
        await self._front_ends.http.start()
        config = self._foundation.config
        for address in config.open_addresses:
            _log.warning(
                "%s is open to other machines without TLS: credentials can be read", address
            )
        _log.info(
            "windlass %s serves http://%s and grpc://%s, data in %s",
            __version__,
            self.http_address,
            self.grpc_address,
            config.data_dir,
        )

    def _cycle_ended(self, duty: str, seconds: float, failed: bool) -> None:
        self._foundation.meters.cycle_ended(duty, seconds, failed)
        if self._calls.open_telemetry is not None:
            self._calls.open_telemetry.cycle_ended(duty, seconds, failed)

    async def stop(self) -> None:
        """Take no new calls, let those in flight end, finish what was begun, close everything."""
        await self._stop_answering()
        for loop in self._controllers.loops:
            await loop.stop()
        with acting_as("stop"):
            await self._controllers.webhooks.close()
            await self._areas.inventory.telemetry_upkeep.stop()
            await self._controllers.metering.store()
            await self._controllers.lease.give_back()
        await self._controllers.sender.close()
        await self._controllers.federation.close()
        await self._foundation.logs.close()
        await self._foundation.database.close()
        self._foundation.data_dir.close()
        if self._calls.open_telemetry is not None:
            await asyncio.to_thread(self._calls.open_telemetry.close)
        _log.info("windlass has stopped")

    async def _stop_answering(self) -> None:
        front = self._front_ends
        await front.health.enter_graceful_shutdown()
        front.gateway.drain()
        # The nodes' sessions first: they end by themselves, with their nodes stored as not connected.
        await self._areas.nodes.registry.close()
        grace = self._foundation.config.shutdown_seconds
        stopping = asyncio.gather(front.grpc.stop(grace), front.http.stop(grace))
        # Behind the beginning of that, when no new call is taken: who is cut off may call again at once.
        # And who watches the server's health has then read that it does not serve.
        await asyncio.sleep(_NOTICE_SECONDS)
        self._calls.draining.begin()
        await stopping
