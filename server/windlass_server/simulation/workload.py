"""Work as it came over time: nodes, and jobs with the moments at which they were submitted."""

from dataclasses import dataclass

from windlass_server.scheduler.snapshot import Demand, NodeState

SECOND = 1_000_000
"""Times are in microseconds, as everywhere in the scheduler."""


@dataclass(frozen=True, slots=True)
class TimedJob:
    """A job of a trace.

    Attributes:
        demand: what it asks for; its `job_id` and `order` follow the order of the trace.
        name: what it is called; jobs of one user and name are runs of the same program.
        submitted_at: when it came, in microseconds.
        run_time: how long its command needs once it has started, in microseconds, whatever its limit.
        was_started_at: when it started in the cluster that the trace is of, in microseconds; None: that
            is not known.
        after: whom it waits for: how, as `jobs.dependency_rules.Kind`, and the id of each.
        start_after: it does not start before, in microseconds.
        fails: its command ends otherwise than it should, if its limit does not end it before.
        preemptible: it may be stopped for others.
    """

    demand: Demand
    name: str
    submitted_at: int
    run_time: int
    was_started_at: int | None = None
    after: tuple[tuple[int, str], ...] = ()
    start_after: int = 0
    fails: bool = False
    preemptible: bool = True

    @property
    def takes(self) -> int:
        """How long it holds its place, in microseconds: until it is done, or out of time."""
        limit = self.demand.time_limit
        return self.run_time if limit is None else min(self.run_time, limit)

    @property
    def times_out(self) -> bool:
        """Whether its limit ends it."""
        return self.takes < self.run_time

    @property
    def gpu_millis(self) -> int:
        """Thousandths of GPUs that it asks for, of each of its nodes."""
        return self.demand.gpu_millis or self.demand.gpu_count * 1000


@dataclass(frozen=True, slots=True)
class Workload:
    """What a trace says.

    Attributes:
        nodes: empty ones; those that jobs find.
        jobs: by the time of their submission, then as they stand in the trace.
        notes: what of the trace was left out or read otherwise than it stands, one sentence each.
    """

    nodes: tuple[NodeState, ...]
    jobs: tuple[TimedJob, ...]
    notes: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return sum(len(node.gpus) for node in self.nodes)

    @property
    def cpu_millis(self) -> int:
        """CPU of all nodes, in thousandths of a core."""
        return sum(node.cpu_millis for node in self.nodes)
