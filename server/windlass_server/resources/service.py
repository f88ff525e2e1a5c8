"""Shows the nodes, and lets new ones join: authorise, load, decide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from windlass_server.access.policy import ORGANISATION, Caller, absent, require, role_in
from windlass_server.access.service import AccessService, IssuedSecret
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.capacity import Facts, facts_of
from windlass_server.resources.maintenance import STATES, Leaving
from windlass_server.resources.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import DEFAULT_CLUSTER, EventRow, GpuLayoutRow, NodeRow
from windlass_server.storage.transaction import Transaction

# Nodes that are looked at, at a time, for those that say something of themselves.
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes a list asks for; empty values ask for all. The GPU type is compared without case."""

    status: int = 0
    gpu_type: str = ""
    cluster: str = ""
    zone: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    pool: str = ""

    @property
    def rows(self) -> dict[str, int | str]:
        """What the store is asked for: connection and maintenance, which `status` says as one."""
        state = STATES.get(self.status)
        where: dict[str, int | str] = {"cluster": self.cluster, "pool": self.pool}
        if state is None:
            return where | {"status": self.status}
        return where | {"status": int(Status.READY), "maintenance": int(state)}

    @property
    def asks_what_nodes_say(self) -> bool:
        """Whether some of it is only in the nodes' own words, and no column."""
        return bool(self.gpu_type or self.zone or self.labels)

    def takes(self, facts: Facts) -> bool:
        """Whether a node that says this of itself is asked for."""
        types = {gpu_type.lower() for _, gpu_type in facts.gpus}
        return (
            (not self.gpu_type or self.gpu_type.lower() in types)
            and (not self.zone or facts.zone == self.zone)
            and all(facts.labels.get(key) == value for key, value in self.labels)
        )


@dataclass(frozen=True, slots=True)
class PlacedRun:
    """A run on a node; its ids are empty when the caller may not read its project."""

    run_id: str
    job_id: str
    gpu_uuids: tuple[str, ...]
    leaving: Leaving
    gpu_millis: int = 0


@dataclass(frozen=True, slots=True)
class HeldPart:
    """An allocation on a node; `allocation_id` is empty when the caller may not see it."""

    allocation_id: str
    gpu_uuids: tuple[str, ...]
    leaving: Leaving
    gpu_millis: int = 0


@dataclass(frozen=True, slots=True)
class GpuShare:
    """A share of a GPU in thousandths: a run's, or an allocation's, whose id is empty if it is not seen."""

    run_id: str
    allocation_id: str
    gpu_millis: int


class NodeView(NamedTuple):
    """A node as a caller may see it. A tuple, because lists make and compare a thousand of them.

    Attributes:
        holders: the run that holds a GPU alone, by the GPU's UUID; empty for one that is not seen.
        run_ids: its runs that the caller may read.
        allocated: the allocation that does, empty for one that is not seen, by the same.
        layouts: what its cards were last told to be.
        shares: the shares of a GPU that is shared, by the same.
        who: the caller.
    """

    row: NodeRow
    runs: tuple[PlacedRun, ...]
    allocations: tuple[HeldPart, ...]
    holders: Mapping[str, str]
    allocated: Mapping[str, str]
    run_ids: frozenset[str]
    layouts: tuple[GpuLayoutRow, ...]
    shares: Mapping[str, Sequence[GpuShare]]
    who: Caller

    @property
    def leaving(self) -> list[Leaving]:
        """What bounds the time of everything that holds a part of it."""
        return [run.leaving for run in self.runs] + [part.leaving for part in self.allocations]


# Of a node on which nothing is.
_NOBODY: Mapping[str, str] = MappingProxyType({})
_NOTHING: Mapping[str, Sequence[GpuShare]] = MappingProxyType({})


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
        wanted = replace(wanted, gpu_type=wanted.gpu_type.lower())
        query = f"nodes {wanted}"
        behind = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> tuple[list[NodeView], bool]:
            found = _matching(tx, wanted, behind, size + 1)
            return views(tx, who, found[:size]), len(found) > size

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(query, found[-1].row.node_id) if more else ""

    async def get(self, who: Caller, node_id: str) -> NodeView:
        """A node; NotFound when there is none of that id."""
        require(who, "nodes.get", ORGANISATION)

        def load(tx: Transaction) -> NodeView:
            node = tx.nodes.get(node_id)
            if node is None:
                raise absent("node", node_id)
            return views(tx, who, [node])[0]

        return await self._database.read(load)

    async def events(
        self, who: Caller, node_id: str, *, size: int, token: str
    ) -> tuple[Sequence[EventRow], str]:
        """A page of what happened to a node, oldest first, and the token of the next one."""
        require(who, "nodes.get", ORGANISATION)
        size = page_size(size)
        query = f"node events {node_id}"
        after_sequence = int(self._page_tokens.read(query, token)) if token else 0

        def load(tx: Transaction) -> Sequence[EventRow]:
            if tx.nodes.get(node_id) is None:
                raise absent("node", node_id)
            return tx.events.page(node_id, after=after_sequence, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, str(found[size - 1].sequence))

    async def create_join_token(
        self,
        who: Caller,
        lifetime: int | None,
        *,
        max_uses: int = 1,
        cluster: str = DEFAULT_CLUSTER,
    ) -> IssuedSecret:
        """A token with which so many nodes can join a cluster.

        `lifetime` in microseconds, None: an hour. NotFound when there is no such cluster.
        """
        return await self._access.create_join_token(
            who, lifetime, max_uses=max_uses, cluster=cluster
        )


