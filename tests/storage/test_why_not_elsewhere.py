"""What a job is told that waits here for a remote cluster, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster_session import World
from tests.support.jobs import add_jobs, job_columns
from windlass.jobs.v1 import job_pb2
from windlass.types.v1 import types_pb2
from windlass_server.controllers.federation import Federation
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.jobs.world import World as SchedulerWorld
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    made = await World.start(database, tmp_path)
    yield made
    await made.session.close()
    await made.scheduled.logs.close()


async def test_a_job_that_only_a_silent_cluster_could_run_is_told_so(world: World):
    scheduled, waits = world.scheduled, RemoteWaits()
    scheduling = Scheduling(
        world.database,
        SchedulerWorld(
            world.database,
            scheduled.cluster,
            world.clock,
            RecentUsage(world.database, world.clock),
        ),
        scheduled.runs,
        scheduled.layouts,
        world.clock,
        waits,
        scheduled.lease,
    )
    federation = Federation(
        world.database,
        world.clusters,
        scheduled.cluster,
        world.runs,
        waits,
        world.clock,
        lambda _cluster: world.another("me"),
    )
    await world.cycle()
    await world.silent()
    await scheduled.add_node("small")
    asked = types_pb2.ResourceRequest(
        cpu_millis=1000, memory_bytes=1 << 28, gpu_count=5, gpu_type="H100"
    )
    spec = job_pb2.Job(command=["true"], project="default", resources=asked)
    columns = job_columns(spec=spec.SerializeToString(), gpu_count=5, gpu_type="H100")
    job_id = str(columns["job_id"])
    await world.database.write(lambda tx: add_jobs(tx, columns))
    await scheduling.cycle()
    local = (await scheduled.job(job_id)).status_message
    await federation.cycle()
    await scheduling.cycle()
    assert await world.status(job_id) == ("QUEUED", "CLUSTER_UNREACHABLE")
    told = (await scheduled.job(job_id)).status_message
    assert told == f"cluster west does not answer; here: {local}"

    def remove(tx: Transaction) -> None:
        tx.remote_clusters.remove("west")
        tx.clusters.remove("west")

    # Of a cluster that is removed nobody is told any more.
    await world.database.write(remove)
    await federation.cycle()
    await scheduling.cycle()
    await federation.close()
    assert (await scheduled.job(job_id)).status_message == local
