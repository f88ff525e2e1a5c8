"""The work with one remote cluster: whether it answers, what it has, and the jobs there.

Each cycle looks at the rows and at the cluster and brings the two together; nothing is remembered that
could not be found again. A cluster that does not answer changes nothing for the jobs that it has, or may
have: they are held until it is back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.federation.errands import Errands
from windlass_server.federation.link import Calls, LinkDown, Refused
from windlass_server.federation.log_follower import LogFollower
from windlass_server.jobs import remote_rules
from windlass_server.jobs.remote_rules import State
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.rules import shown
from windlass_server.jobs.wishes import demand_of
from windlass_server.objects.logs import LogStore
from windlass_server.resources.remote_clusters import (
    CONNECTED,
    REFUSED,
    UNREACHABLE,
    RemoteCluster,
    node_states,
    slim,
)
from windlass_server.resources.remote_contacts import RemoteContacts
from windlass_server.resources.remote_policy import Offer
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.snapshot import Demand
from windlass_server.storage.guard import acting_as
from windlass_server.storage.tables import RemoteRunRow

# Silent for so long, a cluster is unreachable; shorter cuts are nobody's news.
PATIENCE_SECONDS = 5.0
# How old its word on its nodes may be when nobody wants to send a job there, and when somebody does.
_IDLE_SECONDS = 15.0
_FRESH_SECONDS = 2.0
_ERRANDS_AT_ONCE = 8
# How often a job is looked at of which nothing is heard.
_LOOK_SECONDS = 0.9
# Of those that one cycle looks at; those that were looked at longest ago first.
_LOOKS = 100
_KINDS: dict[int, str] = {UNREACHABLE: remote_rules.UNREACHABLE, REFUSED: "CLUSTER_REFUSES"}


@dataclass(frozen=True, slots=True)
class SessionHints:
    """Whom to wake when something changed; correctness never depends on it.

    Attributes:
        cluster_changed: a cluster (id) has something to be looked at.
        room_changed: a cluster can take something, or perhaps can now.
    """

    cluster_changed: Callable[[str], None]
    room_changed: Callable[[], None]


class ClusterSession:
    """Works with one cluster as long as its settings stay the same.

    Args:
        cluster: the cluster; its settings are those that this session keeps.
        connect: opens the link; WrongState when its key cannot be read.
        hints: whom to wake.
    """

    def __init__(
        self,
        cluster: RemoteCluster,
        connect: Callable[[RemoteCluster], Calls],
        runs: RemoteRunsService,
        contacts: RemoteContacts,
        logs: LogStore,
        clock: Clock,
        hints: SessionHints,
    ) -> None:
        self.cluster = cluster
        self._connect = connect
        self._runs = runs
        self._contacts = contacts
        self._logs = logs
        self._clock = clock
        self._hints = hints
        self._link: Calls | None = None
        self._errands: Errands | None = None
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._looked: dict[str, float] = {}
        self._state = 0
        self._silent_since: float | None = None
        self._version = ""
        self._nodes: bytes | None = None
        self._nodes_at = 0.0
        self._not_counted: tuple[Demand, ...] = ()
        self._wanted = False
        self._handed_over = 0
        self._leaving = False

    async def cycle(self) -> None:
        """Look once, and do what is to be done."""
        if not await self._contacts.hold(self.cluster.cluster_id):
            await self._let_go()
            return
        began = self._clock.monotonic()
        try:
            await self._work()
        except LinkDown as down:
            if not self._leaving:
                await self._is_silent(str(down), began)
        except Refused as refused:
            await self._stays_away(REFUSED, f"it does not let us in: {refused.message}")
        except WrongState as broken:
            await self._stays_away(REFUSED, f"its API key {broken.message}")

    def offer(self, jobs: int) -> Offer | None:
        """What it can take now, of which it has `jobs` already; None when it takes nothing.

        Without a ledger when its word on its nodes is too old to judge by; `ask` for a new one then.
        """
        if self._state != CONNECTED:
            return None
        ledger = None
        if self._nodes is not None and self._age() < _FRESH_SECONDS:
            ledger = Ledger(node_states(self._nodes))
            for demand in self._not_counted:
                index = ledger.choose(demand)
                if index is not None:
                    ledger.take(index, demand)
        return Offer(self.cluster.cluster_id, self.cluster.policy, jobs, ledger)

    def ask(self) -> None:
        """Ask soon what it has: somebody wants to send a job there."""
        self._wanted = True
        self._hints.cluster_changed(self.cluster.cluster_id)

    def handed_over(self) -> None:
        """Forget what is free there: a job is on its way."""
        self._handed_over += 1
        self._nodes_at = 0.0

    async def leave(self) -> None:
        """Let a cycle that waits for an answer end without it, and without any conclusion from that."""
        self._leaving = True
        if self._link is not None:
            await self._link.close()

    async def close(self) -> None:
        """Give everything up, when no cycle is under way; nothing is lost by it."""
        await self._let_go()

    async def _work(self) -> None:
        errands, link = self._opened()
        await link.caller()
        if self._state != CONNECTED:
            self._version = await link.version()
            errands.forget()
        self._silent_since = None
        runs = await self._runs.open_at(self.cluster.cluster_id)
        ended = errands.ended
        await self._attend(errands, runs)
        if errands.ended != ended:
            # There is more room than was last heard.
            self._nodes_at = 0.0
            self._hints.room_changed()
        if self._nodes is None or self._age() > (
            _FRESH_SECONDS / 2 if self._wanted else _IDLE_SECONDS
        ):
            await self._ask_for_nodes(errands, link)
        assert self._nodes is not None
        await self._contacts.heard(self.cluster.cluster_id, self._version, self._nodes)
        self._state = CONNECTED
        self._follow_logs(link, await self._runs.open_at(self.cluster.cluster_id))

    def _opened(self) -> tuple[Errands, Calls]:
        if self._link is None or self._errands is None:
            self._link = self._connect(self.cluster)
            self._errands = Errands(
                self.cluster.cluster_id, self._link, self._runs, self.cluster.settings.project
            )
        return self._errands, self._link

    async def _ask_for_nodes(self, errands: Errands, link: Calls) -> None:
        """Ask what it has, after the runs were looked at: what they have taken by then is counted in."""
        began, handed_over = self._clock.monotonic(), self._handed_over
        nodes = slim(await link.nodes())
        runs = await self._runs.open_at(self.cluster.cluster_id)
        self._not_counted = tuple(
            demand_of(job_pb2.Job.FromString(run.spec))
            for run in runs
            if errands.holds_nothing_yet(run)
        )
        self._nodes = nodes
        if handed_over == self._handed_over:
            self._nodes_at = began
        if self._wanted:
            self._wanted = False
            self._hints.room_changed()

    async def _attend(self, errands: Errands, runs: Sequence[Any]) -> None:
        """Do every run's errands, some at a time; the first failure is raised when all are done."""
        looked, now = self._looked, self._clock.monotonic()
        self._looked = {run.run_id: looked.get(run.run_id, 0.0) for run in runs}
        urgent = {run.run_id for run in runs if run.stop or run.state <= State.SUBMITTED}
        late = [run for run in runs if now - self._looked[run.run_id] >= _LOOK_SECONDS]
        due = [run for run in runs if run.run_id in urgent]
        due += sorted(
            (run for run in late if run.run_id not in urgent),
            key=lambda run: self._looked[run.run_id],
        )[:_LOOKS]
        turn = asyncio.Semaphore(_ERRANDS_AT_ONCE)

        async def attend(run: Any) -> None:
            async with turn:
                await errands.attend(run)
                self._looked[run.run_id] = self._clock.monotonic()

        await _all(attend(run) for run in due)

    def _follow_logs(self, link: Calls, runs: Sequence[Any]) -> None:
        self._followers = {
            run_id: task for run_id, task in self._followers.items() if not task.done()
        }
        for run in runs:
            if run.run_id not in self._followers and run.remote_job_id:
                self._followers[run.run_id] = asyncio.create_task(
                    self._follow(link, run), name=f"log of {run.run_id}"
                )

    async def _follow(self, link: Calls, run: RemoteRunRow) -> None:
        with acting_as("federation"):
            if await LogFollower(link, self._runs, self._logs, run).follow():
                # A log ends with its job.
                self._looked.pop(run.run_id, None)
                self._hints.cluster_changed(self.cluster.cluster_id)

    async def _is_silent(self, why: str, began: float) -> None:
        if self._silent_since is None:
            self._silent_since = began
        silent = self._clock.monotonic() - self._silent_since
        if self._state == CONNECTED and silent < PATIENCE_SECONDS:
            return
        await self._stays_away(UNREACHABLE, f"it does not answer: {why}")

    async def _stays_away(self, state: int, message: str) -> None:
        """Hold the jobs that it has or may have, and take those back that were never sent."""
        cluster_id, message = self.cluster.cluster_id, shown(message)
        self._state = state
        await self._contacts.became(cluster_id, state, message)
        words = f"cluster {cluster_id}: {message}"
        for run in await self._runs.open_at(cluster_id):
            if run.state == State.NEW:
                await self._runs.take_back(run.run_id, words)
            elif run.active and run.job_reason != _KINDS[state]:
                await self._runs.hold(run.run_id, _KINDS[state], words)

    async def _let_go(self) -> None:
        for task in self._followers.values():
            task.cancel()
        await asyncio.gather(*self._followers.values(), return_exceptions=True)
        self._followers.clear()
        if self._link is not None:
            await self._link.close()
        self._link = self._errands = None
        self._state, self._silent_since, self._nodes = 0, None, None

    def _age(self) -> float:
        return self._clock.monotonic() - self._nodes_at


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all to their ends, then raise the first failure."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
