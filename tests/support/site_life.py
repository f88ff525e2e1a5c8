"""What happens to a simulated site, one after the other, as a seed has it."""

from random import Random
from typing import Any

from google.protobuf.json_format import ParseDict

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.quotas import change_quota, remove_quotas
from tests.support.simulated_node import SimulatedNode
from tests.support.simulated_site import Site
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import resources_service_pb2, scheduling_policy_pb2
from windlass_agent.gpu.fault_script import ScriptedFault
from windlass_server.errors import WindlassError
from windlass_server.jobs.dependency_rules import Kind
from windlass_server.jobs.states import FINAL, Status
from windlass_server.resources.maintenance import DrainMode, State
from windlass_server.resources.upkeep import Drain

SECOND = 1_000_000
OWNERS = [("default", "ada"), ("default", "ada"), ("default", "bob"), ("other", "eve")]
POLICIES: list[dict[str, Any]] = [
    {"aging": {"boost": 9, "over": "60s"}},
    {"fair_share": {"disabled": True}},
    {"fair_share": {"half_life": "90s", "weights": [{"project": "other", "weight": 3}]}},
    {"priority_classes": {"classes": [{"name": "all", "priority": -1000}]}},
    {"backfill": {"depth": 0}},
]
PREEMPTION: list[dict[str, Any]] = [
    {},
    {"preemption": {"enabled": True, "min_run_time": "0s", "back_off": "5s"}},
    {"preemption": {"enabled": True, "min_run_time": "4s", "hourly_budget": 9}},
    {"preemption": {"enabled": True, "min_run_time": "2s", "min_priority_gap": 5}},
]
QUOTAS: list[dict[str, Any]] = [
    {"project": "default", "guaranteed": {"gpu_millis": 5000}},
    {
        "project": "default",
        "guaranteed": {"gpu_millis": 2000},
        "borrowing_limit": {"gpu_millis": 2250},
    },
    {"project": "other", "guaranteed": {"gpu_millis": 3000}, "limit": {"running_jobs": 2}},
    {"project": "other", "guaranteed": {"gpu_millis": 1000, "cpu_millis": 2000}},
    {"project": "default", "user": "ada", "limit": {"running_jobs": 3, "gpu_millis": 4000}},
    {"project": "default", "user": "ada", "limit": {"cpu_millis": 2000}},
    {"project": "default", "gpu_type": "H100", "limit": {"gpu_millis": 1600}},
]
# Such as restart a task, want a reset, make suspect, and take a node away.
XIDS = [13, 31, 48, 63, 74, 79, 92, 95, 119]
ENDS: list[dict[str, Any]] = [
    {"cause": "COMPLETED", "exit_code": 0},
    {"cause": "COMPLETED", "exit_code": 0},
    {"cause": "COMPLETED", "exit_code": 0},
    {"cause": "COMPLETED", "exit_code": 85},
    {"cause": "COMPLETED", "exit_code": 3},
    {"cause": "OUT_OF_MEMORY"},
]


MOST_ON_ONE_NODE = 2
"""Of those jobs that keep apart."""


