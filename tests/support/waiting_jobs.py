"""A cluster of one node whose jobs wait for each other, in this process, on a test's database."""

from pathlib import Path

from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller
from windlass_server.controllers.job_waits import JobWaits
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.ids import IdSource
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.retrying import RetriesService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.jobs.suspending import Suspensions
from windlass_server.jobs.user_holds import UserHolds
from windlass_server.paging import PageTokens
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import EventRow, JobRow

SECOND = 1_000_000


class Waiting:
    """A cluster of one node, to which jobs are submitted, and the duty that lets them into the queue."""

    def __init__(self, world: ScheduledWorld) -> None:
        self.world = world
        self.clock = world.clock
        self.queued: list[str] = []
        database, cluster, clock = world.database, world.cluster, world.clock
        ids = IdSource(clock)
        self.jobs = JobsService(
            database,
            cluster,
            clock,
            ids,
            PageTokens(b"key"),
            JobHints(self.queued.append, lambda _node_id: None),
            nowhere_else(database, world.logs, clock, ids),
        )
        self.retries = RetriesService(database, self.jobs, Validation().check)
        self.suspensions = Suspensions(
            database,
            clock,
            nowhere_else(database, world.logs, clock, ids),
            lambda _node_id: None,
            self.queued.append,
        )
        self.holds = UserHolds(
            database, clock, cluster.first_reason, self.queued.append, lambda: None
        )
        self.service = DependenciesService(
            database, clock, cluster.first_reason, self.queued.append
        )
        self.start_duty()

    def start_duty(self) -> None:
        """As a server does that starts: what it had heard is forgotten."""
        self.duty = JobWaits(self.service, self.suspensions, self.clock)
        self.outbox = OutboxDispatcher(self.world.database, [self.duty.changed])

    @classmethod
    async def start(cls, database: Database, folder: Path) -> "Waiting":
        world = await ScheduledWorld.start(database, folder)
        await world.add_node("n1")
        await database.read(world.cluster.load)
        return cls(world)

    async def submit(
        self,
        *awaited: tuple[str, str],
        who: Caller = ADA,
        priority: int = 0,
        start_in: float = 0,
        follow_retries: bool = False,
        name: str = "",
    ) -> str:
        """A job that waits for others, each in a way."""
        spec = self.spec(awaited, priority, start_in)
        spec.name = name
        for one in spec.dependencies:
            one.follow_retries = follow_retries
        return (await self.jobs.submit(who, spec)).job_id

    def spec(
        self, awaited: tuple[tuple[str, str], ...] = (), priority: int = 0, start_in: float = 0
    ) -> job_pb2.Job:
        spec = job_pb2.Job(project="default", command=["true"], priority=priority)
        for way, job_id in awaited:
            spec.dependencies.add(job_id=job_id, type=job_pb2.Dependency.Type.Value(way))
        if start_in:
            spec.start_after.FromMicroseconds(self.clock.now() + round(start_in * SECOND))
        return spec

    async def settle(self) -> float | None:
        """Let the duty hear of all that has happened, also of what it does itself."""
        wanted = None
        for _ in range(10):
            await self.outbox.cycle()
            wanted = await self.duty.cycle()
        return wanted

    async def run(self, job_id: str) -> None:
        await self.world.cycle(job_id)
        await self.world.report(job_id, "RUNNING")

    async def succeed(self, job_id: str) -> None:
        await self.run(job_id)
        await self.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)

    async def fail(self, job_id: str) -> None:
        await self.run(job_id)
        await self.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=1)

    async def cancel(self, job_id: str) -> None:
        job = await self.jobs.cancel(ADA, job_id, reason="")
        if job.status == Status.CANCELLING:
            await self.world.report(job_id, "EXITED", cause="STOPPED")

    async def job(self, job_id: str) -> JobRow:
        return await self.world.job(job_id)

    async def events(self, job_id: str) -> list[EventRow]:
        """What has happened to a job, oldest first."""
        return [
            *await self.world.database.read(lambda tx: tx.events.page(job_id, after=0, size=100))
        ]

    async def reason(self, job_id: str) -> str:
        return (await self.job(job_id)).status_reason

    async def becomes(self, job_id: str) -> str:
        """WAITS, READY, or how it has ended."""
        job = await self.job(job_id)
        queue = await self.world.database.read(lambda tx: tx.jobs.queued(100))
        ready = job_id in {one.job_id for one in queue}
        assert ready == (job.status == Status.QUEUED and not job.held)
        if job.status == Status.QUEUED:
            return "READY" if ready else "WAITS"
        return Status(job.status).name
