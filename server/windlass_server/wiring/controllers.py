"""Third stage: the background duties, which bring about what the services have promised."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windlass_server.access.events import EVERYTHING
from windlass_server.access.settled_events import SettledEvents
from windlass_server.access.webhook_matching import WebhookMatching
from windlass_server.access.webhook_sender import WebhookSender
from windlass_server.access.webhook_telling import WebhookTelling
from windlass_server.config import ServerConfig
from windlass_server.controllers.allocation_leases import AllocationLeases
from windlass_server.controllers.arrays import Arrays
from windlass_server.controllers.artifacts import ArtifactRemoval
from windlass_server.controllers.checkpoints import CheckpointRemoval
from windlass_server.controllers.drain_waves import DrainWaves
from windlass_server.controllers.federation import Federation
from windlass_server.controllers.hints import Listeners
from windlass_server.controllers.job_waits import JobWaits
from windlass_server.controllers.log_archiving import LogArchiving
from windlass_server.controllers.loop import Loop
from windlass_server.controllers.node_drains import NodeDrains
from windlass_server.controllers.node_health import NodeHealth
from windlass_server.controllers.node_liveness import NodeLiveness
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.controllers.preemptions import PreemptionRemoval
from windlass_server.controllers.scheduler_lease import LOOK_SECONDS, SchedulerLease
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.controllers.sources import SourceRemoval
from windlass_server.controllers.webhooks import DeliveryRemoval, WebhookDuties
from windlass_server.federation.connect import Connector
from windlass_server.federation.session import ClusterSession, SessionHints
from windlass_server.hub import EventHub
from windlass_server.jobs.learning import Learning
from windlass_server.nodes.pace import CYCLE_SECONDS
from windlass_server.nodes.session import SILENT_HEARTBEATS
from windlass_server.resources.remote_clusters import RemoteCluster
from windlass_server.resources.remote_contacts import RemoteContacts
from windlass_server.resources.reservation_moves import ReservationMoves
from windlass_server.resources.usage_metering import UsageMetering
from windlass_server.wiring.areas import Areas
from windlass_server.wiring.foundation import Foundation

_SCHEDULING_SECONDS = 5.0
_OUTBOX_SECONDS = 5.0
_WAITS_SECONDS = 5.0
_ARRAYS_SECONDS = 5.0
_DRAINS_SECONDS = 2.0
_WAVES_SECONDS = 5.0
_RESERVATIONS_SECONDS = 10.0
_LEASES_SECONDS = 1.0
_CHECKPOINTS_SECONDS = 30.0
_ARTIFACTS_SECONDS = 10.0
_SOURCES_SECONDS = 30.0
_LOGS_SECONDS = 60.0
_METERING_SECONDS = 2.0
_LEARNING_SECONDS = 5.0
_TELEMETRY_SECONDS = 1.0
_FEDERATION_SECONDS = 1.0
_HEALTH_SECONDS = 5.0
_PREEMPTIONS_SECONDS = 3600.0
_WEBHOOKS_SECONDS = 1.0
_DELIVERIES_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Controllers:
    """The loops in the order in which they are stopped, and what is closed behind them."""

    loops: tuple[Loop, ...]
    lease: SchedulerLease
    federation: Federation
    metering: UsageMetering
    webhooks: WebhookDuties
    sender: WebhookSender


def set_controllers(on: Foundation, areas: Areas) -> Controllers:
    """Make the loops, not started yet, and let the services' hints reach them."""
    federation = _federation(on, areas)
    metering = UsageMetering(on.database, areas.inventory.meter, on.clock)
    lease = _lease(on)
    sender = WebhookSender(areas.identity.webhook_addresses, on.clock)
    webhooks = _webhooks(on, areas, sender)
    prompted = _prompted(on, areas, federation, lease, webhooks)
    on.hints.connect(prompted)
    loops = (
        prompted.scheduling_loop,
        prompted.outbox_loop,
        prompted.waits_loop,
        prompted.arrays_loop,
        prompted.drains_loop,
        prompted.waves_loop,
        prompted.health_loop,
        prompted.federation_loop,
        prompted.matching_loop,
        prompted.telling_loop,
        *_timed(on, areas),
        Loop("metering", metering.cycle, interval_seconds=_METERING_SECONDS),
        Loop("scheduler lease", lease.cycle, interval_seconds=LOOK_SECONDS),
    )
    return Controllers(loops, lease, federation, metering, webhooks, sender)


