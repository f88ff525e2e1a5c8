"""Nodes that leave all at once, come and go with each cycle, or shrink under what runs on them.

A site is played with the real `plan()`: whatever its nodes do, nothing is given that is not there, what runs is left
alone, every job that waits is told why, and when the trouble is over all of them run.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import GIB, a_job, a_node
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.snapshot import Demand, NodeState, Running, Snapshot

pytestmark = pytest.mark.timeout(60)

GPUS, CPU = 4, 8000
LASTS = 4
"""Cycles that a job runs."""
MINUTE = 60_000_000
NODES = ("n0", "n1", "n2")
POLICIES = [Policies(), Policies(Policy(preemption=PreemptionRules(enabled=True, min_run=0)))]


@dataclass
class Site:
    """Nodes and jobs, of which each that has started runs for so many cycles."""

    policies: Policies
    queue: dict[str, Demand] = field(default_factory=dict)
    runs: dict[str, tuple[Demand, str, tuple[str, ...], int]] = field(default_factory=dict)
    ready: set[str] = field(default_factory=lambda: set(NODES))
    cpu: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, CPU))
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, 0))
    cycles: int = 0

    def node(self, name: str) -> NodeState:
        """A node as it is seen now; of what shrank more may be held than there is."""
        node = a_node(name, gpus=GPUS, cpu=self.cpu[name], ready=name in self.ready)
        here = [one for one in self.runs.values() if one[1] == node.node_id]
        held = {uuid for _, _, uuids, _ in here for uuid in uuids}
        gpus = tuple(
            replace(gpu, held=gpu.uuid in held, healthy=number >= self.lost[name])
            for number, gpu in enumerate(node.gpus)
        )
        return replace(
            node,
            gpus=gpus,
            cpu_free=node.cpu_millis - sum(job.cpu_millis for job, *_ in here),
            memory_free=node.memory_bytes - sum(job.memory_bytes for job, *_ in here),
        )

    def cycle(self) -> Plan:
        """Plan once; what was placed runs, and what has run long enough ends."""
        nodes = {node.node_id: node for node in map(self.node, NODES)}
        now = (self.cycles + 1) * MINUTE
        running = tuple(self._running(job_id, now) for job_id in self.runs)
        waiting = tuple(self.queue.values())
        seen = Snapshot(
            waiting, tuple(nodes.values()), now=now, running=running, policies=self.policies
        )
        result = plan(seen)
        assert sorted([*self.queue]) == sorted(
            one.job_id for one in (*result.placements, *result.waiting)
        )
        assert all(one.reason and one.message for one in result.waiting)
        for one in result.placements:
            job, node = self.queue.pop(one.job_id), nodes[one.node_id]
            free = {gpu.uuid for gpu in node.gpus if gpu.healthy and not gpu.held}
            assert node.ready
            assert set(one.gpu_uuids) <= free
            assert len(one.gpu_uuids) == job.gpu_count
            assert job.cpu_millis <= node.cpu_free
            self.runs[one.job_id] = job, one.node_id, one.gpu_uuids, self.cycles + LASTS
            nodes = {**nodes, **{each.node_id: each for each in map(self.node, NODES)}}
        self.cycles += 1
        # What runs on a node that is not reachable goes on there.
        self.runs = {key: one for key, one in self.runs.items() if one[3] > self.cycles}
        return result

    def _running(self, job_id: str, now: int) -> Running:
        job, node_id, uuids, until = self.runs[job_id]
        end = max(now + 1, until * MINUTE)
        return Running(
            job_id=job_id, run_id=f"run-{job_id}", project="", user="", queue="", priority=job.priority,
            node_id=node_id, cpu_millis=job.cpu_millis, memory_bytes=job.memory_bytes, gpu_uuids=uuids,
            gpu_type="H100" if uuids else "", gpu_millis=0, started_at=1, likely_end=end,
            expected_end=end, limit_end=end, saved_at=1, preemptible=True, leaving=False,
        )  # fmt: skip

    def submit(self, number: int, gpus: int, priority: int = 0) -> None:
        job = a_job(f"job-{number:03}", gpus=gpus, cpu=1000, memory=GIB, priority=priority)
        self.queue[job.job_id] = replace(job, time_limit=LASTS * MINUTE)

    def settle(self) -> None:
        """All is mended; in time everybody has run."""
        self.ready = set(NODES)
        self.cpu, self.lost = dict.fromkeys(NODES, CPU), dict.fromkeys(NODES, 0)
        for _ in range(LASTS * (len(self.queue) + 2)):
            self.cycle()
        assert not self.queue
        assert not self.runs


@pytest.mark.parametrize("policies", POLICIES)
@given(st.lists(st.integers(0, GPUS), min_size=1, max_size=12), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_when_all_nodes_leave_in_one_cycle_nothing_is_placed_and_nothing_is_stopped(
    policies: Policies, sizes: list[int], away: int
):
    site = Site(policies)
    for number, gpus in enumerate(sizes):
        site.submit(number, gpus)
    site.cycle()
    site.ready.clear()
    for number in range(away):
        site.submit(100 + number, 1, priority=9)
        result = site.cycle()
        assert not result.placements
        assert not result.evictions
        assert {one.reason for one in result.waiting} == {"NODES_UNREACHABLE"}
    site.settle()


@pytest.mark.parametrize("policies", POLICIES)
@given(
    st.lists(st.integers(0, GPUS), min_size=1, max_size=12),
    st.lists(st.sets(st.sampled_from(NODES)), min_size=1, max_size=12),
)
@settings(max_examples=30, deadline=None)
def test_nodes_that_come_and_go_with_each_cycle_are_used_while_they_are_there(
    policies: Policies, sizes: list[int], there: list[set[str]]
):
    site = Site(policies)
    for number, gpus in enumerate(sizes):
        site.submit(number, gpus)
    for ready in there:
        site.ready = ready
        result = site.cycle()
        assert not result.evictions
        if ready and not result.placements:
            assert all(one.reason for one in result.waiting)
    site.settle()


@given(
    st.lists(st.integers(0, GPUS), min_size=1, max_size=12),
    st.lists(
        st.tuples(st.sampled_from(NODES), st.integers(0, CPU), st.integers(0, GPUS)),
        min_size=1,
        max_size=12,
    ),
)
@settings(max_examples=60, deadline=None)
def test_of_a_node_that_shrinks_under_what_runs_no_more_is_given_than_is_left(
    sizes: list[int], shrinks: list[tuple[str, int, int]]
):
    site = Site(POLICIES[0])
    for number, gpus in enumerate(sizes):
        site.submit(number, gpus)
    for name, cpu, lost in shrinks:
        site.cycle()
        site.cpu[name], site.lost[name] = cpu, lost
    site.settle()
