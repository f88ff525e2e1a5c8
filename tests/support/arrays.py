"""A cluster of one node to which arrays are submitted, and the duty that looks after them."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import Waiting
from windlass.jobs.v1 import job_array_pb2, job_pb2
from windlass_server.controllers.arrays import Arrays
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.ids import IdSource
from windlass_server.jobs.array_indices import ArrayIndices
from windlass_server.jobs.arrays import ArrayHints, ArraysService, counts_of
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobArrayRow, JobRow


class ArrayWorld(Waiting):
    """As Waiting, with arrays."""

    def start_duty(self) -> None:
        self.service = DependenciesService(
            self.world.database,
            self.clock,
            self.world.cluster.first_reason,
            self.queued.append,
            lambda job_id: self.array_duty.changed([job_id]),
        )
        super().start_duty()
        database, clock = self.world.database, self.clock
        self.arrays = ArraysService(
            database,
            clock,
            IdSource(clock),
            self.world.cluster.first_reason,
            ArrayHints(self.queued.append, lambda _node_id: None),
        )
        self.array_duty = Arrays(self.arrays, clock)
        self.indices = ArrayIndices(database, clock, PageTokens(b"key"), lambda _job_id: None)
        self.outbox = OutboxDispatcher(database, [self.duty.changed, self.array_duty.changed])

    @classmethod
    async def begin(cls, database: Database, folder: Path) -> "ArrayWorld":
        made = await cls.start(database, folder)
        assert isinstance(made, ArrayWorld)
        return made

    async def settle(self) -> float | None:
        """Let both duties hear of all that has happened, also of what they do themselves."""
        wanted = None
        for _ in range(10):
            await self.outbox.cycle()
            wanted = await self.duty.cycle()
            await self.array_duty.cycle()
        return wanted

    async def submit_array(self, count: int = 0, **fields: Any) -> str:
        """An array; `parallel` and `indices` are its, other fields its job's. Its jobs are made."""
        job_id = await self.accept_array(count, **fields)
        await self.settle()
        return job_id

    async def accept_array(self, count: int = 0, **fields: Any) -> str:
        """The same before anybody has looked at it."""
        of_array = {name: fields.pop(name) for name in ("parallel", "indices") if name in fields}
        array = job_array_pb2.JobArray(count=count, **of_array)
        fields = {"command": ["train"], "resources": {"cpu_millis": 1}} | fields
        spec = job_pb2.Job(project="default", array=array, **fields)
        return (await self.jobs.submit(ADA, spec)).job_id

    async def array(self, job_id: str) -> JobArrayRow:
        row = await self.world.database.read(lambda tx: tx.arrays.get(job_id))
        assert row is not None
        return row

    async def children(self, job_id: str) -> dict[int, JobRow]:
        """The jobs of its indices, by index."""
        rows = await self.world.database.read(lambda tx: tx.arrays.jobs_from(job_id, 0, 100_000))
        return {row.array_index: row for row in rows if row.array_index is not None}

    async def shown(self, job_id: str) -> job_pb2.Job:
        """The array on the wire."""
        return to_proto(await self.job(job_id), await self.array(job_id))

    async def place(self) -> None:
        """Let the scheduler place all that it can."""
        self.world.scheduling.world_changed()
        await self.world.scheduling.cycle()

    async def start_all(self, job_id: str) -> None:
        """Let all indices run that can."""
        await self.place()
        for row in (await self.children(job_id)).values():
            if row.status == Status.SCHEDULED:
                await self.world.report(row.job_id, "RUNNING")
        await self.settle()

    async def end(self, job_id: str, index: int, code: int = 0) -> None:
        """Let an index that has a place end."""
        row = (await self.children(job_id))[index]
        await self.world.report(row.job_id, "EXITED", cause="COMPLETED", exit_code=code)

    async def end_all(self, job_id: str, failing: tuple[int, ...] = ()) -> None:
        """Let the array come to its end; those that are named fail."""
        for _ in range(100):
            await self.start_all(job_id)
            for index, row in (await self.children(job_id)).items():
                if row.status == Status.RUNNING:
                    await self.end(job_id, index, int(index in failing))
            await self.settle()
            if not (await self.array(job_id)).active:
                return
        raise AssertionError(await self.shown(job_id))

    async def counted(self, job_id: str) -> None:
        """The array's counts are what its rows say."""
        rows = await self.children(job_id)
        truth = Counter(Status(row.status) for row in rows.values())
        assert Counter(counts_of(await self.array(job_id))) == truth
