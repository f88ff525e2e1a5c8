"""The work with one remote cluster in this process: the test makes up what that answers."""

from pathlib import Path
from typing import Any

from tests.support.fake_remote import FakeRemote
from tests.support.jobs import add_jobs, job_columns
from tests.support.remote_runs import nowhere_else, remote_runs
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1.cluster_pb2 import Cluster
from windlass.resources.v1.remote_cluster_pb2 import RemoteSettings, RemoteStatus
from windlass.types.v1 import types_pb2
from windlass_server.federation.link import Calls, LinkDown
from windlass_server.federation.session import ClusterSession, SessionHints
from windlass_server.ids import IdSource
from windlass_server.jobs.messages import to_proto
from windlass_server.resources.remote_clusters import RemoteCluster, RemoteClusters
from windlass_server.resources.remote_contacts import RemoteContacts
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import RemoteRunRow

Job = job_pb2.Job
CUT = LinkDown("UNAVAILABLE: connection reset")


class World:
    """The session with `west`, which has one node of eight H100."""

    def __init__(self, resources: ResourcesWorld, clusters: RemoteClusters) -> None:
        self.clusters = clusters
        self.told: list[str] = []
        (self.cluster,) = clusters.all
        self.database, self.clock = resources.database, resources.clock
        self.scheduled = resources.scheduled
        self.remote = FakeRemote()
        self.remote.add_node()
        ids = IdSource(self.clock)
        self.runs = remote_runs(self.database, self.scheduled.logs, self.clock, ids)
        self.elsewhere = nowhere_else(self.database, self.scheduled.logs, self.clock, ids)
        self.session = self.another("me")

    @classmethod
    async def start(cls, database: Database, folder: Path) -> "World":
        """West is registered, and nobody has spoken to it yet."""
        resources = await ResourcesWorld.start(database, folder)
        settings = RemoteSettings(endpoint="127.0.0.1:1", api_key="wlk_x", project="guests")
        settings.spill_over_after.seconds = 0
        west = Cluster(cluster_id="west", kind=Cluster.REMOTE, remote=settings)
        await resources.clusters.create(ADMIN, west)
        clusters = RemoteClusters()
        await database.read(clusters.load)
        return cls(resources, clusters)

    def another(self, holder: str) -> ClusterSession:
        """A session of another server."""
        contacts = RemoteContacts(self.database, self.clusters, self.clock, holder)
        hints = SessionHints(self.told.append, lambda: self.told.append("room"))
        return ClusterSession(
            self.cluster,
            self._connect,
            self.runs,
            contacts,
            self.scheduled.logs,
            self.clock,
            hints,
        )

    def _connect(self, cluster: RemoteCluster) -> Calls:
        return self.remote

    async def cycle(self) -> None:
        """Let the session look, a second later."""
        self.clock.advance(1)
        await self.session.cycle()

    async def hand_over(self, *, gpus: int = 0) -> str:
        """A job of the queue, given to west; its id."""
        spec = Job(
            command=["true"],
            resources=types_pb2.ResourceRequest(
                cpu_millis=1000, memory_bytes=1 << 28, gpu_count=gpus
            ),
        )
        columns = job_columns(spec=spec.SerializeToString())
        await self.database.write(lambda tx: add_jobs(tx, columns))
        assert await self.runs.hand_over(str(columns["job_id"]), 1, "west")
        return str(columns["job_id"])

    async def running(self, *output: str) -> str:
        """A job that runs at west and has printed this; its id."""
        job_id = await self.hand_over()
        await self.cycle()
        self.remote.set(Job.RUNNING)
        (there,) = self.remote.jobs
        self.remote.output[there] = list(output)
        await self.cycle()
        assert await self.status(job_id) == ("RUNNING", "STARTED")
        return job_id

    async def status(self, job_id: str) -> tuple[str, str]:
        job = to_proto(await self.scheduled.job(job_id))
        return Job.Status.Name(job.status), job.status_reason

    async def run(self, job_id: str) -> RemoteRunRow:
        (row,) = await self.database.read(lambda tx: tx.remote_runs.of_job(job_id))
        return row

    async def state(self) -> tuple[str, str]:
        row = await self.database.read(lambda tx: tx.remote_clusters.get("west"))
        assert row is not None
        return RemoteStatus.State.Name(row.state), row.state_message

    async def silent(self) -> None:
        """West does not answer for longer than anybody waits."""
        self.remote.fails["every"] = CUT
        await self.cycle()
        self.clock.advance(5)
        await self.cycle()

    async def text(self, job_id: str) -> str:
        """What is here of a job's output."""
        return (await self.scheduled.follow(job_id))[0]

    async def stop(self, job_id: str) -> None:
        """Somebody cancels a job."""

        def store(tx: Any) -> None:
            job = tx.jobs.lock(job_id)
            tx.jobs.change(job_id, job.version, status=4, status_reason="CANCEL_REQUESTED")
            self.elsewhere.stop(tx, job)

        await self.database.write(store)
