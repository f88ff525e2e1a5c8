"""Fourth stage: the contract's services, and the chain that every call takes to them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from windlass.options.v1.options_pb2 import Authz
from windlass_server import __version__
from windlass_server.access.rpc import AccessRpc
from windlass_server.config import ServerConfig
from windlass_server.jobs.batch_rpc import Single
from windlass_server.jobs.job_templates_rpc import JobTemplatesRpc
from windlass_server.jobs.profiles import JobProfiles
from windlass_server.jobs.queues_rpc import QueuesRpc
from windlass_server.jobs.rpc import JobsRpc
from windlass_server.nodes.rpc import AgentsRpc
from windlass_server.resources.exposition import NodeExposition
from windlass_server.resources.live import LiveTelemetry
from windlass_server.resources.metrics import NodeMetrics
from windlass_server.resources.rpc import ResourcesRpc
from windlass_server.rpc.authentication import Authentication
from windlass_server.rpc.authorisation import Authorisation
from windlass_server.rpc.call import Method
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.errors import to_status
from windlass_server.rpc.limits import CallerLimits, Limits
from windlass_server.rpc.metering import Metering
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import Observer, Pipeline
from windlass_server.rpc.reflection import reflection_method
from windlass_server.rpc.request_id import RequestId
from windlass_server.rpc.validation import Validation
from windlass_server.system.rpc import SystemRpc
from windlass_server.telemetry.custom import CustomMetrics
from windlass_server.telemetry.ingest import Ingest
from windlass_server.wiring.areas import Areas
from windlass_server.wiring.foundation import Foundation

if TYPE_CHECKING:
    from windlass_server.open_telemetry import OpenTelemetry

PUBLIC_SERVICES = (
    "windlass.access.v1.AccessService",
    "windlass.jobs.v1.JobTemplatesService",
    "windlass.jobs.v1.JobsService",
    "windlass.jobs.v1.QueuesService",
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
_CALLER_METHOD = "/windlass.access.v1.AccessService/GetCaller"


@dataclass(frozen=True, slots=True)
class Calls:
    """How calls reach the services; those to no method need a credential to learn that."""

    pipeline: Pipeline
    unrouted: Method
    draining: Draining
    open_telemetry: "OpenTelemetry | None"


def admit_calls(on: Foundation, areas: Areas) -> Calls:
    """Put the chain before the services."""
    config = on.config
    validation = Validation()
    methods = _methods(on, areas, Single(validation.check, to_status))
    observers: list[Observer] = [Metering(on.meters)]
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
            Authentication(areas.identity.authenticator),
            CallerLimits(config.max_calls_per_caller, config.max_streams_per_caller),
        ],
        after_parsing=[Authorisation()],
        validation=validation,
        draining=draining,
        observers=observers,
    )
    return Calls(pipeline, methods[_CALLER_METHOD], draining, open_telemetry)


def _methods(on: Foundation, areas: Areas, single: Single) -> dict[str, Method]:
    """Every method that is served, by its path."""
    services = [*PUBLIC_SERVICES, AGENTS_SERVICE]
    methods = served_methods(_servicers(on, areas, single))
    if on.config.reflection:
        reflection = reflection_method(services)
        methods[reflection.path] = reflection
    if on.config.public_metrics:
        exported = methods[_METRICS_METHOD]
        methods[_METRICS_METHOD] = replace(exported, authz=Authz(public=True))
    return methods


def _servicers(on: Foundation, areas: Areas, single: Single) -> dict[str, object]:
    """Who answers for each service."""
    jobs, nodes, inventory = areas.jobs, areas.nodes, areas.inventory
    profiles = JobProfiles(on.database, nodes.registry.ask_profile, on.ids)
    return {
        "windlass.access.v1.AccessService": AccessRpc(
            areas.identity.access,
            areas.identity.quotas,
            areas.identity.events,
            areas.identity.secrets,
            areas.identity.webhooks,
            areas.identity.deliveries,
            on.clock,
        ),
        "windlass.jobs.v1.JobsService": JobsRpc(
            jobs.service,
            jobs.reader,
            jobs.logs,
            jobs.metrics,
            jobs.shown_checkpoints,
            jobs.forecasts,
            jobs.actions,
            jobs.artifacts,
            jobs.sources,
            jobs.batches,
            profiles,
            single,
            jobs.array_indices,
            jobs.templated,
        ),
        "windlass.jobs.v1.JobTemplatesService": JobTemplatesRpc(jobs.templates),
        "windlass.jobs.v1.QueuesService": QueuesRpc(jobs.queues),
        "windlass.resources.v1.ResourcesService": _resources_rpc(on, areas),
        "windlass.system.v1.SystemService": SystemRpc(
            on.database,
            on.clock.now(),
            [*PUBLIC_SERVICES, AGENTS_SERVICE],
            on.meters,
            NodeExposition(on.database, inventory.latest),
        ),
        AGENTS_SERVICE: AgentsRpc(
            nodes.membership,
            nodes.registry,
            jobs.runs,
            on.logs,
            Ingest(inventory.latest, inventory.recent, on.meters),
            CustomMetrics(on.database, on.clock),
            profiles,
            jobs.checkpoints,
            jobs.run_artifacts,
            jobs.sources,
            nodes.pace,
        ),
    }


def _resources_rpc(on: Foundation, areas: Areas) -> ResourcesRpc:
    nodes, capacity, inventory = areas.nodes, areas.capacity, areas.inventory
    return ResourcesRpc(
        nodes.service,
        nodes.upkeep,
        nodes.removal,
        capacity.allocations,
        capacity.clusters,
        capacity.pools,
        capacity.usage,
        capacity.prices,
        NodeMetrics(on.database, inventory.history, on.clock),
        LiveTelemetry(on.database, inventory.latest, on.clock),
        nodes.drains,
        capacity.reservations,
        capacity.policies,
        capacity.shares,
        capacity.simulations,
        inventory.latest,
        on.clock,
    )


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
