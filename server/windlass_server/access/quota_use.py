"""Counts what projects and users have against their quotas, in the transaction that gives or takes it.

Whoever calls these has written what is counted in the same transaction before: the run, the allocation,
the job or the artifact. So a quota that is made meanwhile sees that, or is seen here (`QuotaStore.hold_counted`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from windlass_server.errors import FieldViolation, InvalidInput, QuotaExceeded, QuotaViolation
from windlass_server.scheduler.quota import AMOUNTS, Ask, Dimension, Quota, Refusal, Use
from windlass_server.scheduler.quota_words import refusal_text
from windlass_server.storage.tables import QuotaRow
from windlass_server.storage.transaction import Transaction

_COLUMNS = {
    prefix: [(one, f"{prefix}_{one}") for one in dimensions]
    for prefix, dimensions in (
        ("guaranteed", AMOUNTS),
        ("borrowing", AMOUNTS),
        ("limit", tuple(Dimension)),
        ("used", tuple(Dimension)),
    )
}
# What a quota may say of each dimension.
_BOUNDS = {one: [f"limit_{one}"] for one in Dimension}
for _one in AMOUNTS:
    _BOUNDS[_one].append(f"guaranteed_{_one}")
WHOLE = 1000
"""A whole GPU, in thousandths."""


class Holder(Protocol):
    """A row of a run or an allocation."""

    @property
    def cpu_millis(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def gpu_uuids(self) -> str: ...
    @property
    def gpu_types(self) -> str: ...
    @property
    def gpu_millis(self) -> int: ...


def quota_of(row: QuotaRow) -> Quota:
    """The quota that a row is."""

    def amounts(prefix: str) -> dict[Dimension, int]:
        values = ((one, getattr(row, name)) for one, name in _COLUMNS[prefix])
        return {one: value for one, value in values if value is not None}

    return Quota(
        quota_id=row.quota_id,
        project=row.project,
        user=row.user,
        gpu_type=row.gpu_type,
        cohort=row.cohort,
        guaranteed=amounts("guaranteed"),
        borrowing=amounts("borrowing"),
        limit=amounts("limit"),
        used=amounts("used"),
        max_priority=row.max_priority,
    )


def held_by(project: str, user: str, holder: Holder) -> Ask:
    """What a run or an allocation of somebody holds."""
    share = holder.gpu_millis or WHOLE
    gpus, types = (_list(one) for one in (holder.gpu_uuids, holder.gpu_types))
    return Ask(
        project,
        user,
        {
            Dimension.GPU: len(gpus) * share,
            Dimension.CPU: holder.cpu_millis,
            Dimension.MEMORY: holder.memory_bytes,
        },
        # Those that were given before types were noted have none.
        {one: count * share for one, count in Counter(map(str.casefold, types)).items()},
    )


def one_job(project: str, user: str, dimension: Dimension) -> Ask:
    """A job that runs, or waits."""
    return Ask(project, user, {dimension: 1})


def stored(project: str, user: str, size: int) -> Ask:
    """So many bytes of artifacts."""
    return Ask(project, user, {Dimension.ARTIFACTS: size})


def take(tx: Transaction, ask: Ask) -> None:
    """Count what is given.

    Raises:
        QuotaExceeded: QUOTA, a quota does not allow it beside what is held.
    """
    if not tx.quotas.any_of(ask.project):
        return
    rows = tx.quotas.lock_for(ask.project)
    if any(_bounds(row, ask) for row in rows):
        require_allowed(Use(map(quota_of, rows)), ask)
    _count(tx, rows, ask, 1)


def add(tx: Transaction, ask: Ask) -> None:
    """Count what cannot be refused: a job that waits again."""
    if tx.quotas.any_of(ask.project):
        _count(tx, tx.quotas.lock_of(ask.project), ask, 1)


def give_back(tx: Transaction, ask: Ask) -> None:
    """Count what has ended."""
    if tx.quotas.any_of(ask.project):
        _count(tx, tx.quotas.lock_of(ask.project), ask, -1)


def use_in(tx: Transaction, project: str) -> Use:
    """What a project, its users and those in its cohorts have, as this transaction sees it."""
    return Use(map(quota_of, tx.quotas.of(project)))


def require_allowed(use: Use, ask: Ask) -> None:
    """Look, before anything is written, whether `take` would refuse it now.

    Raises:
        QuotaExceeded: QUOTA.
    """
    if refusals := use.refusals(ask):
        raise exceeded(refusals)


def require_ever_allowed(use: Use, asks: Sequence[Ask], fields: Mapping[Dimension, str]) -> None:
    """Refuse what is more than its owner may have at all.

    Args:
        use: what is held, as `use_in` gives it.
        asks: one of these is asked for; the refusal tells of the first.
        fields: the field of the request that asks for each dimension.

    Raises:
        InvalidInput: EXCEEDS_QUOTA, with a violation for each quota and dimension.
    """
    never = [use.never(ask) for ask in asks]
    if not all(never):
        return
    refusals = never[0]
    reason = "EXCEEDS_QUOTA"
    violations = tuple(
        FieldViolation(fields[one.dimension], refusal_text(one), reason) for one in refusals
    )
    first = refusals[0]
    raise InvalidInput(
        refusal_text(first), reason=reason, violations=violations, dimension=first.dimension
    )


def require_priority(use: Use, project: str, user: str, priority: int) -> None:
    """Refuse a priority that a job of somebody cannot be given.

    Raises:
        InvalidInput: PRIORITY_TOO_HIGH.
    """
    most = use.max_priority(project, user)
    if most is None or priority <= most:
        return
    text = f"a job of {user} in project {project} can have priority {most} at most, by quota"
    reason = "PRIORITY_TOO_HIGH"
    violation = FieldViolation("job.priority", text, reason)
    raise InvalidInput(text, reason=reason, violations=(violation,), max_priority=str(most))


def exceeded(refusals: Sequence[Refusal]) -> QuotaExceeded:
    """The error that says what does not allow it."""
    first = refusals[0]
    return QuotaExceeded(
        refusal_text(first),
        violations=tuple(
            QuotaViolation(
                _subject(one.quota), refusal_text(one), one.dimension, one.quota.quota_id, one.bound
            )
            for one in refusals
        ),
        quota_id=first.quota.quota_id,
        project=first.quota.project,
        dimension=first.dimension,
        asked=str(first.asked),
        used=str(first.used),
        bound=str(first.bound),
    )


def is_exceeded(quota: Quota) -> bool:
    """Whether more is held than a quota allows: it was set below that."""
    return any(
        quota.used.get(dimension, 0) > most
        for dimension in (*AMOUNTS, Dimension.RUNNING, Dimension.ARTIFACTS)
        if (most := quota.most(dimension)) is not None
    )


def counted(tx: Transaction, quota: Quota) -> dict[Dimension, int]:
    """What its owner has by the rows that say so, which others are kept from writing."""
    tx.quotas.hold_counted()
    use = Use([replace(quota, used={})])
    for one in tx.quotas.held_in(quota.project):
        use.take(held_by(quota.project, one.user, one))
    for one in tx.quotas.jobs_in(quota.project):
        jobs = {Dimension.QUEUED: int(one.queued), Dimension.RUNNING: int(one.running)}
        use.take(Ask(quota.project, one.user, jobs))
    for one in tx.quotas.artifacts_in(quota.project):
        use.take(stored(quota.project, one.user, int(one.size_bytes)))
    return {one: use.used(quota, one) for one in Dimension}


def _bounds(row: QuotaRow, ask: Ask) -> bool:
    """Whether a quota says anything of what is asked for."""
    return row.project == ask.project and any(
        getattr(row, name) is not None
        for one, amount in ask.amounts.items()
        if amount
        for name in _BOUNDS[one]
    )


def _count(tx: Transaction, rows: Sequence[QuotaRow], ask: Ask, sign: int) -> None:
    for row in rows:
        if row.project != ask.project or row.user not in ("", ask.user):
            continue
        amounts = {Dimension.GPU: ask.gpus.get(row.gpu_key, 0)} if row.gpu_key else ask.amounts
        if not any(amounts.values()):
            continue
        used = {
            one: getattr(row, name) + sign * amounts.get(one, 0) for one, name in _COLUMNS["used"]
        }
        if min(used.values()) < 0:
            # Something was written that nobody counted. The end of a run must not fail for that.
            used = counted(tx, quota_of(row))
        # What is given is within the quota, or nobody asked: the constraint would not let it pass.
        lowered = bool(row.lowered) and is_exceeded(replace(quota_of(row), used=used))
        values = {f"used_{one}": amount for one, amount in used.items()}
        tx.quotas.count(row.quota_id, lowered=lowered, **values)


def _subject(quota: Quota) -> str:
    return f"project:{quota.project}" + (f"/user:{quota.user}" if quota.user else "")


def _list(text: str) -> list[str]:
    return text.split(",") if text else []
