"""The health of a GPU as a state machine over what its node reports. Pure.

```
              fault: SUSPECT                    fault: RESET_GPU or DRAIN
 HEALTHY ────────────────▶ SUSPECT ─────────────────────────────▶ UNHEALTHY ◀─┐
  ▲  ▲                        │ │ idle, and a reset would mend it     │        │ failed,
  │  └───quiet for a while────┘ └───────────────┐  nothing holds it:  │ reset  │ or another
  │                                             ▼                     ▼        │ fault
  └──────────────clean burn-in────────────── RECOVERING ◀─────────────┘────────┘
```

A fault of RESTART_TASK or IGNORE leaves the device as it is. What does not need a reset, such as a
card that is back on the bus or a machine that was booted, goes to its burn-in at once.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from windlass_server.resources import health_policy as faults
from windlass_server.resources.health_policy import Action, Policy


class Health(enum.IntEnum):
    """As `resources.v1.Gpu.Health`."""

    HEALTHY = 1
    UNHEALTHY = 2
    SUSPECT = 3
    RECOVERING = 4


RESETTING = "RESETTING"
BURN_IN = "BURN_IN"
RESET_FAILED = "RESET_FAILED"
RESETS_EXHAUSTED = "RESETS_EXHAUSTED"


@dataclass(frozen=True, slots=True)
class Xid:
    """An XID: its number since the agent started, its code, and when it came (µs)."""

    number: int
    code: int
    at: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node reports of a GPU; `uncorrected` is None when the card does not tell."""

    agent_start: int
    lost: bool = False
    reset_required: bool = False
    too_hot: bool = False
    rows_pending: bool = False
    rows_failed: bool = False
    uncorrected: int | None = None
    xids: tuple[Xid, ...] = ()
    reset_done: int = 0
    reset_error: str = ""

    @property
    def standing(self) -> frozenset[str]:
        """The faults that last."""
        if self.lost:
            return frozenset({faults.LOST})
        seen = {
            faults.RESET_REQUIRED: self.reset_required,
            faults.ROWS_PENDING: self.rows_pending,
            faults.ROWS_FAILED: self.rows_failed,
            faults.TOO_HOT: self.too_hot,
        }
        return frozenset(kind for kind, there in seen.items() if there)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happened to a GPU, and what is done about it."""

    kind: str
    at: int
    action: Action
    words: str
    stops_task: bool


@dataclass(frozen=True, slots=True)
class GpuState:
    """What is known of a GPU. Times are microseconds.

    Attributes:
        health: whether it can be given to jobs.
        reason: UPPER_SNAKE; empty when it can.
        message: the same for people.
        changed_at: since when.
        faulted_at: the last fault that counted.
        standing: the faults that last, as of the last report.
        action: the worst that is still to be done about it; 0 for nothing.
        agent_start: the start of the agent that `last_xid` is of; 0 before the first report.
        last_xid: number of the last XID that was taken.
        uncorrected: uncorrected errors of the memory that were counted.
        reset_wanted: the last order to reset it.
        reset_done: the last order that was carried out.
        resets: when it was ordered, as far as the policy counts.
    """

    health: Health = Health.HEALTHY
    reason: str = ""
    message: str = ""
    changed_at: int = 0
    faulted_at: int = 0
    standing: frozenset[str] = frozenset()
    action: int = 0
    agent_start: int = 0
    last_xid: int = 0
    uncorrected: int = 0
    reset_wanted: int = 0
    reset_done: int = 0
    resets: tuple[int, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it may be given to jobs."""
        return self.health is Health.HEALTHY

    @property
    def wants_reset(self) -> bool:
        """Whether an order to reset it has not been carried out."""
        return self.reset_wanted > self.reset_done

    @property
    def closes_node(self) -> bool:
        """Whether the node must be emptied because of it."""
        return self.health is Health.UNHEALTHY and self.action == Action.DRAIN

    @property
    def sends_task_away(self) -> bool:
        """Whether a run that still holds it has to leave."""
        return self.health is Health.UNHEALTHY


def take(
    state: GpuState, facts: Facts, policy: Policy, now: int
) -> tuple[GpuState, tuple[Fault, ...]]:
    """The state after a report, and the faults that are new in it."""
    state = _answered(state, facts, now)
    found = tuple(_new_faults(state, facts, policy, now))
    bad_before = _holds_back(state.standing, policy)
    state = replace(
        state,
        agent_start=facts.agent_start,
        last_xid=max((xid.number for xid in facts.xids), default=_last_xid(state, facts)),
        uncorrected=state.uncorrected if facts.uncorrected is None else facts.uncorrected,
        standing=facts.standing,
        # What has just ended begins its quiet time now.
        faulted_at=now if bad_before else state.faulted_at,
    )
    for fault in found:
        state = _hit(state, fault, now)
    return state, found


def tick(state: GpuState, policy: Policy, now: int, *, idle: bool, can_reset: bool) -> GpuState:
    """The state as time passes.

    Args:
        state: as it is.
        policy: the rules.
        now: in microseconds.
        idle: nothing holds the device.
        can_reset: its agent can reset devices.
    """
    if state.health is Health.SUSPECT:
        if idle and can_reset and any(policy.rule(kind).resets_idle for kind in state.standing):
            return _reset(state, policy, now)
        return _after_quiet(state, policy, now)
    if state.health is Health.UNHEALTHY:
        return _repaired(state, policy, now, idle=idle, can_reset=can_reset)
    if state.health is Health.RECOVERING and not state.wants_reset:
        clean = now - state.changed_at >= policy.burn_in
        return _healthy(state, now) if clean and not _holds_back(state.standing, policy) else state
    return state


