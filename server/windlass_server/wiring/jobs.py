"""Jobs, their runs here and elsewhere, their logs and checkpoints."""

from dataclasses import dataclass

from windlass_server.jobs.actions import JobActions
from windlass_server.jobs.array_indices import ArrayIndices
from windlass_server.jobs.arrays import ArrayHints, ArraysService
from windlass_server.jobs.artifact_content import ArtifactContent
from windlass_server.jobs.artifacts import ArtifactsService
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.forecasts import Forecasts
from windlass_server.jobs.job_checkpoints import JobCheckpoints
from windlass_server.jobs.job_templates import JobTemplatesService
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.metrics import JobMetrics
from windlass_server.jobs.queues import QueuesService
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.retrying import RetriesService
from windlass_server.jobs.run_artifacts import RunArtifacts
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.sources import Keeping as KeptSources
from windlass_server.jobs.sources import SourcesService
from windlass_server.jobs.suspending import Suspensions
from windlass_server.jobs.templated_jobs import TemplatedJobs
from windlass_server.jobs.user_holds import UserHolds
from windlass_server.jobs.world import World
from windlass_server.objects.store import ObjectStore
from windlass_server.rpc.validation import Validation
from windlass_server.wiring.foundation import Foundation
from windlass_server.wiring.identity import Identity
from windlass_server.wiring.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Jobs:
    """The services of the jobs area."""

    service: JobsService
    actions: JobActions
    suspensions: Suspensions
    dependencies: DependenciesService
    reader: JobReader
    runs: RunsService
    remote_runs: RemoteRunsService
    logs: JobLogs
    metrics: JobMetrics
    checkpoints: CheckpointsService
    shown_checkpoints: JobCheckpoints
    artifacts: ArtifactsService
    run_artifacts: RunArtifacts
    sources: SourcesService
    world: World
    forecasts: Forecasts
    batches: JobBatches
    queues: QueuesService
    arrays: ArraysService
    array_indices: ArrayIndices
    templates: JobTemplatesService
    templated: TemplatedJobs


def provide_jobs(on: Foundation, identity: Identity, inventory: Inventory) -> Jobs:
    """Jobs that run on what there is."""
    hints = on.hints
    runs = RunsService(
        on.database,
        on.logs,
        on.clock,
        on.ids,
        capacity_freed=hints.run_ended,
        runs_changed=hints.runs_changed,
        secrets=identity.secrets.opened,
        job_started=hints.job_started,
        preempted=on.meters.jobs_preempted,
    )
    remote_runs = RemoteRunsService(
        on.database,
        on.logs,
        on.clock,
        on.ids,
        job_queued=hints.job_queued,
        runs_changed=hints.remote_runs_changed,
    )
    elsewhere = Elsewhere(inventory.remote_clusters, remote_runs, hints.remote_runs_changed)
    service = JobsService(
        on.database,
        inventory.cluster,
        on.clock,
        on.ids,
        on.page_tokens,
        JobHints(hints.job_queued, hints.runs_changed, hints.job_held, hints.array_changed),
        elsewhere,
    )
    store = ObjectStore.open(on.config.objects_url, on.data_dir.path / "objects")
    checkpoints = _checkpoints(on, store)
    artifacts = _artifacts(on, store)
    suspensions = Suspensions(
        on.database, on.clock, elsewhere, hints.runs_changed, hints.job_queued
    )
    templated = TemplatedJobs(on.database, Validation().check)
    world = World(on.database, inventory.cluster, on.clock, inventory.recent_usage)
    return Jobs(
        service=service,
        actions=JobActions(
            service,
            RetriesService(on.database, service, Validation().check),
            UserHolds(
                on.database,
                on.clock,
                inventory.cluster.first_reason,
                hints.job_queued,
                hints.job_held,
            ),
            suspensions,
        ),
        suspensions=suspensions,
        dependencies=DependenciesService(
            on.database,
            on.clock,
            inventory.cluster.first_reason,
            hints.job_queued,
            hints.array_changed,
        ),
        reader=JobReader(on.database, on.page_tokens, on.clock),
        runs=runs,
        remote_runs=remote_runs,
        logs=JobLogs(runs, on.logs, on.hub),
        metrics=JobMetrics(on.database, inventory.history, on.clock),
        checkpoints=checkpoints,
        shown_checkpoints=JobCheckpoints(on.database, checkpoints, on.page_tokens),
        artifacts=artifacts,
        run_artifacts=RunArtifacts(
            on.database,
            artifacts,
            on.clock,
            forced=round(on.config.checkpoint_forced_seconds * 1e6),
        ),
        sources=_sources(on, store),
        world=world,
        forecasts=Forecasts(on.database, world, service, on.clock),
        batches=JobBatches(on.database, service, templated),
        templates=JobTemplatesService(on.database, on.clock, on.page_tokens, Validation().check),
        templated=templated,
        queues=QueuesService(on.database, on.clock, on.page_tokens, hints.world_changed),
        arrays=ArraysService(
            on.database,
            on.clock,
            on.ids,
            inventory.cluster.first_reason,
            ArrayHints(hints.job_queued, hints.runs_changed),
        ),
        array_indices=ArrayIndices(on.database, on.clock, on.page_tokens, hints.array_changed),
    )


def _checkpoints(on: Foundation, store: ObjectStore) -> CheckpointsService:
    config = on.config
    keeping = Keeping(
        max_bytes=config.checkpoint_max_bytes,
        newest=config.checkpoints_kept,
        after_end=round(config.checkpoint_keep_seconds * 1e6),
        for_retry=round(config.checkpoint_retry_seconds * 1e6),
        forced=round(config.checkpoint_forced_seconds * 1e6),
    )
    return CheckpointsService(on.database, store, on.clock, on.ids, keeping)


def _sources(on: Foundation, store: ObjectStore) -> SourcesService:
    config = on.config
    keeping = KeptSources(
        max_bytes=config.source_max_bytes,
        project_bytes=config.source_project_bytes,
        unused=round(config.source_keep_days * 86_400e6),
    )
    return SourcesService(on.database, store, on.clock, on.ids, on.page_tokens, keeping)


def _artifacts(on: Foundation, store: ObjectStore) -> ArtifactsService:
    config = on.config
    content = ArtifactContent(
        on.database, store, on.clock, on.ids, max_bytes=config.artifact_max_bytes
    )
    return ArtifactsService(
        on.database,
        content,
        on.clock,
        on.ids,
        on.page_tokens,
        idle=round(config.artifact_upload_seconds * 1e6),
    )