class Life:
    """Faults, orders and work."""

    def __init__(self, site: Site, random: Random) -> None:
        self.site = site
        self.random = random
        self.happened: list[str] = []
        self._happenings = [
            *([self.submit] * 6), self.xid, self.memory_error, self.heat, self.card_lost,
            self.bad_reset, self.heal, self.disk, self.cut, self.agent_restart, self.boot,
            self.server_restart, self.cordon, *([self.drain] * 3), self.drain_several, self.uncordon,
            self.cancel, self.allocate, self.node_clock, self.store_damage, self.policy,
            self.crowd, self.crowd, self.urgent, self.urgent, self.urgent_gang, self.urgent_gang,
            *([self.quota] * 2),
        ]  # fmt: skip

    async def next(self) -> None:
        """One of them, and then some time, in which those who can look at it."""
        happening = self.random.choice(self._happenings)
        self.happened.append(happening.__name__)
        await happening()
        await self.site.pass_time(self.random.choice([0.5, 3, 11, 40]))
        for node in self.random.sample(self.site.nodes, len(self.site.nodes)):
            if self.random.random() < 0.8:
                await node.meet()
        if self.random.random() < 0.9:
            await self.site.duties()

    async def settle(self) -> None:
        """All is mended, everybody is heard, nothing new comes: until there is nothing left to do."""
        self.site.cuts = 0.0
        await remove_quotas(self.site.database, self.site.clock)
        for node in self.site.nodes:
            node.heal()
        for _ in range(400):
            for node in self.site.nodes:
                await self._open(node)
                await node.meet()
            await self.site.duties()
            if not await self.unfinished():
                return
            await self.site.pass_time(20)

    async def unfinished(self) -> dict[str, str]:
        """The jobs that have not ended, and what is said of each."""
        jobs = [await self.site.job(job_id) for job_id in self.site.jobs]
        return {one.job_id: one.status_message for one in jobs if one.status not in FINAL}

    async def submit(self) -> None:
        gpus = self.random.choice([0, 1, 1, 2, 4])
        share = self.random.choice([0, 0, 250, 600]) if gpus == 1 else 0
        # No more of each than the smallest node has.
        nodes = self.random.choice([1, 1, 2, 3]) if gpus <= 2 and not share else 1
        parts = gpus in (1, 2) and not share and nodes == 1
        seconds = self.random.choice([5, 30, 120])
        profile = self.random.choice(["", "1g.10gb", "3g.40gb"]) if parts else ""
        await self.site.submit(
            gpus,
            seconds,
            limit=self.random.choice([None, seconds, 2 * seconds]),
            saves=self.random.random() < 0.6,
            share=share,
            profile=profile,
            nodes=nodes,
            min_nodes=self.random.randint(1, nodes),
            awaited=self._awaited(),
            start_in=self.random.choice([0, 0, 0, 25]),
            priority=self.random.choice([0, 0, 5]),
            exclusive=not share and not profile and self.random.random() < 0.1,
            preemptible=self.random.random() < 0.8,
            owner=self.random.choice(OWNERS),
            joined=gpus > 1 and not profile and self.random.random() < 0.3,
            apart=self.random.choice([0, 0, 0, MOST_ON_ONE_NODE]),
            **self.random.choice(ENDS),
        )

    def _awaited(self) -> list[tuple[str, int]]:
        """Some jobs that a new one waits for, and in which way; mostly none."""
        count = min(self.random.choice([0, 0, 1, 2]), len(self.site.jobs))
        there = self.random.sample(self.site.jobs, count)
        return [(job_id, self.random.choice([*map(int, Kind)])) for job_id in there]

    async def xid(self) -> None:
        self._inject("xid", self.random.choice(XIDS))

    async def memory_error(self) -> None:
        self._inject(self.random.choice(["ecc-uncorrected", "remap-pending", "remap-failure"]))

    async def heat(self) -> None:
        self._inject("hot")

    async def card_lost(self) -> None:
        self._inject("lost")

    async def bad_reset(self) -> None:
        self._inject("reset-fails", 2)
        self._inject("reset-required")

    async def heal(self) -> None:
        self._node().heal()

    async def disk(self) -> None:
        node = self._node()
        node.disk_free = 0 if node.disk_free else 1 << 35

    async def cut(self) -> None:
        self.site.cuts = self.random.choice([0.0, 0.0, 0.05, 0.3, 1.0])

    async def agent_restart(self) -> None:
        self._node().start_agent()

    async def boot(self) -> None:
        self._node().boot()

    async def server_restart(self) -> None:
        await self.site.restart()

    async def store_damage(self) -> None:
        """What some job would begin with next is not there any more."""
        jobs = [one for one in self.site.jobs if self.site.saved.get(one)]
        if jobs and (saved := (await self.site.job(self.random.choice(jobs))).checkpoint):
            checkpoint_id = job_pb2.Checkpoint.FromString(saved).checkpoint_id
            for manifest in self.site.folder.glob(
                f"objects/checkpoints/*/{checkpoint_id}/manifest"
            ):
                manifest.unlink()

    async def node_clock(self) -> None:
        self._node().clock.jump(self.random.choice([-7200, 7200]))

    async def cordon(self) -> None:
        await self.site.upkeep.cordon(ADMIN, self._node().node_id, "a look")

    async def uncordon(self) -> None:
        for node in self.site.nodes:
            await self._open(node)

    async def drain(self) -> None:
        mode = self.random.choice(list(DrainMode))
        deadline = self.random.choice([None, 30 * SECOND, 600 * SECOND])
        asked = Drain(mode, deadline, "work")
        await self.site.upkeep.drain(ADMIN, self._node().node_id, asked)

    async def drain_several(self) -> None:
        some = self.random.sample(self.site.nodes, 2)
        request = resources_service_pb2.DrainNodesRequest(
            node_ids=[node.node_id for node in some],
            mode=int(self.random.choice(list(DrainMode))),  # type: ignore[arg-type]
            afterwards="UNCORDON",
        )
        try:
            await self.site.drains.create(ADMIN, request)
        except WindlassError as error:
            assert error.reason == "NODE_IN_DRAIN"  # noqa: PT017 - the only refusal there may be

    async def cancel(self) -> None:
        jobs = [one for one in self.site.jobs if await self._is(one, Status.RUNNING, Status.QUEUED)]
        if jobs:
            await self.site.cancelling.cancel(ADMIN, self.random.choice(jobs), reason="")

    async def allocate(self) -> None:
        await self.site.allocate_something()

    async def quota(self) -> None:
        """One is set, also below what is held; now and then all are removed."""
        if self.random.random() < 0.2:
            await remove_quotas(self.site.database, self.site.clock)
        else:
            await change_quota(self.site.database, self.site.clock, self.random.choice(QUOTAS))

    async def crowd(self) -> None:
        """More work of no hurry than there is room for."""
        for gpus in (4, 4, 2, 1):
            await self.site.submit(gpus, 120, saves=self.random.random() < 0.6)

    async def urgent(self) -> None:
        """Work that cannot wait for it."""
        await self.site.submit(self.random.choice([1, 2, 4]), 30, saves=False, priority=9)

    async def urgent_gang(self) -> None:
        """The same on several nodes."""
        nodes = self.random.choice([2, 2, 3])
        least = self.random.randint(1, nodes)
        gpus = self.random.choice([1, 2])
        await self.site.submit(gpus, 30, saves=True, priority=9, nodes=nodes, min_nodes=least)

    async def policy(self) -> None:
        """Whoever administers it has the scheduler decide otherwise."""
        said = {"policy_id": "default"} | self.random.choice(POLICIES)
        said |= self.random.choice(PREEMPTION)
        wanted = ParseDict(said, scheduling_policy_pb2.SchedulingPolicy())
        await self.site.policies.update(ADMIN, wanted, ["*"])

    async def _is(self, job_id: str, *statuses: Status) -> bool:
        return (await self.site.job(job_id)).status in statuses

    async def _open(self, node: SimulatedNode) -> None:
        if (await self.site.node(node.node_id)).maintenance in (State.CORDONED, State.DRAINED):
            await self.site.upkeep.uncordon(ADMIN, node.node_id)

    def _node(self) -> SimulatedNode:
        return self.random.choice(self.site.nodes)

    def _inject(self, name: str, number: int = 1) -> None:
        node = self._node()
        card = self.random.randrange(4)
        node.gpus.inject(ScriptedFault(0, card, name, number))
