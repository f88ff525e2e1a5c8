"""The jobs API in this process, on a test's database: gRPC bytes in and out, through the pipeline."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from tests.support.access import Access, start_access
from tests.support.remote_runs import nowhere_else
from tests.support.secrets import opening
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.jobs.actions import JobActions
from windlass_server.jobs.array_indices import ArrayIndices
from windlass_server.jobs.artifact_content import ArtifactContent
from windlass_server.jobs.artifacts import ArtifactsService
from windlass_server.jobs.batch_rpc import Single
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.forecasts import Forecasts
from windlass_server.jobs.job_checkpoints import JobCheckpoints
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.metrics import JobMetrics
from windlass_server.jobs.profiles import JobProfiles
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.retrying import RetriesService
from windlass_server.jobs.rpc import JobsRpc
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.sources import Keeping as KeptSources
from windlass_server.jobs.sources import SourcesService
from windlass_server.jobs.suspending import Suspensions
from windlass_server.jobs.templated_jobs import TemplatedJobs
from windlass_server.jobs.user_holds import UserHolds
from windlass_server.jobs.world import World
from windlass_server.objects.logs import LogStore
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.rpc.authentication import Authentication
from windlass_server.rpc.authorisation import Authorisation
from windlass_server.rpc.call import Call
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.errors import to_status
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import Pipeline
from windlass_server.rpc.request_id import RequestId
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as
from windlass_server.telemetry.history import TelemetryHistory
from windlass_server.telemetry.levels import Retention
from windlass_server.telemetry.recent import RecentHistory

SERVICE = "windlass.jobs.v1.JobsService"
M = TypeVar("M", bound=Message)


@dataclass
class JobsApi:
    """A client of the pipeline.

    Attributes:
        queued: the ids of the jobs that the scheduler was told of.
    """

    pipeline: Pipeline
    access: Access
    database: Database
    cluster: Cluster
    logs: LogStore
    queued: list[str] = field(default_factory=list)

    async def call(self, method: str, request: Message, answer: type[M]) -> M:
        """Call as the administrator; raises `CallFailed`."""
        return answer.FromString(await self.call_bytes(method, request.SerializeToString()))

    async def call_bytes(self, method: str, request: bytes) -> bytes:
        """The same with serialized messages."""
        metadata = {"authorization": [f"Bearer {self.access.admin_key}"]}
        call = Call(method=self.pipeline.methods[f"/{SERVICE}/{method}"], metadata=metadata)
        return await self.pipeline.unary(call, request)


async def start_jobs_api(database: Database, folder: Path) -> JobsApi:
    """Set the database up and build what serves jobs."""
    with acting_as("test"):
        access = await start_access(database, folder)
    clock, ids = access.clock, IdSource(access.clock)
    tokens = PageTokens(access.secrets.page_token_key)
    hub = EventHub()
    logs = LogStore(folder / "logs", hub)
    queued: list[str] = []
    runs = RunsService(
        database,
        logs,
        clock,
        ids,
        capacity_freed=lambda: None,
        runs_changed=lambda _node_id: None,
        secrets=opening(database, clock),
    )
    cluster = Cluster(database, (), lambda _node_id: frozenset())
    hints = JobHints(queued.append, lambda _node_id: None)
    jobs = JobsService(
        database, cluster, clock, ids, tokens, hints, nowhere_else(database, logs, clock, ids)
    )
    history = TelemetryHistory(
        database, RecentHistory(clock), clock, Retention.of_days((1, 14, 90, 730))
    )
    metrics = JobMetrics(database, history, clock)
    objects = ObjectStore.open("", folder / "objects")
    kept = Keeping(max_bytes=1 << 20, newest=2, after_end=0)
    checkpoints = JobCheckpoints(
        database, CheckpointsService(database, objects, clock, ids, kept), tokens
    )
    validation = Validation()
    templated = TemplatedJobs(database, validation.check)
    rpc = JobsRpc(
        jobs,
        JobReader(database, tokens, clock),
        JobLogs(runs, logs, hub),
        metrics,
        checkpoints,
        Forecasts(
            database, World(database, cluster, clock, RecentUsage(database, clock)), jobs, clock
        ),
        JobActions(
            jobs,
            RetriesService(database, jobs, Validation().check),
            UserHolds(database, clock, cluster.first_reason, queued.append, lambda: None),
            Suspensions(
                database,
                clock,
                nowhere_else(database, logs, clock, ids),
                lambda _node_id: None,
                queued.append,
            ),
        ),
        ArtifactsService(
            database,
            ArtifactContent(database, objects, clock, ids, max_bytes=1 << 30),
            clock,
            ids,
            tokens,
            idle=3_600_000_000,
        ),
        SourcesService(
            database,
            objects,
            clock,
            ids,
            tokens,
            KeptSources(max_bytes=1 << 20, project_bytes=4 << 20, unused=3_600_000_000),
        ),
        JobBatches(database, jobs, templated),
        JobProfiles(database, lambda _node_id, _directive: False, ids),
        Single(validation.check, to_status),
        ArrayIndices(database, clock, tokens, lambda _job_id: None),
        templated,
    )
    pipeline = Pipeline(
        served_methods({SERVICE: rpc}),
        before_parsing=[RequestId(), Authentication(access.authenticator)],
        after_parsing=[Authorisation()],
        validation=validation,
        draining=Draining(),
    )
    return JobsApi(pipeline, access, database, cluster, logs, queued)