def _prompted(
    on: Foundation,
    areas: Areas,
    federation: Federation,
    lease: SchedulerLease,
    webhooks: WebhookDuties,
) -> Listeners:
    """The duties that are hinted at what has changed."""
    nodes, inventory = areas.nodes, areas.inventory
    scheduling = Scheduling(
        on.database,
        areas.jobs.world,
        areas.jobs.runs,
        nodes.layouts,
        on.clock,
        inventory.remote_waits,
        lease,
    )
    waits = JobWaits(areas.jobs.dependencies, areas.jobs.suspensions, on.clock)
    waits_loop = Loop("job waits", waits.cycle, interval_seconds=_WAITS_SECONDS)
    waits.wake = waits_loop.wake
    arrays = Arrays(areas.jobs.arrays, on.clock)
    arrays_loop = Loop("arrays", arrays.cycle, interval_seconds=_ARRAYS_SECONDS)
    arrays.wake = arrays_loop.wake
    outbox = OutboxDispatcher(
        on.database, [_told(on.hub), waits.changed, arrays.changed, on.hints.happened]
    )
    drains = NodeDrains(nodes.upkeep)
    waves = DrainWaves(nodes.drains)
    health = NodeHealth(nodes.health)
    return Listeners(
        scheduling=scheduling,
        scheduling_loop=Loop("scheduler", scheduling.cycle, interval_seconds=_SCHEDULING_SECONDS),
        outbox_loop=Loop("outbox", outbox.cycle, interval_seconds=_OUTBOX_SECONDS),
        waits_loop=waits_loop,
        arrays=arrays,
        arrays_loop=arrays_loop,
        drains=drains,
        drains_loop=Loop("node drains", drains.cycle, interval_seconds=_DRAINS_SECONDS),
        waves_loop=Loop("drain waves", waves.cycle, interval_seconds=_WAVES_SECONDS),
        sessions=nodes.registry,
        health_loop=Loop("health", health.cycle, interval_seconds=_health_seconds(on.config)),
        federation=federation,
        federation_loop=Loop("federation", federation.cycle, interval_seconds=_FEDERATION_SECONDS),
        matching_loop=Loop("webhooks", webhooks.match, interval_seconds=_WEBHOOKS_SECONDS),
        telling_loop=Loop("deliveries", webhooks.send, interval_seconds=_WEBHOOKS_SECONDS),
    )


