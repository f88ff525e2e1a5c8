"""The server's services around machines that are simulated: a whole site on clocks of the test's own.

Everything that decides is the server's own code on a real database; only the wire and the machines are
left out (`tests/support/simulated_node.py`).
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.health import health_service
from tests.support.held_meter import Meter
from tests.support.jobs import add_jobs, job_columns
from tests.support.remote_runs import nowhere_else
from tests.support.secrets import opening
from tests.support.simulated_node import GIB, Process, SimulatedNode, command
from tests.support.upkeep import Upkeep
from windlass.agents.v1 import (
    agent_pb2,
    agents_service_pb2,
    checkpoint_pb2,
    health_pb2,
    mig_pb2,
)
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1.job_spread_pb2 import Spread
from windlass.resources.v1 import resources_service_pb2
from windlass_server.access import quota_use
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.controllers.job_waits import JobWaits
from windlass_server.controllers.node_liveness import NodeLiveness
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.controllers.scheduler_lease import SchedulerLease
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.errors import Conflict, NotFound, QuotaExceeded, WindlassError
from windlass_server.ids import IdSource
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.dependency_rules import Edge, Held, State
from windlass_server.jobs.learning import Learning
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.suspending import Suspensions
from windlass_server.jobs.world import World
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.resources.drains import DrainsService
from windlass_server.resources.health import NodeHealthService
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.membership import Membership
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.resources.usage import UsageService
from windlass_server.scheduler.quota import Dimension
from windlass_server.scheduler.topology import Level
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.latest import LatestTelemetry

PATIENCE = 30.0


@dataclass
class Site(Upkeep):
    """The server; it is also what its nodes have of it."""

    folder: Path = field(default_factory=Path)
    random: Random = field(default_factory=Random)
    nodes: list[SimulatedNode] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    saved: dict[str, list[float]] = field(default_factory=dict)
    """Of each job, what was done at the checkpoints of it that the server keeps."""
    damaged: set[str] = field(default_factory=set)
    """The checkpoints that were found not to be whole any more."""
    cuts: float = 0.0
    """How likely it is that a message does not come through, and takes the connection with it."""

    def open(self, folder: Path, random: Random) -> None:
        """Build what is not there yet, as a server that starts does."""
        self.folder, self.random = folder, random
        self.ids = IdSource(self.clock)
        self.meter = Meter(self)
        self.start_server()

    def start_server(self) -> None:
        """All that a server has in its memory begins anew."""
        self.runs = RunsService(
            self.database,
            self.logs,
            self.clock,
            self.ids,
            capacity_freed=lambda: None,
            runs_changed=lambda _node_id: None,
            secrets=opening(self.database, self.clock),
        )
        self._layouts = LayoutsService(self.database, self.clock, lambda _node_id: None)
        self.recent = RecentUsage(self.database, self.clock)
        world = World(self.database, self.cluster, self.clock, self.recent)
        # A new process, which takes over from the one before.
        self.lease = SchedulerLease(
            self.database, self.clock, self.ids.new("server"), alone=True, look=lambda: None
        )
        self.scheduling = Scheduling(
            self.database, world, self.runs, self._layouts, self.clock, RemoteWaits(), self.lease
        )
        dependencies = DependenciesService(
            self.database, self.clock, self.cluster.first_reason, lambda _job_id: None
        )
        suspensions = Suspensions(
            self.database,
            self.clock,
            nowhere_else(self.database, self.logs, self.clock, self.ids),
            lambda _node_id: None,
            lambda _job_id: None,
        )
        self.waits = JobWaits(dependencies, suspensions, self.clock)
        self._upkeep = super().upkeep
        self.health: NodeHealthService = health_service(
            self.database, self.clock, self._upkeep, tell_run=self.runs.device_failed
        )
        tokens = UserTokens(Ed25519PrivateKey.generate())
        pages = PageTokens(b"page")
        authenticator = Authenticator(self.database, self.clock, b"keys", tokens)
        access = AccessService(
            self.database, self.clock, authenticator, tokens, JoinTokens(b"join"), b"keys", pages
        )
        self.membership = Membership(
            self.database,
            access,
            LatestTelemetry(self.clock),
            self.clock,
            self.ids,
            lambda: None,
            self.health,
            self._layouts,
        )
        self.liveness = NodeLiveness(self.membership, self.clock, PATIENCE)
        self.drains = DrainsService(self.database, self._upkeep, self.clock, self.ids, pages)
        objects = ObjectStore.open("", self.folder / "objects")
        keeping = Keeping(max_bytes=GIB, newest=2, after_end=0)
        self.checkpoints = CheckpointsService(self.database, objects, self.clock, self.ids, keeping)
        hints = JobHints(lambda _job_id: None, lambda _node_id: None)
        elsewhere = nowhere_else(self.database, self.logs, self.clock, self.ids)
        self.cancelling = JobsService(
            self.database, self.cluster, self.clock, self.ids, pages, hints, elsewhere
        )
        self.usage = UsageService(self.database, self.clock)
        self.policies = SchedulingPoliciesService(self.database, self.clock, pages, lambda: None)

    @property
    def upkeep(self) -> NodeUpkeep:
        return self._upkeep

    async def restart(self) -> None:
        """The server is killed and starts again; its sessions are gone."""
        self.start_server()
        for node in self.nodes:
            node.connected = False
        await self.membership.server_started()

    async def add_machine(self, name: str, gpus: int) -> None:
        """A machine that has joined."""
        node = SimulatedNode(name, gpus, self)
        inventory = node.inventory().SerializeToString()
        values = {"inventory": inventory, "connected_at": None, "status": 2}
        node.node_id = await self.add_node(name, **values)
        self.nodes.append(node)

    async def submit(
        self,
        gpus: int,
        seconds: float,
        *,
        saves: bool,
        share: int = 0,
        profile: str = "",
        awaited: Sequence[tuple[str, int]] = (),
        start_in: float = 0,
        priority: int = 0,
        exclusive: bool = False,
        owner: tuple[str, str] = ("default", "ada"),
        nodes: int = 1,
        min_nodes: int = 1,
        limit: float | None = None,
        preemptible: bool = True,
        joined: bool = False,
        apart: int = 0,
        **ends: object,
    ) -> None:
        """A job of `default`; with a share it has so many thousandths of one GPU, with a profile instances.

        Of several nodes it has so many GPUs of each.

        Its limit is as many seconds; no process of a simulated node runs longer than it was told to.

        Its GPUs are joined by NVLink where that is said; of those that are apart so many are on one node at most.

        It waits for those that are awaited, each in the way that its number means, and for its time.
        """
        spec = job_pb2.Job(command=command(seconds, saves=saves, **ends))
        spec.grace_period.FromSeconds(10)
        spec.resources.gpu_count, spec.resources.gpu_millis = gpus, share
        spec.resources.mig_profile = profile
        if limit is not None:
            spec.time_limit.FromMicroseconds(round(limit * 1_000_000))
        job = job_columns(
            spec=spec.SerializeToString(),
            job_id=self.ids.new("job"),
            gpu_count=gpus,
            gpu_millis=share,
            mig_profile=profile,
            nodes=nodes,
            min_nodes=min_nodes,
            longest_run=None if limit is None else round((limit + 10) * 1_000_000),
            created_at=self.clock.now(),
            start_after=self.clock.now() + round(start_in * 1_000_000) if start_in else 0,
            priority=priority,
            exclusive=exclusive,
            preemptible=preemptible,
            topology_required=Level.NVLINK if joined else 0,
            spread=Spread(max_per_domain=apart).SerializeToString() if apart else None,
            spread_group=f"apart {apart}" if apart else "",
            project=owner[0],
            user=owner[1],
            held=int(Held.JOBS if awaited else Held.TIME if start_in else Held.NOTHING),
        )
        edges = [Edge(job_id, kind, int(State.OPEN)) for job_id, kind in awaited]

        def store(tx: Transaction) -> None:
            add_jobs(tx, job)
            quota_use.add(tx, quota_use.one_job(*owner, Dimension.QUEUED))
            tx.dependencies.add(job["job_id"], edges)

        await self.database.write(store)
        self.jobs.append(str(job["job_id"]))

    async def runs_of(self, job: JobRow) -> Sequence[RunRow]:
        """The runs of a job's present or last attempt."""
        return await self.database.read(lambda tx: tx.runs.of_attempt(job.job_id, job.attempt))

    async def pass_time(self, seconds: float) -> None:
        """Time passes everywhere, while nobody looks."""
        await self.meter.advance(round(seconds * 1_000_000))
        for node in self.nodes:
            await node.pass_time(seconds)

    async def duties(self) -> None:
        """What the server does by itself, each once."""
        await self.lease.cycle()
        await self.liveness.cycle()
        await self.health.look()
        await self.upkeep.empty_draining()
        await self.drains.advance_all()
        await self.allocations.expire()
        await OutboxDispatcher(self.database, [self.waits.changed]).cycle()
        await self.waits.cycle()
        await Learning(self.database, self.clock).cycle()
        self.scheduling.world_changed()
        await self.scheduling.cycle()
        await self.checkpoints.remove_unneeded()

    async def close(self) -> None:
        """Switch all off."""
        for node in self.nodes:
            await node.close()
        await self.logs.close()

    # --- what nodes have of it -------------------------------------------------------------------

    async def hello(self, node: SimulatedNode) -> None:
        self._cut()
        await self.membership.hello(node.node_id, node.inventory())
        if node.health.report is not None:
            await self.health.report(node.node_id, node.health.report)
        for report in node.reports():
            await self.runs.report(node.node_id, report)
        self._cut()
        await self.runs.hello(node.node_id, node.known())

    async def touch(self, node: SimulatedNode) -> bool:
        self._cut()
        try:
            await self.membership.touch(node.node_id)
        except Conflict:
            return False
        return True

    async def directives(self, node: SimulatedNode) -> list[agent_pb2.RunDirective]:
        return list(await self.runs.directives(node.node_id))

    async def tell_run(
        self, node: SimulatedNode, report: agent_pb2.RunReport
    ) -> agent_pb2.RunDirective | None:
        self._cut()
        answer = await self.runs.report(node.node_id, report)
        # It may be the answer that does not come through.
        self._cut()
        return answer

    async def tell_health(self, node: SimulatedNode, report: health_pb2.HealthReport) -> None:
        self._cut()
        await self.health.report(node.node_id, report)

    def resets(self, node: SimulatedNode) -> list[health_pb2.ResetDirective]:
        return list(self.health.resets(node.node_id))

    async def layouts_of(self, node: SimulatedNode) -> list[mig_pb2.LayoutDirective]:
        self._cut()
        return list(await self.membership.layouts(node.node_id))

    async def restock(self, node: SimulatedNode) -> None:
        self._cut()
        await self.membership.restock(node.node_id, node.inventory())

    async def save(self, node: SimulatedNode, process: Process, end: agent_pb2.RunExit) -> None:
        """Bring what a process has done to the server, as an agent does it."""
        content = repr(process.done).encode()
        file = checkpoint_pb2.CheckpointFile(
            sha256=hashlib.sha256(content).digest(), size_bytes=len(content)
        )
        offer = agents_service_pb2.OfferCheckpointRequest(
            run_id=process.run_id, epoch=process.epoch, exit=end,
            size_bytes=len(content), entry_count=1,
        )  # fmt: skip
        entry = checkpoint_pb2.CheckpointEntry(path=b"state", file=file)
        manifest = checkpoint_pb2.CheckpointManifest(entries=[entry])
        try:
            checkpoint_id = await self.checkpoints.offer(node.node_id, offer)
            self._cut()
            if checkpoint_id:
                await self.checkpoints.store_file(node.node_id, file, checkpoint_id, _one(content))
                self._cut()
                await self.checkpoints.commit(node.node_id, checkpoint_id, manifest)
                kept = self.saved.get(process.job_id, [])
                self.saved[process.job_id] = [*kept[-1:], process.done]
                self._cut()
        except WindlassError as error:
            # The run is the node's no more, as when its job was cancelled.
            end.checkpoint_problem = error.message

    async def restore(self, node: SimulatedNode, directive: agent_pb2.RunDirective) -> float | None:
        """How far a run has come that begins with a checkpoint; None when that is damaged."""
        if not directive.spec.HasField("restore"):
            return 0.0
        checkpoint_id = directive.spec.restore.checkpoint_id
        who: dict[str, Any] = {
            "run_id": directive.run_id, "epoch": directive.epoch, "checkpoint_id": checkpoint_id,
        }  # fmt: skip
        asked = agents_service_pb2.GetCheckpointRequest(**who)
        try:
            (entry,) = (await self.checkpoints.manifest(node.node_id, asked)).entries
        except NotFound as error:
            assert error.reason == "CHECKPOINT_DAMAGED"  # noqa: PT017 - what else there may be
            # Each rank of a job may find that, and the server believes the first.
            if checkpoint_id not in self.damaged:
                self.damaged.add(checkpoint_id)
                self.saved[directive.spec.job_id].pop()
            return None
        request = agents_service_pb2.DownloadCheckpointFileRequest(**who, sha256=entry.file.sha256)
        parts = [part async for part in self.checkpoints.file(node.node_id, request)]
        return float(b"".join(parts))

    def _cut(self) -> None:
        if self.random.random() < self.cuts:
            raise ConnectionError

    async def allocate_something(self) -> None:
        """Hold something beside the jobs, for as long as nobody gives it back."""
        wanted = resources_service_pb2.AllocateRequest(project="default")
        wanted.resources.gpu_count = self.random.choice([0, 1])
        wanted.resources.gpu_millis = wanted.resources.gpu_count * self.random.choice([0, 300])
        wanted.ttl.FromSeconds(60)
        try:
            await self.allocations.allocate(ADMIN, wanted)
        except (Conflict, QuotaExceeded):
            return


async def _one(part: bytes) -> AsyncIterator[bytes]:
    yield part
