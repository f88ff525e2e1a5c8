"""What a job asks of the places that it may be given, from the contract to the planner's words."""

from functools import lru_cache
from typing import Any

from windlass.jobs.v1 import job_pb2, job_spread_pb2
from windlass_server.errors import Conflict
from windlass_server.resources.capacity import facts_of
from windlass_server.scheduler.rooms import passing
from windlass_server.scheduler.snapshot import LabelRule, LabelTest, Spread
from windlass_server.storage.tables import JobRow, NodeRow


def place_columns(full: job_pb2.Job) -> dict[str, Any]:
    """The columns of a job for what it asks of its places."""
    asks = bool(full.constraints.node_labels)
    return {
        "gpu_types": ",".join(full.gpu_types),
        "exclusive": full.exclusive_node,
        "constraints": full.constraints.SerializeToString() if asks else None,
        "spread": full.spread.SerializeToString() if full.HasField("spread") else None,
        "spread_group": group_of(full),
        "reservation_id": full.reservation_id,
    }


@lru_cache(maxsize=4096)
def rules_of(constraints: bytes | None) -> tuple[LabelRule, ...]:
    """What is asked of the labels of nodes, from the column."""
    return rules_in(job_pb2.Constraints.FromString(constraints)) if constraints else ()


def rules_in(constraints: job_pb2.Constraints) -> tuple[LabelRule, ...]:
    """What is asked of the labels of nodes, from the message."""
    return tuple(
        LabelRule(
            rule.key,
            LabelTest(job_pb2.NodeLabelRule.Operator.Name(rule.operator)),
            tuple(rule.values),
            rule.preferred,
        )
        for rule in constraints.node_labels
    )


def group_of(full: job_pb2.Job) -> str:
    """The name that those jobs have in common that are spread together; empty: it is with no other."""
    key = full.spread.job_label
    # None of these has a line break in it.
    return "\n".join((full.project, key, full.labels.get(key, ""))) if key else ""


@lru_cache(maxsize=4096)
def spread_of(spread: bytes | None, group: str) -> Spread | None:
    """How a job is spread, from the columns."""
    return None if spread is None else _spread(job_spread_pb2.Spread.FromString(spread), group)


def spread_in(full: job_pb2.Job) -> Spread | None:
    """How a job is spread, from the message."""
    return _spread(full.spread, group_of(full)) if full.HasField("spread") else None


def _spread(asked: job_spread_pb2.Spread, group: str) -> Spread:
    return Spread(asked.node_label, group, asked.max_per_domain)


def types_of(gpu_types: str) -> tuple[str, ...]:
    """The types of GPUs that will do, from the column."""
    return tuple(gpu_types.split(",")) if gpu_types else ()


def require_labels(job: JobRow, node: NodeRow | None) -> None:
    """Refuse a node whose labels are others by now. Raises Conflict, NODE_LABELS_CHANGED."""
    rules = [rule for rule in rules_of(job.constraints) if not rule.preferred]
    if not rules or node is None:
        return
    labels = facts_of(node).labels
    if not all(passing(rule, labels) for rule in rules):
        message = f"node {node.node_id} has other labels by now"
        raise Conflict(message, reason="NODE_LABELS_CHANGED", node_id=node.node_id)