def booted(state: GpuState, now: int) -> GpuState:
    """The state after its machine was booted, which resets every card."""
    state = replace(state, uncorrected=0, reset_done=state.reset_wanted)
    return state if state.usable else _burning_in(state, now, "its machine was booted")


def trusted(state: GpuState, now: int) -> GpuState:
    """The state when an operator vouches for it: it is watched, unless something is wrong with it yet.

    So a card comes back that its agent cannot reset, after somebody has done so.
    """
    if state.health is not Health.UNHEALTHY or state.standing:
        return state
    return _burning_in(state, now, "an operator has opened its node")


def returned(state: GpuState, now: int) -> GpuState:
    """The state when its node can be reached again: what was to be watched was not."""
    if state.health is Health.SUSPECT:
        return replace(state, faulted_at=now)
    watched = state.health is Health.RECOVERING and not state.wants_reset
    return replace(state, changed_at=now) if watched else state


def _new_faults(state: GpuState, facts: Facts, policy: Policy, now: int) -> Iterable[Fault]:
    last = _last_xid(state, facts)
    for xid in facts.xids:
        if xid.number > last:
            yield _fault(f"XID_{xid.code}", xid.at, policy)
    # What an agent finds at its first look may be old.
    if state.agent_start and (facts.uncorrected or 0) > state.uncorrected:
        yield _fault(faults.UNCORRECTED, now, policy)
    for kind in sorted(facts.standing - state.standing):
        yield _fault(kind, now, policy)


def _last_xid(state: GpuState, facts: Facts) -> int:
    return state.last_xid if facts.agent_start == state.agent_start else 0


def _fault(kind: str, at: int, policy: Policy) -> Fault:
    rule = policy.rule(kind)
    return Fault(kind, at, rule.action, rule.words, rule.stops_task)


def _hit(state: GpuState, fault: Fault, now: int) -> GpuState:
    if fault.action is Action.IGNORE:
        return state
    state = replace(state, faulted_at=now)
    if fault.action is Action.RESTART_TASK:
        # A burn-in with a fault is not clean: it begins anew.
        burning = state.health is Health.RECOVERING and not state.wants_reset
        return replace(state, changed_at=now) if burning else state
    if state.wants_reset and fault.action < Action.DRAIN:
        return state  # the reset is on its way; what lasts is seen after it
    if fault.action < state.action:
        return state
    calm = state.health in (Health.HEALTHY, Health.SUSPECT)
    if fault.action is Action.SUSPECT and calm:
        return _moved(state, Health.SUSPECT, fault.kind, fault.words, now, fault.action)
    # Suspect again right after a reset: another one is due.
    action = max(fault.action, Action.RESET_GPU)
    return _moved(state, Health.UNHEALTHY, fault.kind, fault.words, now, action)


def _answered(state: GpuState, facts: Facts, now: int) -> GpuState:
    """Takes in what became of the last order to reset it."""
    if not state.wants_reset or facts.reset_done != state.reset_wanted:
        return state
    state = replace(state, reset_done=state.reset_wanted, faulted_at=now)
    if facts.reset_error:
        words = f"it could not be reset: {facts.reset_error}"
        return _moved(state, Health.UNHEALTHY, RESET_FAILED, words, now, Action.RESET_GPU)
    # What still lasts counts again; a memory that was reset counts from nothing.
    return replace(_burning_in(state, now, "it was reset"), standing=frozenset(), uncorrected=0)


def _repaired(
    state: GpuState, policy: Policy, now: int, *, idle: bool, can_reset: bool
) -> GpuState:
    recent = _recent(state, policy, now)
    if state.action == Action.RESET_GPU:
        if len(recent) >= policy.resets:
            words = f"{len(recent)} resets have not mended it: {state.message}"
            return _moved(state, Health.UNHEALTHY, RESETS_EXHAUSTED, words, now, Action.DRAIN)
        paused = state.reason == RESET_FAILED and now - state.faulted_at < policy.retry
        return _reset(state, policy, now) if idle and can_reset and not paused else state
    if state.reason == RESETS_EXHAUSTED:
        return state if len(recent) >= policy.resets else replace(state, action=Action.RESET_GPU)
    quiet = now - state.faulted_at >= policy.quiet
    if quiet and not _holds_back(state.standing, policy):
        return _burning_in(state, now, "what was wrong with it has ended")
    return state


def _after_quiet(state: GpuState, policy: Policy, now: int) -> GpuState:
    quiet = now - state.faulted_at >= policy.quiet
    return _healthy(state, now) if quiet and not _holds_back(state.standing, policy) else state


def _holds_back(standing: frozenset[str], policy: Policy) -> bool:
    return any(policy.rule(kind).action >= Action.SUSPECT for kind in standing)


def _recent(state: GpuState, policy: Policy, now: int) -> tuple[int, ...]:
    return tuple(at for at in state.resets if now - at < policy.resets_within)


def _reset(state: GpuState, policy: Policy, now: int) -> GpuState:
    words = f"it is being reset: {state.message}"
    ordered = replace(
        state,
        reset_wanted=state.reset_wanted + 1,
        resets=(*_recent(state, policy, now), now),
    )
    return _moved(ordered, Health.RECOVERING, RESETTING, words, now, state.action)


def _burning_in(state: GpuState, now: int, why: str) -> GpuState:
    words = f"{why}, and is being watched"
    return _moved(state, Health.RECOVERING, BURN_IN, words, now, 0)


def _healthy(state: GpuState, now: int) -> GpuState:
    return _moved(state, Health.HEALTHY, "", "", now, 0)


def _moved(
    state: GpuState, health: Health, reason: str, message: str, now: int, action: int
) -> GpuState:
    return replace(
        state, health=health, reason=reason, message=message, changed_at=now, action=int(action)
    )
