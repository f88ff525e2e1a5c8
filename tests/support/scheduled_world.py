"""Nodes, jobs and the scheduler's cycle in this process, on a test's database and a clock of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_jobs, add_projects, job_columns
from tests.support.nodes import an_inventory, node_columns
from tests.support.secrets import opening
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import pool_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.controllers.scheduler_lease import SchedulerLease
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.jobs.logs import JobLogs, LogRequest
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.world import World
from windlass_server.objects.logs import LogStore
from windlass_server.paging import PageTokens
from windlass_server.resources.allocations import AllocationsService
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import DEFAULT_POOL, JobRow
from windlass_server.storage.transaction import Transaction

ADA = Caller(user="ada", roles={"default": Role.ADMIN})


async def a_lease(database: Database, clock: FakeClock, holder: str = "server-1") -> SchedulerLease:
    """The lease of a server that is the scheduler."""
    lease = SchedulerLease(database, clock, holder, alone=True, look=lambda: None)
    await lease.cycle()
    assert lease.epoch is not None
    return lease


@dataclass
class ScheduledWorld:
    """A cluster without agents: the test says what its nodes report."""

    database: Database
    clock: FakeClock
    logs: LogStore
    runs: RunsService
    scheduling: Scheduling
    job_logs: JobLogs
    allocations: AllocationsService
    cluster: Cluster
    layouts: LayoutsService
    lease: SchedulerLease
    layouts_changed: list[str]
    """The nodes that were hinted at a layout, in turn."""

    @classmethod
    async def start(cls, database: Database, folder: Path, clock: FakeClock | None = None) -> Self:
        """An empty one."""
        clock = clock or FakeClock()
        hub = EventHub()
        logs = LogStore(folder / "logs", hub)
        runs = RunsService(
            database,
            logs,
            clock,
            IdSource(clock),
            capacity_freed=lambda: None,
            runs_changed=lambda _node_id: None,
            secrets=opening(database, clock),
        )
        cluster = Cluster(database, (), lambda _node_id: frozenset())
        await database.write(lambda tx: add_projects(tx, "default"))
        layouts_changed: list[str] = []
        layouts = LayoutsService(database, clock, layouts_changed.append)
        world = World(database, cluster, clock, RecentUsage(database, clock))
        lease = await a_lease(database, clock)
        scheduling = Scheduling(database, world, runs, layouts, clock, RemoteWaits(), lease)
        job_logs = JobLogs(runs, logs, hub)
        allocations = AllocationsService(
            database, cluster, clock, IdSource(clock), PageTokens(b"key"), lambda: None
        )
        return cls(
            database,
            clock,
            logs,
            runs,
            scheduling,
            job_logs,
            allocations,
            cluster,
            layouts,
            lease,
            layouts_changed,
        )

    async def add_node(self, name: str, **values: Any) -> str:
        """A READY node; returns its id."""
        columns = node_columns(name=name, **values)
        await self.database.write(lambda tx: tx.nodes.add(columns))
        return str(columns["node_id"])

    async def share_gpus(self, most: int = 0, *, enabled: bool = True) -> None:
        """Let jobs share the GPUs of the default pool, at most so many one of them."""
        sharing = pool_pb2.GpuSharing(enabled=enabled, max_jobs_per_gpu=most)
        spec = pool_pb2.Pool(sharing=sharing).SerializeToString()
        columns = {"spec": spec, "version": 1, "created_at": 0, "updated_at": 0}

        def store(tx: Transaction) -> None:
            if not tx.pools.add({"pool_id": DEFAULT_POOL} | columns):
                tx.pools.change(DEFAULT_POOL, spec=spec)

        await self.database.write(store)

    async def say_hello(self, node_id: str) -> None:
        """Let a node connect again, as it was."""
        inventory = an_inventory()
        await self.database.write(lambda tx: self.store_hello(tx, node_id, inventory))

    def store_hello(self, tx: Transaction, node_id: str, inventory: agent_pb2.Inventory) -> None:
        """A node's word that it is there and what it has, in a transaction."""
        tx.nodes.hello(
            node_id,
            name=inventory.hostname,
            inventory=inventory.SerializeToString(),
            pool="default",
            cpu_millis=inventory.cpu_millis,
            memory_bytes=inventory.memory_bytes,
            reason="AGENT_CONNECTED",
            message="its agent is connected",
            at=self.clock.now(),
            seen_at=self.clock.now(),
        )

    async def add_job(self, **values: Any) -> str:
        """A queued job; returns its id."""
        columns = job_columns(**values)
        await self.database.write(lambda tx: add_jobs(tx, columns))
        return str(columns["job_id"])

    async def job(self, job_id: str) -> JobRow:
        """The job as it is now."""
        row = await self.database.read(lambda tx: tx.jobs.get(job_id))
        assert row is not None
        return row

    async def cycle(self, job_id: str) -> JobRow:
        """Let the scheduler look once at everything; the job as it is then."""
        self.scheduling.world_changed()
        await self.scheduling.cycle()
        return await self.job(job_id)

    async def report(self, job_id: str, state: str, **exit_: Any) -> agent_pb2.RunDirective | None:
        """Let the job's node report its run; `exit_` is how it ended."""
        job = await self.job(job_id)
        report = agent_pb2.RunReport(run_id=job.run_id, epoch=job.attempt, state=state)
        if exit_:
            report.exit.CopyFrom(agent_pb2.RunExit(**exit_))
        return await self.runs.report(job.node_id, report)

    async def follow(self, job_id: str) -> tuple[str, job_pb2.LogEnd]:
        """The output of a job and the end of its log, when that has come."""
        text = ""
        messages = self.job_logs.stream(ADA, job_id, LogRequest(follow=True))
        async for message in messages:
            text += message.chunk.text
            if message.HasField("end"):
                return text, message.end
        raise AssertionError(text)
