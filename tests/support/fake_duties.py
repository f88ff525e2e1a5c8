"""The rest of the server, as a node's streams see it."""

from collections.abc import Collection, Sequence

from tests.support.fake_clock import FakeClock
from windlass.agents.v1 import agent_pb2, custom_metric_pb2, health_pb2, mig_pb2


class FakeMembers:
    """Writes down what it is told; `fails` is raised by the next `lost` or `touch`, once each.

    `wanted` is how cards shall be divided.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.calls: list[tuple[str, ...]] = []
        self.lost_seen_at: list[int] = []
        self.fails: list[Exception] = []
        self.refuses: Exception | None = None
        self.stocks: list[agent_pb2.Inventory] = []
        self.wanted: list[mig_pb2.LayoutDirective] = []

    async def restock(self, node_id: str, inventory: agent_pb2.Inventory) -> None:
        self.calls.append(("restock", node_id, inventory.hostname))
        self.stocks.append(inventory)

    async def layouts(self, node_id: str) -> Sequence[mig_pb2.LayoutDirective]:
        self.calls.append(("layouts", node_id))
        return list(self.wanted)

    async def hello(self, node_id: str, inventory: agent_pb2.Inventory) -> int:
        if self.refuses is not None:
            raise self.refuses
        self.calls.append(("hello", node_id, inventory.hostname))
        return self._clock.now()

    async def touch(self, node_id: str) -> int:
        if self.fails:
            raise self.fails.pop()
        self.calls.append(("touch", node_id))
        return self._clock.now()

    async def lost(self, node_id: str, *, seen_at: int) -> None:
        if self.fails:
            raise self.fails.pop()
        self.calls.append(("lost", node_id))
        self.lost_seen_at.append(seen_at)


class FakeRunMetrics:
    """Writes down what it is given; `refuses` is raised instead."""

    def __init__(self) -> None:
        self.taken: list[custom_metric_pb2.MetricBatch] = []
        self.refuses: Exception | None = None

    async def take(self, batch: custom_metric_pb2.MetricBatch) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.taken.append(batch)


class FakeHealth:
    """Writes down what it is told; `wanted` is what a node shall reset."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, health_pb2.HealthReport]] = []
        self.wanted: list[health_pb2.ResetDirective] = []

    async def report(self, node_id: str, report: health_pb2.HealthReport) -> None:
        self.reports.append((node_id, report))

    def resets(self, node_id: str) -> Sequence[health_pb2.ResetDirective]:
        return list(self.wanted)


class FakeRuns:
    """Runs by hand: `wanted` is what the server wants, `answers` what follows from a report."""

    def __init__(self) -> None:
        self.reports: list[agent_pb2.RunReport] = []
        self.wanted: list[agent_pb2.RunDirective] = []
        self.answers: dict[str, agent_pb2.RunDirective | Exception] = {}
        self.owned: set[tuple[str, str, int]] = set()
        self.asked_for_owner = 0
        self.known: list[tuple[str, set[str]]] = []
        self.lost: list[tuple[str, str]] = []
        self.log_ends: list[tuple[str, int]] = []
        self.at_log_end: dict[tuple[str, int], agent_pb2.RunDirective] = {}

    async def report(
        self, node_id: str, report: agent_pb2.RunReport
    ) -> agent_pb2.RunDirective | None:
        self.reports.append(report)
        answer = self.answers.get(report.run_id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def hello(self, node_id: str, known: Collection[str]) -> None:
        self.known.append((node_id, set(known)))

    async def directives(self, node_id: str) -> Sequence[agent_pb2.RunDirective]:
        return list(self.wanted)

    async def owns(self, node_id: str, run_id: str, epoch: int) -> bool:
        self.asked_for_owner += 1
        return (node_id, run_id, epoch) in self.owned

    async def log_complete(self, run_id: str, position: int) -> agent_pb2.RunDirective | None:
        self.log_ends.append((run_id, position))
        return self.at_log_end.get((run_id, position))

    async def log_lost(self, run_id: str, why: str) -> agent_pb2.RunDirective | None:
        self.lost.append((run_id, why))
        return directive(run_id, generation=2, want="FORGOTTEN")


def directive(
    run_id: str, *, epoch: int = 1, generation: int = 1, want: str = "RUNNING"
) -> agent_pb2.RunDirective:
    return agent_pb2.RunDirective(
        run_id=run_id,
        epoch=epoch,
        generation=generation,
        want=want,
    )


def report(run_id: str, *, epoch: int = 1, state: str = "RUNNING") -> agent_pb2.RunReport:
    return agent_pb2.RunReport(run_id=run_id, epoch=epoch, state=state)
