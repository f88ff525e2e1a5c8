"""A cluster without agents whose nodes are closed, emptied and opened."""

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import resources_service_pb2
from windlass_server.jobs.states import Status
from windlass_server.resources.allocation_states import Status as AllocationStatus
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.storage.tables import NodeRow

SECOND = 1_000_000


class Upkeep(ScheduledWorld):
    """A cluster whose nodes are closed and opened."""

    async def allocation(self) -> tuple[str, int]:
        """An allocation of ten minutes; its id and its status."""
        wanted = resources_service_pb2.AllocateRequest(project="default")
        row = await self.allocations.allocate(ADMIN, wanted)
        return row.allocation_id, row.status

    async def status_of(self, allocation_id: str) -> str:
        row = await self.allocations.get(ADMIN, allocation_id)
        return AllocationStatus(row.status).name

    @property
    def upkeep(self) -> NodeUpkeep:
        return NodeUpkeep(
            self.database,
            self.clock,
            evict=self.runs.evict,
            revoke=self.allocations.revoke,
            capacity_changed=lambda: None,
            drain_began=lambda: None,
        )

    async def node(self, node_id: str) -> NodeRow:
        row = await self.database.read(lambda tx: tx.nodes.get(node_id))
        assert row is not None
        return row

    async def placed_job(self, **values: object) -> tuple[str, str]:
        """A job that was placed, and its run."""
        spec = job_pb2.Job()
        spec.grace_period.FromSeconds(10)
        job_id = await self.add_job(spec=spec.SerializeToString(), **values)
        job = await self.cycle(job_id)
        assert job.status == Status.SCHEDULED
        return job_id, job.run_id

    async def wants(self, node_id: str) -> list[tuple[int, float]]:
        """What the node is told to make of its runs, with the grace in seconds."""
        return [
            (directive.want, directive.grace_period.ToMicroseconds() / SECOND)
            for directive in await self.runs.directives(node_id)
        ]

    async def events(self, node_id: str) -> list[tuple[str, str, str]]:
        rows = await self.database.read(lambda tx: tx.events.page(node_id, after=0, size=99))
        return [(row.reason, row.actor, row.project) for row in rows]
