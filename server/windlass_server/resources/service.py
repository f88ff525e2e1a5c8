"""Shows the nodes, and lets new ones join: authorise, load, decide."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass.agents.v1 import agent_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require, role_in
from windlass_server.access.service import AccessService, IssuedSecret
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

# Nodes that are looked at, at a time, for those with a GPU of some type.
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes a list asks for; empty values ask for all. The GPU type is compared without case."""

    status: int = 0
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class PlacedRun:
    """A run on a node; `job_id` is empty when the caller may not see the job."""

    run_id: str
    job_id: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as a caller may see it.

    Attributes:
        holders: the run that holds a GPU, by the GPU's UUID.
    """

    row: NodeRow
    inventory: agent_pb2.Inventory
    runs: tuple[PlacedRun, ...]
    holders: dict[str, str]


class ResourcesService:
    """The machines.

    Args:
        access: makes join tokens.
        page_tokens: makes list tokens.
    """

    def __init__(self, database: Database, access: AccessService, page_tokens: PageTokens) -> None:
        self._database = database
        self._access = access
        self._page_tokens = page_tokens

    async def list(
        self, who: Caller, wanted: NodeFilter, *, size: int, token: str
    ) -> tuple[Sequence[NodeView], str]:
        """A page of nodes, oldest first, and the token of the next one."""
        require(who, "nodes.list", ORGANISATION)
        size = page_size(size)
        wanted = NodeFilter(wanted.status, wanted.gpu_type.lower())
        query = f"nodes {wanted}"
        behind = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> tuple[list[NodeView], bool]:
            found = _matching(tx, wanted, behind, size + 1)
            return _views(tx, who, found[:size]), len(found) > size

        views, more = await self._database.read(load)
        return views, self._page_tokens.make(query, views[-1].row.node_id) if more else ""

    async def get(self, who: Caller, node_id: str) -> NodeView:
        """A node; NotFound when there is none of that id."""
        require(who, "nodes.get", ORGANISATION)

        def load(tx: Transaction) -> NodeView:
            node = tx.nodes.get(node_id)
            if node is None:
                raise absent("node", node_id)
            return _views(tx, who, [node])[0]

        return await self._database.read(load)

    async def create_join_token(self, who: Caller, lifetime: int | None) -> IssuedSecret:
        """A token with which one node can join once; `lifetime` in microseconds, None: an hour."""
        return await self._access.create_join_token(who, lifetime)


def _matching(tx: Transaction, wanted: NodeFilter, behind: str, size: int) -> Sequence[NodeRow]:
    if not wanted.gpu_type:
        return tx.nodes.page(after=behind, size=size, status=wanted.status)
    found: list[NodeRow] = []
    while chunk := tx.nodes.page(after=behind, size=_CHUNK, status=wanted.status):
        found += [node for node in chunk if _has_gpu_type(node, wanted.gpu_type)]
        if len(found) >= size or len(chunk) < _CHUNK:
            break
        behind = chunk[-1].node_id
    return found[:size]


def _has_gpu_type(node: NodeRow, gpu_type: str) -> bool:
    inventory = agent_pb2.Inventory.FromString(node.inventory)
    return any(gpu.gpu_type.lower() == gpu_type for gpu in inventory.gpus)


def _views(tx: Transaction, who: Caller, nodes: Sequence[NodeRow]) -> list[NodeView]:
    if not nodes:
        return []
    node_ids = [node.node_id for node in nodes]
    runs: dict[str, list[PlacedRun]] = {node_id: [] for node_id in node_ids}
    for run in tx.runs.active_on(node_ids):
        job_id = run.job_id if role_in(who, run.project) is not None else ""
        uuids = tuple(run.gpu_uuids.split(",")) if run.gpu_uuids else ()
        runs[run.node_id].append(PlacedRun(run.run_id, job_id, uuids))
    return [_view(node, runs[node.node_id]) for node in nodes]


def _view(node: NodeRow, runs: Iterable[PlacedRun]) -> NodeView:
    placed = tuple(runs)
    holders = {uuid: run.run_id for run in placed for uuid in run.gpu_uuids}
    return NodeView(node, agent_pb2.Inventory.FromString(node.inventory), placed, holders)
