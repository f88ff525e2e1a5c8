"""Jobs that are spread are asked again when they get their places whether few enough of their like are there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from windlass_server.errors import Conflict
from windlass_server.jobs.places import spread_of
from windlass_server.resources.capacity import facts_of
from windlass_server.scheduler.snapshot import Spread
from windlass_server.storage.tables import JobRow, NodeRow
from windlass_server.storage.transaction import Transaction


def require_apart(
    tx: Transaction,
    placed: Sequence[tuple[JobRow, Sequence[str]]],
    nodes: Mapping[str, NodeRow],
) -> None:
    """Refuse places of which a domain has too many by now.

    Args:
        tx: the transaction, before any of these have their runs.
        placed: jobs and the nodes of their ranks, in the order in which the plan placed them: each counts for those
            behind it, as for the plan.
        nodes: the rows of these nodes, by their ids.

    Raises:
        Conflict: SPREAD_CHANGED.
    """
    spreads = [spread_of(job.spread, job.spread_group) for job, _ in placed]
    bounded = [one for one in spreads if one is not None and one.most]
    if not bounded:
        return
    there = tx.runs.in_groups(sorted({one.group for one in bounded if one.group}))
    on = {group: Counter(counts) for group, counts in there.items()}
    elsewhere = sorted({node_id for counts in on.values() for node_id in counts} - nodes.keys())
    known = {**nodes, **{node.node_id: node for node in tx.nodes.some(elsewhere)}}
    for (job, node_ids), spread in zip(placed, spreads, strict=True):
        if spread is None:
            continue
        counts = on.setdefault(spread.group, Counter()) if spread.group else Counter[str]()
        counts.update(node_ids)
        if spread.most:
            _require(job, spread, counts, node_ids, known)


def _require(
    job: JobRow,
    spread: Spread,
    counts: Mapping[str, int],
    node_ids: Iterable[str],
    nodes: Mapping[str, NodeRow],
) -> None:
    domains = Counter[str]()
    for node_id, count in counts.items():
        domains[_domain(nodes.get(node_id), node_id, spread.node_label)] += count
    for node_id in node_ids:
        domain = _domain(nodes.get(node_id), node_id, spread.node_label)
        if domains[domain] > spread.most:
            message = (
                f"of those with whom {job.job_id} is spread too many are where node {node_id} is"
            )
            raise Conflict(message, reason="SPREAD_CHANGED", node_id=node_id)


def _domain(node: NodeRow | None, node_id: str, label: str) -> str:
    """As `scheduler.spreading.domain_of`."""
    labels = {} if node is None or not label else facts_of(node).labels
    return labels.get(label, f"\0{node_id}")
