"""What the server wants of each run, and the tasks that bring it about.

Lives as long as the agent, across sessions. A directive names a state to be in, so repeats are
harmless and only the newest matters: for each run at most one directive is being applied and at
most one, the newest, waits behind it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.clock import Clock
from windlass_agent.run_types import (
    BadRunId,
    Cause,
    Phase,
    RunExit,
    RunNotEnded,
    RunRequest,
    RunState,
)
from windlass_agent.wire import grace_of, report_of, request_of

_log = structlog.get_logger(__name__)

# Order of the newest directive of runs that are gone, kept so that a late one cannot revive them.
_REMEMBERED_RUNS = 10_000
_UNKNOWN_RUN_GRACE_SECONDS = 10.0
_SHUT_DOWN = "The node is being shut down."

Order = tuple[int, int]  # (epoch, generation)


class Runs(Protocol):
    """What this needs of the runner."""

    async def run(self, request: RunRequest) -> None: ...

    async def stop(
        self, run_id: str, grace_seconds: float, *, epoch: int = 0, cause: Cause = Cause.STOPPED
    ) -> None: ...

    async def freeze(self, run_id: str, *, epoch: int, frozen: bool) -> None: ...

    async def forget(self, run_id: str) -> None: ...

    def states(self) -> list[RunState]: ...


class DesiredRuns:
    """Brings each run to where the server wants it.

    Args:
        runs: Where tasks are started and stopped.
        device_paths: Device files that the given GPUs need.
        gpu_memory: Memory of a GPU in bytes; 0 when it is not known.
        report: Told each report that the server should hear.
        dropped: Told each run that the server has all of.
        clock: For the end time of a run that could not even be begun.
    """

    def __init__(
        self,
        runs: Runs,
        device_paths: Callable[[Sequence[str]], Sequence[str]],
        *,
        gpu_memory: Callable[[str], int] = lambda _: 0,
        report: Callable[[pb.RunReport], None],
        dropped: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._runs = runs
        self._device_paths = device_paths
        self._gpu_memory = gpu_memory
        self._report = report
        self._dropped = dropped
        self._clock = clock
        self._newest: OrderedDict[str, Order] = OrderedDict()
        self._applied: dict[str, Order] = {}
        self._pending: dict[str, pb.RunDirective] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unwanted: set[str] = set()  # to be forgotten as soon as they have ended
        self._never_began: dict[str, RunState] = {}
        self._closing = False

    def truth(self) -> list[pb.RunReport]:
        """A report of every run that this node knows."""
        return [self._report_of(state) for state in self._states().values()]

    def want(self, directive: pb.RunDirective) -> None:
        """Takes in what the server wants; returns at once."""
        run_id = directive.run_id
        order = (directive.epoch, directive.generation)
        if self._closing and directive.want == pb.RunDirective.RUNNING:
            self._turn_away(directive)
            return
        known = self._newest.get(run_id) or self._order_before_start(run_id)
        if order < known:
            _log.debug("stale directive", run_id=run_id, order=order, newest=known)
        elif order == known and run_id not in self._tasks:
            self._acknowledge(run_id)
        elif order > known:
            self._remember(run_id, order)
            self._pending[run_id] = directive
            self._start(run_id)

    def drop_unknown(self, run_ids: Iterable[str]) -> None:
        """Stops and forgets runs that the server knows nothing of."""
        for run_id in run_ids:
            _log.warning("the server does not know this run; dropping it", run_id=run_id)
            self._unwanted.add(run_id)
            self._start(run_id)

    def on_change(self, state: RunState) -> None:
        """Takes in a new state from the runner, and passes it on."""
        self._report(self._report_of(state))
        if state.phase is Phase.EXITED and state.run_id in self._unwanted:
            self._start(state.run_id)

    def accept_no_more(self) -> None:
        """Starts nothing from now on: the node is being shut down."""
        self._closing = True

    async def close(self) -> None:
        """Ends what is being applied; the server will say it again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _states(self) -> dict[str, RunState]:
        return {state.run_id: state for state in self._runs.states()} | self._never_began

    def _order_before_start(self, run_id: str) -> Order:
        """What an adopted run proves: its epoch was reached, by which generation nobody recalls."""
        state = self._states().get(run_id)
        return (-1, -1) if state is None else (state.epoch, -1)

    def _remember(self, run_id: str, order: Order) -> None:
        self._newest[run_id] = order
        self._newest.move_to_end(run_id)
        while len(self._newest) > _REMEMBERED_RUNS:
            self._newest.popitem(last=False)

    def _start(self, run_id: str) -> None:
        if run_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._converge(run_id))
            self._tasks[run_id] = task
            task.add_done_callback(lambda _: self._ended(run_id))

    def _ended(self, run_id: str) -> None:
        del self._tasks[run_id]
        if run_id in self._pending or (run_id in self._unwanted and self._has_ended(run_id)):
            self._start(run_id)

    def _has_ended(self, run_id: str) -> bool:
        state = self._states().get(run_id)
        return state is None or state.phase is Phase.EXITED

    async def _converge(self, run_id: str) -> None:
        while (directive := self._pending.pop(run_id, None)) is not None:
            await self._apply_safely(directive)
        if run_id in self._unwanted:
            await self._drop(run_id)

    async def _apply_safely(self, directive: pb.RunDirective) -> None:
        run_id = directive.run_id
        try:
            await self._apply(directive)
        except (BadRunId, OSError, ValueError) as error:
            _log.exception("cannot do what the server wants", run_id=run_id)
            # A run without a proper id could not be reported either.
            if directive.want == pb.RunDirective.RUNNING and not isinstance(error, BadRunId):
                self._never_began[run_id] = self._failed(directive, error)
        self._applied[run_id] = (directive.epoch, directive.generation)
        if run_id not in self._unwanted:
            self._acknowledge(run_id)

    async def _apply(self, directive: pb.RunDirective) -> None:
        run_id = directive.run_id
        if directive.want == pb.RunDirective.RUNNING:
            self._unwanted.discard(run_id)
            await self._runs.run(request_of(directive, self._device_paths, self._gpu_memory))
            await self._runs.freeze(run_id, epoch=directive.epoch, frozen=directive.frozen)
        elif directive.want == pb.RunDirective.STOPPED:
            await self._runs.stop(run_id, grace_of(directive), epoch=directive.epoch)
        elif directive.want == pb.RunDirective.FORGOTTEN:
            self._unwanted.add(run_id)

    async def _drop(self, run_id: str) -> None:
        """Forgets a run; one that still lives is stopped, and its end brings us here again."""
        self._dropped(run_id)
        self._never_began.pop(run_id, None)
        try:
            await self._runs.forget(run_id)
        except RunNotEnded:
            await self._runs.stop(run_id, _UNKNOWN_RUN_GRACE_SECONDS)
            return
        except (BadRunId, OSError):
            _log.exception("cannot forget a run", run_id=run_id)
        self._unwanted.discard(run_id)
        self._applied.pop(run_id, None)

    def _turn_away(self, directive: pb.RunDirective) -> None:
        """Says that a run cannot begin here, so that it begins elsewhere; silence would hold it up."""
        if directive.run_id not in self._states():
            end = RunExit(Cause.NODE_SHUTDOWN, self._clock.time_nanos(), message=_SHUT_DOWN)
            self._never_began[directive.run_id] = RunState(
                directive.run_id, directive.epoch, Phase.EXITED, exit=end
            )
            self._acknowledge(directive.run_id)

    def _acknowledge(self, run_id: str) -> None:
        state = self._states().get(run_id)
        if state is not None:
            self._report(self._report_of(state))

    def _report_of(self, state: RunState) -> pb.RunReport:
        epoch, generation = self._applied.get(state.run_id, (0, 0))
        return report_of(state, generation if epoch == state.epoch else 0)

    def _failed(self, directive: pb.RunDirective, error: Exception) -> RunState:
        end = RunExit(Cause.LAUNCH_FAILED, self._clock.time_nanos(), message=str(error))
        return RunState(directive.run_id, directive.epoch, Phase.EXITED, exit=end)
