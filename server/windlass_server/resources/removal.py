"""Forgetting machines that are gone: authorise, load, decide, store."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.resources.service import NodeView, views
from windlass_server.resources.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

RUNS_WORDS = "its node was removed"
_GONE = ("NODE_REMOVED", "was taken back since its node was removed")


class LoseRuns(Protocol):
    """Makes ready to end all that a node has not been told to drop; done by what it answers."""

    def __call__(self, node_id: str, why: str) -> Awaitable[Callable[[Transaction], None]]: ...


class RevokeAllocation(Protocol):
    """Takes an allocation back within a transaction; harmless when it was before."""

    def __call__(self, tx: Transaction, allocation_id: str, why: tuple[str, str]) -> None: ...


class NodeRemoval:
    """Forgets nodes.

    Args:
        lose_runs: ends the runs of a node as lost.
        revoke: takes allocations back.
        removed: each called with the id of a node that is not one any more.
        capacity_changed: called when a node was removed.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        lose_runs: LoseRuns,
        revoke: RevokeAllocation,
        removed: Sequence[Callable[[str], None]],
        capacity_changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._lose_runs = lose_runs
        self._revoke = revoke
        self._removed = removed
        self._capacity_changed = capacity_changed

    async def delete(self, who: Caller, node_id: str, *, force: bool) -> NodeView:
        """Forget a node; answers it as it was.

        Its key is refused from then on. That is what fences it: whatever its machine still says of
        its runs, nobody listens, so that they may be run elsewhere.

        Args:
            who: the caller.
            node_id: the node.
            force: also one that holds something, which then ends.

        Raises:
            NotFound: there is no such node.
            WrongState: its agent is connected, or it holds something and `force` is not said.
        """
        require(who, "nodes.delete", ORGANISATION)
        lose_runs = await self._lose_runs(node_id, RUNS_WORDS)

        def store(tx: Transaction) -> NodeView:
            node = tx.nodes.lock(node_id)
            if node is None:
                raise absent("node", node_id)
            view = views(tx, who, [node])[0]
            _require_removable(view, force=force)
            self._remove(tx, node, who.user)
            lose_runs(tx)
            for one in tx.allocations.active_on([node_id]):
                self._revoke(tx, one.allocation_id, _GONE)
            return view

        return await self._database.write(store)

    def _remove(self, tx: Transaction, node: NodeRow, actor: str) -> None:
        now = self._clock.now()
        tx.nodes.change(node.node_id, removed_at=now)
        tx.layouts.drop(node.node_id)
        tx.events.record(
            project=ORGANISATION,
            object_id=node.node_id,
            at=now,
            actor=actor,
            status=int(Status.UNREACHABLE),
            reason="REMOVED",
            message="was removed; its key is refused",
            run_id="",
        )
        for forget in self._removed:
            tx.after_commit(partial(forget, node.node_id))
        tx.after_commit(self._capacity_changed)


def _require_removable(view: NodeView, *, force: bool) -> None:
    node = view.row
    if node.status == Status.READY:
        message = f"the agent of node {node.name} is connected; stop it first"
        raise WrongState(
            message, reason="NODE_CONNECTED", subject=node.node_id, node_id=node.node_id
        )
    runs, parts = len(view.runs), len(view.allocations)
    if (runs or parts) and not force:
        message = (
            f"node {node.name} holds {runs} run(s) and {parts} allocation(s); force ends them, for a "
            "machine that is gone"
        )
        raise WrongState(
            message,
            reason="NODE_HELD",
            subject=node.node_id,
            node_id=node.node_id,
            runs=str(runs),
            allocations=str(parts),
        )
