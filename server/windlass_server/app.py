"""How everything is wired, and the only place where it is: read it top to bottom as the tour."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from grpc import aio
from grpc_health.v1 import health_pb2_grpc

import windlass
from windlass.options.v1.options_pb2 import Authz
from windlass_server import __version__
from windlass_server.about import ABOUT
from windlass_server.access import bootstrap
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.rpc import AccessRpc
from windlass_server.access.seals import Seal
from windlass_server.access.secrets import load_secrets
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.clock import SystemClock
from windlass_server.config import ServerConfig
from windlass_server.controllers.allocation_leases import AllocationLeases
from windlass_server.controllers.checkpoints import CheckpointRemoval
from windlass_server.controllers.drain_waves import DrainWaves
from windlass_server.controllers.federation import Federation
from windlass_server.controllers.hints import Hints, Listeners
from windlass_server.controllers.loop import Loop
from windlass_server.controllers.node_drains import NodeDrains
from windlass_server.controllers.node_health import NodeHealth
from windlass_server.controllers.node_liveness import NodeLiveness
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.data_dir import DataDir
from windlass_server.errors import BadConfiguration
from windlass_server.federation.connect import Connector
from windlass_server.federation.session import ClusterSession, SessionHints
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.discovery import Discovery
from windlass_server.gateway.serving import Address, HttpServer, http_server
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.metrics import JobMetrics
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.rpc import JobsRpc
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.meters import Meters
from windlass_server.nodes.pace import CYCLE_SECONDS, Pace
from windlass_server.nodes.registry import NodeRegistry
from windlass_server.nodes.rpc import AgentsRpc
from windlass_server.nodes.session import SILENT_HEARTBEATS
from windlass_server.objects.logs import LogStore
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.resources.allocations import AllocationsService
from windlass_server.resources.capacity import declared_pools
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.clusters import ClustersService
from windlass_server.resources.drains import DrainsService
from windlass_server.resources.exposition import NodeExposition
from windlass_server.resources.health import NodeHealthService
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.live import LiveTelemetry
from windlass_server.resources.membership import Membership
from windlass_server.resources.metrics import NodeMetrics
from windlass_server.resources.pools import PoolsService
from windlass_server.resources.prices import PricesService
from windlass_server.resources.registration import Registration
from windlass_server.resources.remote_clusters import RemoteCluster, RemoteClusters
from windlass_server.resources.remote_contacts import RemoteContacts
from windlass_server.resources.removal import NodeRemoval
from windlass_server.resources.reservations import ReservationsService
from windlass_server.resources.rpc import ResourcesRpc
from windlass_server.resources.service import ResourcesService
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.resources.usage import UsageService
from windlass_server.resources.usage_metering import UsageMetering
from windlass_server.rpc.authentication import Authentication
from windlass_server.rpc.authorisation import Authorisation
from windlass_server.rpc.dispatcher import InProcessDispatcher
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.health import Health
from windlass_server.rpc.limits import CallerLimits, Limits
from windlass_server.rpc.metering import Metering
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import Observer, Pipeline
from windlass_server.rpc.reflection import reflection_method
from windlass_server.rpc.request_id import RequestId
from windlass_server.rpc.server import GrpcServer
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.system.rpc import SystemRpc
from windlass_server.telemetry.history import TelemetryHistory
from windlass_server.telemetry.ingest import Ingest
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.telemetry.levels import Retention
from windlass_server.telemetry.meter import UsageMeter
from windlass_server.telemetry.recent import RecentHistory
from windlass_server.telemetry.upkeep import TelemetryUpkeep

if TYPE_CHECKING:
    from windlass_server.open_telemetry import OpenTelemetry

_log = logging.getLogger(__name__)

PUBLIC_SERVICES = (
    "windlass.access.v1.AccessService",
    "windlass.jobs.v1.JobsService",
    "windlass.resources.v1.ResourcesService",
    "windlass.system.v1.SystemService",
)
# Promised paths that answer 501 by name.
PLANNED_SERVICES = (
    "windlass.deployments.v1.DeploymentsService",
    "windlass.experiments.v1.ExperimentsService",
    "windlass.pipelines.v1.PipelinesService",
)
AGENTS_SERVICE = "windlass.agents.v1.AgentsService"
_METRICS_METHOD = "/windlass.system.v1.SystemService/ExportMetrics"
_SCHEDULING_SECONDS = 5.0
_OUTBOX_SECONDS = 5.0
_DRAINS_SECONDS = 2.0
_WAVES_SECONDS = 5.0
_LEASES_SECONDS = 1.0
_CHECKPOINTS_SECONDS = 30.0
_METERING_SECONDS = 2.0
_TELEMETRY_SECONDS = 1.0
_FEDERATION_SECONDS = 1.0
# What is said of the end of a server takes a moment to be sent.
_NOTICE_SECONDS = 0.02
_HEALTH_SECONDS = 5.0


class App:
    """A whole server: built by `App.build`, then `start`, and at the end `stop`."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        data_dir: DataDir,
        database: Database,
        logs: LogStore,
        membership: Membership,
        registry: NodeRegistry,
        telemetry: TelemetryUpkeep,
        metering: UsageMetering,
        meters: Meters,
        open_telemetry: "OpenTelemetry | None",
        loops: list[Loop],
        federation: Federation,
        health: Health,
        draining: Draining,
        grpc: GrpcServer,
        gateway: Gateway,
        http: HttpServer,
    ) -> None:
        self._config = config
        self._data_dir = data_dir
        self._database = database
        self._logs = logs
        self._membership = membership
        self._registry = registry
        self._telemetry = telemetry
        self._metering = metering
        self._meters = meters
        self._open_telemetry = open_telemetry
        self._loops = loops
        self._federation = federation
        self._health = health
        self._draining = draining
        self._grpc = grpc
        self._gateway = gateway
        self._http = http

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
        # Ground: time, names, secrets, state, objects.
        clock = SystemClock()
        ids = IdSource(clock)
        secrets = load_secrets(config.data_dir, config.secret_key.get_secret_value())
        page_tokens = PageTokens(secrets.page_token_key)
        meters = Meters(__version__, database.name)
        hub = EventHub()
        logs = LogStore(data_dir.folder("logs"), hub)
        admin_key = await bootstrap.bootstrap(
            database, clock, secrets.api_key_pepper, config.data_dir
        )
        if admin_key.problem:
            _log.warning("%s", admin_key.problem)

        # Who may do what.
        user_tokens = UserTokens(secrets.signing_key)
        authenticator = Authenticator(database, clock, secrets.api_key_pepper, user_tokens)
        join_tokens = JoinTokens(secrets.join_token_pepper)
        access = AccessService(
            database,
            clock,
            authenticator,
            user_tokens,
            join_tokens,
            secrets.api_key_pepper,
            page_tokens,
        )

        # What there is to run on.
        hints = Hints()
        telemetry = LatestTelemetry(health_changed=lambda _node_id: hints.world_changed())
        retention = Retention.of_days(config.telemetry_days)
        meter = UsageMeter(clock)
        recent = RecentHistory(clock, meter.take)
        history = TelemetryHistory(database, recent, clock, retention)
        cluster = Cluster(database, declared_pools(config.pools), telemetry.is_healthy)

        # Jobs, their runs and their logs.
        runs = RunsService(
            database,
            logs,
            clock,
            ids,
            capacity_freed=hints.run_ended,
            runs_changed=hints.runs_changed,
        )
        remote_clusters = RemoteClusters()
        remote_runs = RemoteRunsService(
            database,
            logs,
            clock,
            ids,
            job_queued=hints.job_queued,
            runs_changed=hints.remote_runs_changed,
        )
        jobs = JobsService(
            database,
            cluster,
            clock,
            ids,
            page_tokens,
            JobHints(hints.job_queued, hints.runs_changed),
            Elsewhere(remote_clusters, remote_runs, hints.remote_runs_changed),
        )
        job_logs = JobLogs(runs, logs, hub)
        checkpoints = CheckpointsService(
            database,
            ObjectStore.open(config.objects_url, data_dir.path / "objects"),
            clock,
            ids,
            Keeping(
                max_bytes=config.checkpoint_max_bytes,
                newest=config.checkpoints_kept,
                after_end=round(config.checkpoint_keep_seconds * 1e6),
            ),
        )
        resources = ResourcesService(database, access, page_tokens)
        allocations = AllocationsService(
            database, cluster, clock, ids, page_tokens, hints.run_ended
        )
        upkeep = NodeUpkeep(
            database,
            clock,
            evict=runs.evict,
            revoke=allocations.revoke,
            capacity_changed=hints.maintenance_changed,
            drain_began=hints.drain_began,
        )
        node_drains = DrainsService(database, upkeep, clock, ids, page_tokens)
        removal = NodeRemoval(
            database,
            clock,
            lose_runs=runs.losing,
            revoke=allocations.revoke_in,
            removed=(authenticator.forget, telemetry.drop),
            capacity_changed=hints.run_ended,
        )
        seal = Seal(secrets.seal_key)
        clusters = ClustersService(database, clock, page_tokens, Registration(seal, clock))
        usage = UsageService(database, clock)
        prices = PricesService(database, clock, ids, page_tokens)
        pools = PoolsService(database, cluster, clock, page_tokens, hints.world_changed)
        with acting_as("start"):
            await clusters.ensure_default()
            await pools.ensure_default()
        node_health = NodeHealthService(
            database,
            upkeep,
            clock,
            Policy.of(config.health),
            tell_run=runs.device_failed,
            capacity_changed=hints.world_changed,
            resets_changed=hints.runs_changed,
            ailing=hints.node_ails,
        )
        membership = Membership(
            database, access, telemetry, clock, ids, hints.world_changed, node_health
        )
        registry = NodeRegistry(
            membership, runs, node_health, clock, heartbeat_seconds=config.heartbeat_seconds
        )

        # Background duties.
        scheduling = Scheduling(database, cluster, runs, clock)
        scheduling_loop = Loop(
            "scheduler", scheduling.cycle, interval_seconds=_SCHEDULING_SECONDS, rest=1.0
        )
        outbox = OutboxDispatcher(database, hub.tell)
        outbox_loop = Loop("outbox", outbox.cycle, interval_seconds=_OUTBOX_SECONDS, rest=1.0)
        liveness = NodeLiveness(membership, SILENT_HEARTBEATS * config.heartbeat_seconds)
        liveness_loop = Loop("nodes", liveness.cycle, interval_seconds=config.heartbeat_seconds)
        leases = AllocationLeases(allocations)
        leases_loop = Loop("allocations", leases.cycle, interval_seconds=_LEASES_SECONDS)
        drains = NodeDrains(upkeep)
        drains_loop = Loop("node drains", drains.cycle, interval_seconds=_DRAINS_SECONDS)
        waves = DrainWaves(node_drains)
        waves_loop = Loop("drain waves", waves.cycle, interval_seconds=_WAVES_SECONDS)
        discarding = CheckpointRemoval(checkpoints)
        discarding_loop = Loop(
            "checkpoints", discarding.cycle, interval_seconds=_CHECKPOINTS_SECONDS
        )
        pace = Pace(clock.monotonic)
        pace_loop = Loop("pace", pace.cycle, interval_seconds=CYCLE_SECONDS)
        telemetry_upkeep = TelemetryUpkeep(database, recent, clock, retention)
        telemetry_loop = Loop(
            "telemetry", telemetry_upkeep.cycle, interval_seconds=_TELEMETRY_SECONDS
        )
        health_loop = Loop(
            "health", NodeHealth(node_health).cycle, interval_seconds=_health_seconds(config)
        )
        # SQLite has one server: what held the leases before is gone.
        holder = database.name if database.name == "sqlite" else ids.new("server")
        contacts = RemoteContacts(database, remote_clusters, clock, holder)
        connector = Connector(seal)

        session_hints = SessionHints(hints.remote_runs_changed, hints.remote_room_changed)

        def new_session(of: RemoteCluster) -> ClusterSession:
            return ClusterSession(
                of, connector.open, remote_runs, contacts, logs, clock, session_hints
            )

        federation = Federation(database, remote_clusters, cluster, remote_runs, clock, new_session)
        federation_loop = Loop("federation", federation.cycle, interval_seconds=_FEDERATION_SECONDS)
        metering = UsageMetering(database, meter, clock)
        metering_loop = Loop("metering", metering.cycle, interval_seconds=_METERING_SECONDS)
        hints.connect(
            Listeners(
                scheduling,
                scheduling_loop,
                outbox_loop,
                drains,
                drains_loop,
                waves_loop,
                registry,
                health_loop,
                federation,
                federation_loop,
            )
        )

        # The contract, and the chain that every call takes.
        servicers: dict[str, object] = {
            "windlass.access.v1.AccessService": AccessRpc(access),
            "windlass.jobs.v1.JobsService": JobsRpc(
                jobs,
                JobReader(database, page_tokens),
                job_logs,
                JobMetrics(database, history, clock),
            ),
            "windlass.resources.v1.ResourcesService": ResourcesRpc(
                resources,
                upkeep,
                removal,
                allocations,
                clusters,
                pools,
                usage,
                prices,
                NodeMetrics(database, history, clock),
                LiveTelemetry(database, telemetry, clock),
                node_drains,
                ReservationsService(database, cluster, clock, ids, page_tokens),
                telemetry,
                clock,
            ),
            "windlass.system.v1.SystemService": SystemRpc(
                database,
                clock.now(),
                [*PUBLIC_SERVICES, AGENTS_SERVICE],
                meters,
                NodeExposition(database, telemetry),
            ),
            AGENTS_SERVICE: AgentsRpc(
                membership,
                registry,
                runs,
                logs,
                Ingest(telemetry, recent, meters),
                checkpoints,
                pace,
            ),
        }
        methods = served_methods(servicers)
        if config.reflection:
            reflection = reflection_method([*PUBLIC_SERVICES, AGENTS_SERVICE])
            methods[reflection.path] = reflection
        if config.public_metrics:
            exported = methods[_METRICS_METHOD]
            methods[_METRICS_METHOD] = replace(exported, authz=Authz(public=True))
        observers: list[Observer] = [Metering(meters)]
        open_telemetry = _open_telemetry(config)
        if open_telemetry is not None:
            from windlass_server.rpc.tracing import Tracing

            observers.append(Tracing(open_telemetry))
        draining = Draining()
        pipeline = Pipeline(
            methods,
            before_parsing=[
                RequestId(),
                Limits(config.max_in_flight),
                Authentication(authenticator),
                CallerLimits(config.max_calls_per_caller, config.max_streams_per_caller),
            ],
            after_parsing=[Authorisation()],
            validation=Validation(),
            draining=draining,
            observers=observers,
        )
        needs_credential = methods["/windlass.access.v1.AccessService/GetCaller"]

        # The two front ends.
        health = Health(draining)
        grpc = GrpcServer(
            pipeline,
            config.grpc,
            unrouted=needs_credential,
            add_others=lambda server: _add_health(health, server),
        )
        dispatcher = InProcessDispatcher(pipeline, needs_credential)
        gateway = Gateway(
            descriptor_set=descriptor_set(),
            services=[*PUBLIC_SERVICES, *PLANNED_SERVICES],
            planned_extension="windlass.options.v1.planned",
            discovery=Discovery(ABOUT, public=config.public_docs),
            limits_extension="windlass.options.v1.limits",
            dispatcher=dispatcher,
            authenticate=dispatcher.authenticate,
            find_violations=dispatcher.find_violations,
            write_timeout_s=config.write_timeout_seconds,
            token_cookies=True,
        )
        http = _http_server(config, gateway)
        return cls(
            config=config,
            data_dir=data_dir,
            database=database,
            logs=logs,
            membership=membership,
            registry=registry,
            telemetry=telemetry_upkeep,
            metering=metering,
            meters=meters,
            open_telemetry=open_telemetry,
            loops=[
                scheduling_loop,
                outbox_loop,
                liveness_loop,
                drains_loop,
                waves_loop,
                leases_loop,
                discarding_loop,
                telemetry_loop,
                health_loop,
                pace_loop,
                federation_loop,
                metering_loop,
            ],
            federation=federation,
            health=health,
            draining=draining,
            grpc=grpc,
            gateway=gateway,
            http=http,
        )

    @property
    def http_address(self) -> str:
        """Where HTTP is answered, `host:port` with the real port."""
        return f"{self._http.address.host}:{self._http.address.port}"

    @property
    def grpc_address(self) -> str:
        """Where gRPC is answered, `host:port` with the real port."""
        return f"{self._config.grpc.rpartition(':')[0]}:{self._grpc.port}"

    async def start(self) -> None:
        """Begin to answer; returns when both front ends do."""
        # SQLite has one server; on PostgreSQL nodes may be connected to others.
        if self._database.name == "sqlite":
            with acting_as("start"):
                await self._membership.server_started()
        for loop in self._loops:
            loop.start(self._cycle_ended)
        await self._grpc.start()
        await self._http.start()
        for address in self._config.open_addresses:
            _log.warning(
                "%s is open to other machines without TLS: credentials can be read", address
            )
        _log.info(
            "windlass %s serves http://%s and grpc://%s, data in %s",
            __version__,
            self.http_address,
            self.grpc_address,
            self._config.data_dir,
        )

    def _cycle_ended(self, duty: str, seconds: float, failed: bool) -> None:
        self._meters.cycle_ended(duty, seconds, failed)
        if self._open_telemetry is not None:
            self._open_telemetry.cycle_ended(duty, seconds, failed)

    async def stop(self) -> None:
        """Take no new calls, let those in flight end, finish what was begun, close everything."""
        await self._health.enter_graceful_shutdown()
        self._gateway.drain()
        # The nodes' sessions first: they end by themselves, with their nodes stored as not connected.
        await self._registry.close()
        grace = self._config.shutdown_seconds
        stopping = asyncio.gather(self._grpc.stop(grace), self._http.stop(grace))
        # Behind the beginning of that, when no new call is taken: who is cut off may call again at once.
        # And who watches the server's health has then read that it does not serve.
        await asyncio.sleep(_NOTICE_SECONDS)
        self._draining.begin()
        await stopping
        for loop in self._loops:
            await loop.stop()
        with acting_as("stop"):
            await self._telemetry.stop()
            await self._metering.store()
        await self._federation.close()
        await self._logs.close()
        await self._database.close()
        self._data_dir.close()
        if self._open_telemetry is not None:
            await asyncio.to_thread(self._open_telemetry.close)
        _log.info("windlass has stopped")


