"""What the cluster has, as the last look at it saw it: for deciding about submissions at once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.resources.capacity import Sharing
from windlass_server.resources.pooling import rules_of
from windlass_server.resources.seen_nodes import SeenNodes
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.filters import path_of
from windlass_server.scheduler.quota import Ask
from windlass_server.scheduler.quota_gate import least_asks
from windlass_server.scheduler.snapshot import Demand, NodeState, Pool
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

# Nodes that are looked at one by one: to read more of them so takes longer than to read all.
_MOST_ALONE = 500


class Cluster:
    """The nodes, kept in memory between looks, and the pools that the operator declared.

    Args:
        unhealthy: the UUIDs of the GPUs of a node that cannot be given to jobs, as far as it has said.
    """

    def __init__(
        self,
        database: Database,
        pools: Sequence[Pool],
        unhealthy: Callable[[str], frozenset[str]],
    ) -> None:
        self._database = database
        self.pools = tuple(pools)
        self._seen = SeenNodes(unhealthy)
        self._nodes: tuple[NodeState, ...] = ()
        # What the nodes are as of: the last change, and how many may share GPUs of each pool.
        self._seen_at: tuple[int | None, Mapping[str, int]] = (None, {})

    def load(self, tx: Transaction) -> tuple[NodeState, ...]:
        """Look at the nodes within a transaction that only reads, and remember them."""
        newest, sharing = tx.node_changes.newest(), _sharing(tx)
        at, most = self._seen_at
        ids = None if at is None or most != sharing.most else self._other_ones(tx, at)
        if ids is None or len(ids) > _MOST_ALONE:
            claims, layouts = tx.nodes.all_claims(), tx.layouts.all()
            self._nodes = self._seen.all(tx.nodes.all(), claims, layouts, sharing)
        elif ids:
            claims, layouts = tx.nodes.claims_of(ids), tx.layouts.of_nodes(ids)
            self._nodes = self._seen.renewed(ids, tx.nodes.some(ids), claims, layouts, sharing)
        self._seen_at = newest, sharing.most
        return self._nodes

    def _other_ones(self, tx: Transaction, at: int) -> list[str]:
        """The nodes that are other ones than at a change before."""
        divided = {node.node_id for node in self._nodes if node.cards}
        return sorted(tx.node_changes.since(at, divided) | self._seen.said_anew())

    def look(self, tx: Transaction, nodes: Sequence[NodeRow]) -> tuple[NodeState, ...]:
        """These nodes as the scheduler sees them, not remembered."""
        return self._seen.some(nodes, tx.nodes.all_claims(), tx.layouts.all(), _sharing(tx))

    def any_ready(self) -> bool:
        """Whether some node could take work when last looked at."""
        return any(node.ready for node in self._nodes)

    def could_ever_hold(self, demand: Demand) -> bool:
        """Whether a node or a declared pool could hold it when empty, as far as was last seen."""
        return could_ever_fit(demand, self._nodes, self.pools) is None

    async def least_asks(self, demand: Demand) -> list[Ask]:
        """What a job would have of what quotas count, at least; as `quota_gate.least_asks`."""
        if not demand.exclusive:
            return least_asks(demand, ())
        nodes = await self._database.read(self.load)
        declared = (pool.template for pool in self.pools if pool.count > 0)
        return least_asks(demand, (*nodes, *declared))

    def first_reason(self) -> tuple[str, str]:
        """Why a job waits that no cycle has looked at yet: a reason and a sentence."""
        if not self._nodes:
            return "NO_NODES", "no node has joined the cluster yet"
        if not self.any_ready():
            count = len(self._nodes)
            return "NODES_UNREACHABLE", f"none of the {count} node(s) of the cluster is connected"
        return "PENDING_SCHEDULING", "waits for the scheduler to look at it"

    async def require_satisfiable(self, demand: Demand) -> None:
        """Refuse what no registered node, reachable or not, and no declared pool can ever hold.

        Raises:
            InvalidInput: UNSATISFIABLE_RESOURCES, naming the dimension.
        """
        if could_ever_fit(demand, self._nodes, self.pools) is None:
            return
        # The memory may be behind: a node may have joined through another server.
        nodes = await self._database.read(self.load)
        unsatisfiable = could_ever_fit(demand, nodes, self.pools)
        if unsatisfiable is None:
            return
        dimension = unsatisfiable.dimension
        raise never(f"job.{path_of(dimension)}", dimension, unsatisfiable.message)


def _sharing(tx: Transaction) -> Sharing:
    most = {pool.pool_id: pool.max_sharers for pool in rules_of(tx.pools.all())}
    sharers: dict[str, Counter[str]] = {}
    for row in tx.gpu_shares.all():
        sharers.setdefault(row.node_id, Counter())[row.gpu_uuid] += 1
    return Sharing(most, sharers)


def never(field: str, dimension: str, message: str) -> InvalidInput:
    """The refusal of what nothing that there is, or will be, can give."""
    reason = "UNSATISFIABLE_RESOURCES"
    violations = (FieldViolation(field, message, reason),)
    return InvalidInput(message, reason=reason, violations=violations, dimension=dimension)