def label_of(text: str) -> tuple[str, str]:
    """Key and value of a `key=value`."""
    key, _, value = text.partition("=")
    return key, value


def selected(tx: Transaction, wanted: NodeFilter, size: int) -> Sequence[NodeRow]:
    """The oldest `size` nodes that are asked for; the GPU type in lower case."""
    return _matching(tx, wanted, "", size)


def _matching(tx: Transaction, wanted: NodeFilter, behind: str, size: int) -> Sequence[NodeRow]:
    if not wanted.asks_what_nodes_say:
        return tx.nodes.page(after=behind, size=size, **wanted.rows)
    found: list[NodeRow] = []
    while chunk := tx.nodes.page(after=behind, size=_CHUNK, **wanted.rows):
        found += [node for node in chunk if wanted.takes(facts_of(node))]
        if len(found) >= size or len(chunk) < _CHUNK:
            break
        behind = chunk[-1].node_id
    return found[:size]


def views(tx: Transaction, who: Caller, nodes: Sequence[NodeRow]) -> list[NodeView]:
    """The nodes as the caller may see them, in the same order."""
    if not nodes:
        return []
    node_ids = [node.node_id for node in nodes]
    runs: dict[str, list[PlacedRun]] = {node_id: [] for node_id in node_ids}
    for run in tx.runs.active_on(node_ids):
        seen = role_in(who, run.project) is not None
        run_id, job_id = (run.run_id, run.job_id) if seen else ("", "")
        uuids = tuple(run.gpu_uuids.split(",")) if run.gpu_uuids else ()
        leaving = Leaving(run.started_at, run.time_limit, run.grace, run.stopping_since)
        runs[run.node_id].append(PlacedRun(run_id, job_id, uuids, leaving, run.gpu_millis))
    parts: dict[str, list[HeldPart]] = {node_id: [] for node_id in node_ids}
    for one in tx.allocations.active_on(node_ids):
        shown_id = one.allocation_id if role_in(who, one.project) is not None else ""
        uuids = tuple(one.gpu_uuids.split(",")) if one.gpu_uuids else ()
        leaving = Leaving(one.created_at, one.expires_at - one.created_at, 0, None)
        parts[one.node_id].append(HeldPart(shown_id, uuids, leaving, one.gpu_millis))
    layouts: dict[str, list[GpuLayoutRow]] = {}
    for layout in tx.layouts.of_nodes(node_ids):
        layouts.setdefault(layout.node_id, []).append(layout)
    return [
        _view(node, runs[node.node_id], parts[node.node_id], layouts.get(node.node_id, ()), who)
        for node in nodes
    ]


def _view(
    node: NodeRow,
    runs: Iterable[PlacedRun],
    parts: Iterable[HeldPart],
    layouts: Iterable[GpuLayoutRow],
    who: Caller,
) -> NodeView:
    placed, held = tuple(runs), tuple(parts)
    if not placed and not held:
        return NodeView(node, (), (), _NOBODY, _NOBODY, frozenset(), tuple(layouts), _NOTHING, who)
    return NodeView(
        node,
        placed,
        held,
        holders={uuid: run.run_id for run in placed for uuid in _alone(run)},
        allocated={uuid: part.allocation_id for part in held for uuid in _alone(part)},
        shares=_shares(placed, held),
        run_ids=frozenset(run.run_id for run in placed if run.run_id),
        layouts=tuple(layouts),
        who=who,
    )


def _alone(holder: PlacedRun | HeldPart) -> Sequence[str]:
    return () if holder.gpu_millis else holder.gpu_uuids


def _shares(
    runs: Sequence[PlacedRun], parts: Sequence[HeldPart]
) -> Mapping[str, Sequence[GpuShare]]:
    found: dict[str, list[GpuShare]] = {}
    for run in runs:
        for uuid in run.gpu_uuids if run.gpu_millis else ():
            found.setdefault(uuid, []).append(GpuShare(run.run_id, "", run.gpu_millis))
    for part in parts:
        for uuid in part.gpu_uuids if part.gpu_millis else ():
            found.setdefault(uuid, []).append(GpuShare("", part.allocation_id, part.gpu_millis))
    return found
