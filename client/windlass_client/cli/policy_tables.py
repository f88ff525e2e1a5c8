"""Scheduling policies in tables, for people."""

from typing import TYPE_CHECKING

from windlass_client.cli.output import cell, moment, table
from windlass_client.quantities import format_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.duration_pb2 import Duration
    from rich.table import Table

    from windlass.resources.v1 import scheduling_policy_pb2

    Policy = scheduling_policy_pb2.SchedulingPolicy


def policies_table(policies: "Sequence[Policy]") -> "Table":
    """A line for each policy."""
    made = table("POLICY", "SAYS", "SET BY", "CHANGED")
    for one in policies:
        made.add_row(
            cell(one.policy_id),
            cell("; ".join(f"{name}: {text}" for name, text in _said(one)) or "nothing"),
            cell(one.user),
            cell(moment(one.update_time)),
        )
    return made


def policy_table(one: "Policy") -> "Table":
    """Everything that a policy says."""
    made = table("", "")
    made.show_header = False
    rows = [("policy", one.policy_id), ("description", one.description), *_said(one)]
    if one.HasField("update_time"):
        rows += [("set by", one.user), ("changed", moment(one.update_time))]
    else:
        rows.append(("", "nobody has set it: everything is as it is built in"))
    for heading, value in rows:
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def events_table(found: "Sequence[scheduling_policy_pb2.SchedulingPolicyEvent]") -> "Table":
    """A line for each change."""
    made = table("TIME", "WHO", "WHAT", "FROM WHAT TO WHAT")
    for one in found:
        made.add_row(cell(moment(one.time)), cell(one.actor), cell(one.reason), cell(one.message))
    return made


def _said(one: "Policy") -> list[tuple[str, str]]:
    """Each part that a policy says something of, in words."""
    said = []
    if one.HasField("priority_classes"):
        classes = sorted(one.priority_classes.classes, key=lambda each: each.priority)
        said.append(("classes", ", ".join(f"{each.name}={each.priority}" for each in classes)))
    if one.HasField("aging"):
        over = _span(one.aging.over) if one.aging.HasField("over") else "7d"
        said.append(("aging", f"{one.aging.boost} over {over}" if one.aging.boost else "none"))
    if one.HasField("fair_share"):
        said.append(("fair share", _sharing(one.fair_share)))
    if one.HasField("backfill"):
        depth = one.backfill.depth if one.backfill.HasField("depth") else 10
        said.append(("backfill", f"{depth} protected"))
    if one.HasField("preemption"):
        said.append(("preemption", _stopping(one.preemption)))
    if one.packing:
        said.append(("packing", one.packing))
    return said


def _sharing(share: "scheduling_policy_pb2.FairShare") -> str:
    if share.disabled:
        return "off"
    life = _span(share.half_life) if share.HasField("half_life") else "7d"
    weights = [f"{_owner(one)}={one.weight:g}" for one in share.weights]
    return ", ".join([f"half-life {life}", *weights])


def _owner(one: "scheduling_policy_pb2.ShareWeight") -> str:
    return f"{one.project}/{one.user}" if one.user else one.project


def _stopping(rules: "scheduling_policy_pb2.Preemption") -> str:
    if not rules.enabled:
        return "off"
    parts = ["on"]
    if rules.min_priority_gap:
        parts.append(f"gap {rules.min_priority_gap}")
    if rules.HasField("min_run_time"):
        parts.append(f"after {_span(rules.min_run_time)}")
    if rules.HasField("back_off"):
        parts.append(f"again after {_span(rules.back_off)}")
    if rules.HasField("hourly_budget"):
        parts.append(f"at most {rules.hourly_budget} an hour")
    return ", ".join(parts)


def _span(duration: "Duration") -> str:
    return format_span(duration.ToTimedelta().total_seconds())
