"""How much of the cluster a project and its users may have: guaranteed, borrowed, or not at all. Pure.

A quota is of a project, or of one user in it; of everything, or of GPUs of one type alone. Of each
dimension it may say

- `guaranteed`: what the project can count on, whatever others want;
- `borrowing`: how much it may have beyond that, of what others leave idle of theirs; unset is any
  amount, 0 is nothing;
- `limit`: the most that it may ever have.

Projects whose quotas name one cohort lend to each other. Whoever would have more than it is guaranteed
may only while all members together have no more than all of them are guaranteed. What is within a
guarantee is never refused for what others have: they borrowed it, and can be made to give it back.
A dimension of which a quota says nothing is not bounded by it.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias


class Dimension(enum.StrEnum):
    """What is counted, in the order in which one is named before others."""

    GPU = "gpu_millis"
    CPU = "cpu_millis"
    MEMORY = "memory_bytes"
    RUNNING = "running_jobs"
    QUEUED = "queued_jobs"
    ARTIFACTS = "artifact_bytes"


AMOUNTS = (Dimension.GPU, Dimension.CPU, Dimension.MEMORY)
"""What can be guaranteed and lent; jobs and artifacts are only limited."""

Amounts: TypeAlias = Mapping[Dimension, int]
"""GPUs in thousandths, CPU in thousandths of a core, memory in bytes; what is absent is not said, or 0."""

_NOTHING: Amounts = MappingProxyType({})

NOTHING_LACKS = (-1, 0)
"""Of a project without what it has borrowed as a whole."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What one project, or one user in it, may have, and what it has.

    Attributes:
        quota_id: the quota.
        project: whose it is.
        user: only of this user's work there; empty: of all.
        gpu_type: only of GPUs of this type, as it was written; empty: of everything.
        cohort: with whom it lends and borrows; only of a project.
        guaranteed: what it can count on.
        borrowing: the most beyond that.
        limit: the most in all.
        used: what it has.
        max_priority: the highest priority that its jobs can be given; None: any.
    """

    quota_id: str
    project: str
    user: str = ""
    gpu_type: str = ""
    cohort: str = ""
    guaranteed: Amounts = field(default_factory=dict)
    borrowing: Amounts = field(default_factory=dict)
    limit: Amounts = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)
    max_priority: int | None = None

    @property
    def gpu_key(self) -> str:
        """The type as types are compared."""
        return self.gpu_type.casefold()

    def most(self, dimension: Dimension) -> int | None:
        """The most that it may have by its own words; None: any amount."""
        bounds = [self.limit[dimension]] if dimension in self.limit else []
        if dimension in self.guaranteed and dimension in self.borrowing:
            bounds.append(self.guaranteed[dimension] + self.borrowing[dimension])
        return min(bounds, default=None)


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody would have more, or has.

    Attributes:
        project: whose it is.
        user: whose in that project.
        amounts: how much of each dimension.
        gpus: of the GPUs how much is of which type, in thousandths, by the types' names in lower case;
            none where that is not known yet.
    """

    project: str
    user: str
    amounts: Amounts
    gpus: Mapping[str, int] = field(default_factory=dict)

    def counted_by(self, quota: Quota) -> Amounts:
        """What of it counts for a quota of its project; nothing for another user's."""
        if quota.user not in ("", self.user):
            return _NOTHING
        if not quota.gpu_type:
            return self.amounts
        return {Dimension.GPU: self.gpus.get(quota.gpu_key, 0)}


class Why(enum.IntEnum):
    """Why something is refused, the reason that is named before others first."""

    NEVER = 1
    LIMIT = 2
    BORROWING_LIMIT = 3
    NOTHING_TO_BORROW = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """A quota that does not allow what is asked for.

    Attributes:
        why: which of its rules is broken.
        quota: it, as it was before the plan that asks.
        dimension: of which there would be too much.
        asked: how much.
        used: what its owner has already.
        bound: the most that the owner may have.
        idle: what others leave idle of what they are guaranteed.
    """

    why: Why
    quota: Quota
    dimension: Dimension
    asked: int
    used: int
    bound: int
    idle: int = 0