def _health_seconds(config: ServerConfig) -> float:
    """Often enough for what has to be waited for."""
    shortest = min(config.health.burn_in_seconds, config.health.quiet_seconds)
    return min(_HEALTH_SECONDS, max(shortest, _HEALTH_SECONDS / 50))


def _open_telemetry(config: ServerConfig) -> "OpenTelemetry | None":
    """What sends traces and metrics to a collector; imported only for one, as that takes a while."""
    if not config.otlp_endpoint:
        return None
    from windlass_server.open_telemetry import OpenTelemetry

    return OpenTelemetry(
        config.otlp_endpoint,
        version=__version__,
        sample_ratio=config.otlp_sample_ratio,
        interval_seconds=config.otlp_interval_seconds,
    )


def _add_health(health: Health, server: aio.Server) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health, server)


def _http_server(config: ServerConfig, gateway: Gateway) -> HttpServer:
    host, _, port = config.http.rpartition(":")
    address = Address(host, int(port))
    app = Cors(gateway, config.cors_origins) if config.cors_origins else gateway
    try:
        return http_server(config.http_server, app, address, config.write_timeout_seconds)
    except OSError as error:
        message = f"cannot listen for HTTP on {config.http}: {error.strerror or error}"
        raise BadConfiguration(message) from None


def descriptor_set() -> bytes:
    """The contract's descriptor set, which lies beside the generated package."""
    return (Path(next(iter(windlass.__path__))).parent / "windlass.binpb").read_bytes()
