"""A scheduling policy as the API shows it, and as the scheduler goes by it."""

from types import MappingProxyType

from google.protobuf.duration_pb2 import Duration

from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.access.policy import Caller, role_in
from windlass_server.scheduler.policies import (
    Aging,
    Backfill,
    FairShare,
    Policy,
    PreemptionRules,
    PriorityClass,
)
from windlass_server.storage.tables import EventRow, SchedulingPolicyRow
from windlass_server.timestamps import duration_from_proto, to_proto

_pb = scheduling_policy_pb2


def scheduling_policy_message(row: SchedulingPolicyRow, who: Caller) -> _pb.SchedulingPolicy:
    """What was said as far as a caller may know of the projects, and who said it when."""
    message = _pb.SchedulingPolicy.FromString(row.spec)
    if message.fair_share.weights:
        shown = [
            one
            for one in message.fair_share.weights
            if not one.project or role_in(who, one.project) is not None
        ]
        del message.fair_share.weights[:]
        message.fair_share.weights.extend(shown)
    message.policy_id = row.policy_id
    message.etag = str(row.version)
    message.user = row.user
    message.create_time.CopyFrom(to_proto(row.created_at))
    message.update_time.CopyFrom(to_proto(row.updated_at))
    return message


def scheduling_policy_event_message(row: EventRow, policy_id: str) -> _pb.SchedulingPolicyEvent:
    """What happened to a policy once."""
    return _pb.SchedulingPolicyEvent(
        sequence=row.sequence,
        policy_id=policy_id,
        time=to_proto(row.at),
        actor=row.actor,
        reason=row.reason,
        message=row.message,
    )


def policy_of(spec: _pb.SchedulingPolicy) -> Policy:
    """What a policy says; parts that are not there say nothing."""
    return Policy(
        classes=_classes(spec.priority_classes) if spec.HasField("priority_classes") else None,
        aging=_aging(spec.aging) if spec.HasField("aging") else None,
        fair_share=_fair_share(spec.fair_share) if spec.HasField("fair_share") else None,
        backfill=_backfill(spec.backfill) if spec.HasField("backfill") else None,
        preemption=_preemption(spec.preemption) if spec.HasField("preemption") else None,
        packing=spec.packing or None,
    )


def _classes(said: _pb.PriorityClasses) -> tuple[PriorityClass, ...]:
    classes = [PriorityClass(one.name, one.priority) for one in said.classes]
    return tuple(sorted(classes, key=lambda one: one.priority))


def _aging(said: _pb.Aging) -> Aging:
    return Aging(said.boost, _span(said, "over", Aging().over))


def _fair_share(said: _pb.FairShare) -> FairShare:
    weights = {(one.project, one.user): one.weight for one in said.weights}
    return FairShare(
        enabled=not said.disabled,
        half_life=_span(said, "half_life", FairShare().half_life),
        weights=MappingProxyType(weights),
    )


def _backfill(said: _pb.Backfill) -> Backfill:
    return Backfill(said.depth) if said.HasField("depth") else Backfill()


def _preemption(said: _pb.Preemption) -> PreemptionRules:
    usual = PreemptionRules()
    return PreemptionRules(
        enabled=said.enabled,
        min_priority_gap=said.min_priority_gap or usual.min_priority_gap,
        min_run=_span(said, "min_run_time", usual.min_run),
        back_off=_span(said, "back_off", usual.back_off),
        budget=said.hourly_budget if said.HasField("hourly_budget") else usual.budget,
    )


def _span(said: _pb.Aging | _pb.FairShare | _pb.Preemption, name: str, usual: int) -> int:
    """A span of time that was said, in microseconds; else what is built in."""
    if not said.HasField(name):
        return usual
    span: Duration = getattr(said, name)
    return duration_from_proto(span)