@dataclass(slots=True)
class _Cohort:
    """What all members are guaranteed of one dimension, and have of it."""

    guaranteed: int = 0
    used: int = 0


class Use:
    """What everybody has, as it changes; asked before each change whether that is allowed.

    Args:
        quotas: all of those who lend to each other, and of the projects that ask.
    """

    def __init__(self, quotas: Iterable[Quota]) -> None:
        self._of: dict[str, list[Quota]] = {}
        self._used: dict[str, dict[Dimension, int]] = {}
        self._cohorts: dict[tuple[str, str, Dimension], _Cohort] = {}
        for quota in sorted(quotas, key=lambda one: one.quota_id):
            self._of.setdefault(quota.project, []).append(quota)
            self._used[quota.quota_id] = dict(quota.used)
            for dimension, amount in quota.guaranteed.items():
                cohort = self._cohorts.setdefault(_cohort_key(quota, dimension), _Cohort())
                cohort.guaranteed += amount
                cohort.used += quota.used.get(dimension, 0)

    @property
    def guarantees(self) -> bool:
        """Whether anybody is guaranteed anything."""
        return bool(self._cohorts)

    def max_priority(self, project: str, user: str) -> int | None:
        """The highest priority that jobs of somebody can be given; None: any."""
        quotas = self._of.get(project, ())
        mosts = (one.max_priority for one in quotas if one.user in ("", user))
        return min((most for most in mosts if most is not None), default=None)

    def used(self, quota: Quota, dimension: Dimension) -> int:
        """What the owner of a quota has."""
        return self._used[quota.quota_id].get(dimension, 0)

    def refusals(self, ask: Ask) -> tuple[Refusal, ...]:
        """Everything that does not allow it, what dominates first; none: it is allowed."""
        found = [
            refusal
            for quota, dimension, asked in self._counted(ask)
            if (refusal := self._refusal(quota, dimension, asked)) is not None
        ]
        return tuple(sorted(found, key=_precedence))

    def never(self, ask: Ask) -> tuple[Refusal, ...]:
        """What does not allow it even if nobody had anything, by the quotas as they are."""
        found = [
            Refusal(Why.NEVER, quota, dimension, asked, self.used(quota, dimension), most)
            for quota, dimension, asked in self._counted(ask)
            if (most := self._ever(quota, dimension)) is not None and asked > most
        ]
        return tuple(sorted(found, key=_precedence))

    def take(self, ask: Ask) -> None:
        """Count what is given, allowed or not."""
        self._count(ask, 1)

    def give_back(self, ask: Ask) -> None:
        """Count what has ended."""
        self._count(ask, -1)

    def within_guarantee(self, ask: Ask) -> bool:
        """Whether its project can count on having it beside what it has.

        What has GPUs needs a guarantee of GPUs for that, everything else one of CPU or memory.
        """
        guaranteed = False
        for quota, dimension, asked in self._counted(ask):
            if dimension in quota.guaranteed:
                if self.used(quota, dimension) + asked > quota.guaranteed[dimension]:
                    return False
                guaranteed |= _decides(ask, dimension)
        return guaranteed

    def borrows(self, ask: Ask) -> bool:
        """Whether what somebody has is more than its project can count on, all of it or a part."""
        return self.lacking_without(ask) is not None

    def lacking_without(self, ask: Ask) -> tuple[int, int] | None:
        """How much a project would lack of what it can count on without what it has borrowed in part.

        It has borrowed of that as far as it has too much of what that consists of; and what nobody guaranteed
        always is, where others are guaranteed something.

        Returns:
            Of what, as a number, and how much; `NOTHING_LACKS` where all of it is borrowed; None: nothing of it is.
        """
        guaranteed, found = False, list[tuple[int, int]]()
        for quota, dimension, asked in self._counted(ask):
            if dimension in quota.guaranteed:
                beyond = self.used(quota, dimension) - quota.guaranteed[dimension]
                if beyond >= asked:
                    return NOTHING_LACKS
                if beyond > 0:
                    found.append((_ORDER[dimension], asked - beyond))
                guaranteed |= _decides(ask, dimension)
        if self.guarantees and not guaranteed:
            return NOTHING_LACKS
        return min(found, default=None)

    def copy(self) -> "Use":
        """The same, which changes by itself."""
        made = Use(())
        made._of = self._of
        made._used = {quota_id: dict(used) for quota_id, used in self._used.items()}
        made._cohorts = {key: replace(cohort) for key, cohort in self._cohorts.items()}
        return made

    def borrowable(self, quota: Quota, dimension: Dimension) -> int:
        """What its owner could have beyond its guarantee of what others leave idle now."""
        cohort = self._cohorts[_cohort_key(quota, dimension)]
        own = max(0, quota.guaranteed[dimension] - self.used(quota, dimension))
        return max(0, cohort.guaranteed - cohort.used - own)

    def _counted(self, ask: Ask) -> Iterator[tuple[Quota, Dimension, int]]:
        """Of each quota that counts it the dimensions that it has something of."""
        for quota in self._of.get(ask.project, ()):
            for dimension, asked in ask.counted_by(quota).items():
                if asked > 0:
                    yield quota, dimension, asked

    def _count(self, ask: Ask, sign: int) -> None:
        for quota, dimension, asked in self._counted(ask):
            used = self._used[quota.quota_id]
            used[dimension] = used.get(dimension, 0) + sign * asked
            if dimension in quota.guaranteed:
                self._cohorts[_cohort_key(quota, dimension)].used += sign * asked

    def _refusal(self, quota: Quota, dimension: Dimension, asked: int) -> Refusal | None:
        used, most = self.used(quota, dimension), self._ever(quota, dimension)
        if most is not None and asked > most:
            return Refusal(Why.NEVER, quota, dimension, asked, used, most)
        limit = quota.limit.get(dimension)
        if limit is not None and used + asked > limit:
            return Refusal(Why.LIMIT, quota, dimension, asked, used, limit)
        guaranteed = quota.guaranteed.get(dimension)
        if guaranteed is None or used + asked <= guaranteed:
            return None
        bound = quota.most(dimension)
        if bound is not None and used + asked > bound:
            return Refusal(Why.BORROWING_LIMIT, quota, dimension, asked, used, bound)
        cohort = self._cohorts[_cohort_key(quota, dimension)]
        if cohort.used + asked <= cohort.guaranteed:
            return None
        idle = self.borrowable(quota, dimension)
        return Refusal(Why.NOTHING_TO_BORROW, quota, dimension, asked, used, guaranteed, idle)

    def _ever(self, quota: Quota, dimension: Dimension) -> int | None:
        """The most that its owner could have if nobody had anything; None: any amount."""
        most = quota.most(dimension)
        if dimension not in quota.guaranteed:
            return most
        all_of_it = self._cohorts[_cohort_key(quota, dimension)].guaranteed
        return all_of_it if most is None else min(most, all_of_it)


def _cohort_key(quota: Quota, dimension: Dimension) -> tuple[str, str, Dimension]:
    return quota.cohort, quota.gpu_key, dimension


def _decides(ask: Ask, dimension: Dimension) -> bool:
    """Whether a guarantee of a dimension makes it something to count on."""
    if ask.amounts.get(Dimension.GPU):
        return dimension is Dimension.GPU
    return dimension in AMOUNTS


def _precedence(refusal: Refusal) -> tuple[int, int, str]:
    return refusal.why, _ORDER[refusal.dimension], refusal.quota.quota_id


_ORDER = {dimension: place for place, dimension in enumerate(Dimension)}