def _timed(on: Foundation, areas: Areas) -> tuple[Loop, ...]:
    """The duties that just look at the clock."""
    nodes, heartbeat = areas.nodes, on.config.heartbeat_seconds
    liveness = NodeLiveness(nodes.membership, on.clock, SILENT_HEARTBEATS * heartbeat)
    leases = AllocationLeases(areas.capacity.allocations)
    learning = Learning(on.database, on.clock)
    discarding = CheckpointRemoval(areas.jobs.checkpoints)
    removing = ArtifactRemoval(areas.jobs.artifacts)
    clearing = SourceRemoval(areas.jobs.sources)
    archiving = LogArchiving(
        on.logs,
        on.log_archive,
        on.clock,
        after=round(on.config.log_archive_seconds * 1e6),
        retention=round(on.config.log_retention_days * 86_400e6),
    )
    moves = ReservationMoves(on.database, areas.inventory.cluster, on.clock)
    deliveries = DeliveryRemoval(
        on.database, on.clock, round(on.config.webhook_retention_days * 86_400e6)
    )
    telemetry = areas.inventory.telemetry_upkeep
    forgetting = PreemptionRemoval(on.database, on.clock)
    return (
        Loop("nodes", liveness.cycle, interval_seconds=heartbeat),
        Loop("allocations", leases.cycle, interval_seconds=_LEASES_SECONDS),
        Loop("run times", learning.cycle, interval_seconds=_LEARNING_SECONDS),
        Loop("checkpoints", discarding.cycle, interval_seconds=_CHECKPOINTS_SECONDS),
        Loop("artifacts", removing.cycle, interval_seconds=_ARTIFACTS_SECONDS),
        Loop("sources", clearing.cycle, interval_seconds=_SOURCES_SECONDS),
        Loop("logs", archiving.cycle, interval_seconds=_logs_seconds(on.config)),
        Loop("telemetry", telemetry.cycle, interval_seconds=_TELEMETRY_SECONDS),
        Loop("preemptions", forgetting.cycle, interval_seconds=_PREEMPTIONS_SECONDS),
        Loop("reservations", moves.cycle, interval_seconds=_RESERVATIONS_SECONDS),
        Loop("pace", nodes.pace.cycle, interval_seconds=CYCLE_SECONDS),
        Loop("old deliveries", deliveries.cycle, interval_seconds=_DELIVERIES_SECONDS),
    )


def _webhooks(on: Foundation, areas: Areas, sender: WebhookSender) -> WebhookDuties:
    """What finds out what webhooks are told of, and tells them."""
    settled = SettledEvents(on.database, on.clock)
    return WebhookDuties(
        WebhookMatching(on.database, on.clock, on.ids, settled),
        WebhookTelling(
            on.database, on.clock, areas.identity.seal, sender, on.meters.webhook_attempted
        ),
        on.hints.delivery_due,
    )


def _told(hub: EventHub) -> Callable[[Sequence[str]], None]:
    """Tells those who listen to the objects of new events, and those who listen to all of them."""

    def tell(topics: Sequence[str]) -> None:
        hub.tell((*topics, EVERYTHING))

    return tell


def _logs_seconds(config: ServerConfig) -> float:
    """Often enough for when logs go."""
    return min(_LOGS_SECONDS, max(config.log_archive_seconds / 10, 1.0))


def _lease(on: Foundation) -> SchedulerLease:
    """Who of several servers is the scheduler."""
    holder = on.data_dir.server_id(lambda: on.ids.new("server"))
    alone = on.database.name == "sqlite"
    return SchedulerLease(on.database, on.clock, holder, alone=alone, look=on.hints.world_changed)


def _federation(on: Foundation, areas: Areas) -> Federation:
    """What keeps a session with each remote cluster."""
    inventory, remote_runs = areas.inventory, areas.jobs.remote_runs
    # SQLite has one server: what held the leases before is gone.
    holder = on.database.name if on.database.name == "sqlite" else on.ids.new("server")
    contacts = RemoteContacts(on.database, inventory.remote_clusters, on.clock, holder)
    connector = Connector(areas.identity.seal)
    hints = SessionHints(on.hints.remote_runs_changed, on.hints.remote_room_changed)

    def new_session(of: RemoteCluster) -> ClusterSession:
        return ClusterSession(of, connector.open, remote_runs, contacts, on.logs, on.clock, hints)

    return Federation(
        on.database,
        inventory.remote_clusters,
        inventory.cluster,
        remote_runs,
        inventory.remote_waits,
        on.clock,
        new_session,
    )


def _health_seconds(config: ServerConfig) -> float:
    """Often enough for what has to be waited for."""
    shortest = min(config.health.burn_in_seconds, config.health.quiet_seconds)
    return min(_HEALTH_SECONDS, max(shortest, _HEALTH_SECONDS / 50))
