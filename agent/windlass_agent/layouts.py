"""Divides cards as the server wants them, one after the other, and says what became of it.

What a card is divided into is known to its driver alone; here is only which orders were carried out. An
agent that starts anew has carried out none: the server says its will again, and nothing changes where it
is done already.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

from windlass.agents.v1 import mig_pb2
from windlass_agent.bounds import MAX_DETAIL, text
from windlass_agent.gpu.device import GpuProvider
from windlass_agent.gpu.mig import GpuLayoutError, MigPlacement
from windlass_agent.health import GpuThread
from windlass_agent.run_types import Phase
from windlass_agent.sampling import MeasuredRuns

_log = structlog.get_logger(__name__)

_NOT_ALLOWED = "this agent divides no cards: it runs without --divide-gpus"


class Layouts:
    """What cards shall be divided into.

    Args:
        gpus: The GPUs.
        held: UUIDs of the devices that runs hold.
        on_gpu_thread: Where GPUs may be changed.
        changed: Called when an order was carried out, or could not be.
        allowed: Whether the operator lets the server divide cards.
    """

    def __init__(
        self,
        gpus: GpuProvider,
        held: Callable[[], Collection[str]],
        on_gpu_thread: GpuThread,
        changed: Callable[[], None],
        *,
        allowed: bool,
    ) -> None:
        self._gpus = gpus
        self._held = held
        self._on_gpu_thread = on_gpu_thread
        self._changed = changed
        self._allowed = allowed
        self._newest: dict[str, int] = {}
        self._outcomes: dict[str, tuple[int, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def want(self, order: mig_pb2.LayoutDirective) -> None:
        """Takes in what the server wants of a card; one that was carried out is answered again."""
        uuid, generation = order.card_uuid, order.generation
        if generation > self._newest.get(uuid, 0):
            self._newest[uuid] = generation
            task = asyncio.ensure_future(self._carry_out(order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif generation == self.outcome(uuid)[0]:
            self._changed()

    def outcome(self, card_uuid: str) -> tuple[int, str]:
        """The last order of a card that was carried out, and why it could not be; (0, "") for none."""
        return self._outcomes.get(card_uuid, (0, ""))

    async def close(self) -> None:
        """Begins nothing any more; what is being done on the thread of the GPUs ends by itself."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, order: mig_pb2.LayoutDirective) -> None:
        uuid, generation = order.card_uuid, order.generation
        async with self._one_at_a_time:
            if generation < self._newest[uuid]:
                return  # the server has thought better of it
            problem = await self._divided(order) if self._allowed else _NOT_ALLOWED
            self._outcomes[uuid] = (generation, text(problem, MAX_DETAIL))
        names = ",".join(one.profile for one in order.instances)
        if problem:
            _log.warning("cannot divide a GPU", gpu=uuid, instances=names, reason=problem)
        else:
            _log.info("divided a GPU" if names else "made a GPU whole", gpu=uuid, instances=names)
        self._changed()

    async def _divided(self, order: mig_pb2.LayoutDirective) -> str:
        """Why it could not be done; empty when it was."""
        placements = [MigPlacement(one.profile, one.memory_start) for one in order.instances]
        held = frozenset(self._held())
        try:
            await self._on_gpu_thread(lambda: self._gpus.divide(order.card_uuid, placements, held))
        except GpuLayoutError as error:
            return str(error) or "it could not be divided"
        return ""


def held_by(runs: MeasuredRuns) -> frozenset[str]:
    """UUIDs of the devices that runs hold which have not ended."""
    requests = (
        runs.request_of(state.run_id) for state in runs.states() if state.phase is not Phase.EXITED
    )
    return frozenset(
        uuid for request in requests if request is not None for uuid in request.gpu_uuids
    )
