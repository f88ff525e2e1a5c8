"""Other clusters without other servers: tests say what those answer."""

from typing import cast

from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_jobs, job_columns
from windlass_server.clock import Clock
from windlass_server.ids import IdSource
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.objects.logs import LogStore
from windlass_server.resources.remote_clusters import RemoteClusters
from windlass_server.storage.engine import Database


def nowhere_else(database: Database, logs: LogStore, clock: Clock, ids: IdSource) -> Elsewhere:
    """No other clusters at all."""
    return Elsewhere(
        RemoteClusters(), remote_runs(database, logs, clock, ids), lambda _cluster_id: None
    )


def remote_runs(
    database: Database, logs: LogStore, clock: Clock, ids: IdSource
) -> RemoteRunsService:
    """Runs elsewhere, of which nobody is told."""
    return RemoteRunsService(
        database,
        logs,
        clock,
        ids,
        job_queued=lambda _job_id: None,
        runs_changed=lambda _cluster_id: None,
    )


async def a_job_at(database: Database, cluster_id: str) -> str:
    """A job that has been given to a cluster; returns the run there."""
    clock = FakeClock()
    runs = RemoteRunsService(
        database,
        cast("LogStore", None),
        clock,
        IdSource(clock),
        job_queued=lambda _job_id: None,
        runs_changed=lambda _cluster_id: None,
    )
    columns = job_columns()
    await database.write(lambda tx: add_jobs(tx, columns))
    assert await runs.hand_over(columns["job_id"], 1, cluster_id)
    (run,) = await runs.open_at(cluster_id)
    return str(run.run_id)
