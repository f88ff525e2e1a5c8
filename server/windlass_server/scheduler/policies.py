"""How the scheduler shall decide, as data: for the whole cluster, for queues and for pools.

A policy says what is different from the one behind it. For a job the policy of its queue comes first,
then that of its pool if it can run in one alone, then that of the whole cluster, then what is built in;
for a node that of its pool comes first. Each part of a policy (aging, fair share, ...) is taken whole from the
first that says anything of it. Times are microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

_MINUTE = 60_000_000
_DAY = 24 * 60 * _MINUTE

SPREAD = "spread"
PACKINGS = ("holes-first", "tight", "fgd", "best-fit", "dot-product", SPREAD)
"""Names of the ways to choose among nodes for GPUs; the first is the default. `tight` is `scores.py` alone,
`spread` that the other way round; the others are those of `packing/policies.py` that leave nothing to chance."""

LOWEST_BAND = -10_000
"""The band of what is below every priority class: lower than any priority can be."""


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A band of priorities: those from this one up to the next class."""

    name: str
    priority: int


@dataclass(frozen=True, slots=True)
class Aging:
    """Waiting raises a priority evenly by at most `boost`, which is reached after `over`."""

    boost: int = 0
    over: int = 7 * _DAY

    def gained(self, age: int) -> int:
        """Whole points of priority after waiting for so long: 0 to `boost`."""
        return self.boost * min(max(age, 0), self.over) // self.over


@dataclass(frozen=True, slots=True)
class FairShare:
    """Within a band those get their turn first who had least for their weight.

    Attributes:
        enabled: whether; else a band goes by priority, then submission.
        half_life: after which what was used counts half.
        weights: by project and user: of a project with an empty user; of a user in each project with
            an empty project. Who has none has 1.
    """

    enabled: bool = True
    half_life: int = 7 * _DAY
    weights: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))

    def of_project(self, project: str) -> float:
        """A project's weight among projects."""
        return self.weights.get((project, ""), 1.0)

    def of_user(self, project: str, user: str) -> float:
        """A user's weight among those of a project."""
        own = self.weights.get((project, user)) if user else None
        return self.weights.get(("", user), 1.0) if own is None else own


@dataclass(frozen=True, slots=True)
class Backfill:
    """The first `depth` jobs that find no place keep what they wait for from those behind them; 0: none does."""

    depth: int = 10


@dataclass(frozen=True, slots=True)
class PreemptionRules:
    """Whether and how running jobs are stopped to make room for others.

    Attributes:
        enabled: whether any are.
        min_priority_gap: a job takes the place only of those whose priority is lower by this or more.
        min_run: nothing is stopped that has run for less.
        back_off: for so long after it was stopped a job is not stopped again, and takes no place from
            jobs of the priority that it gave way to, or higher ones.
        budget: how many jobs are stopped for one project within an hour at most.
    """

    enabled: bool = False
    min_priority_gap: int = 1
    min_run: int = 5 * _MINUTE
    back_off: int = 30 * _MINUTE
    budget: int = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a job or for a pool, when all policies are taken together.

    Attributes:
        classes: bands of priorities, the lowest first; none: each priority is a band of its own.
        packing: one of `PACKINGS`.
    """

    classes: tuple[PriorityClass, ...] = ()
    aging: Aging = Aging()
    fair_share: FairShare = field(default_factory=FairShare)
    backfill: Backfill = Backfill()
    preemption: PreemptionRules = PreemptionRules()
    packing: str = PACKINGS[0]

    def band(self, priority: int) -> int:
        """The lowest priority of the band that one is in."""
        if not self.classes:
            return priority
        return max(
            (c.priority for c in self.classes if c.priority <= priority), default=LOWEST_BAND
        )


BUILT_IN = Settings()


@dataclass(frozen=True, slots=True)
class Policy:
    """What one policy says; None: nothing of this."""

    classes: tuple[PriorityClass, ...] | None = None
    aging: Aging | None = None
    fair_share: FairShare | None = None
    backfill: Backfill | None = None
    preemption: PreemptionRules | None = None
    packing: str | None = None


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies that there are.

    Attributes:
        cluster: for everything.
        queues: by the name of the queue.
        pools: by the name of the pool.
    """

    cluster: Policy = Policy()
    queues: Mapping[str, Policy] = field(default_factory=lambda: MappingProxyType({}))
    pools: Mapping[str, Policy] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def may_spread(self) -> bool:
        """Whether some policy says to spread jobs."""
        said = (self.cluster, *self.queues.values(), *self.pools.values())
        return any(policy.packing == SPREAD for policy in said)

    def of_cluster(self) -> Settings:
        """What holds where no queue and no pool says otherwise."""
        return _together([self.cluster])

    def of_job(self, queue: str, pools: Sequence[str] | None = None) -> Settings:
        """What holds for a job, by its queue and the pools that it can run in (None: all)."""
        own = [self.queues.get(queue)]
        if pools is not None and len(pools) == 1:
            own.append(self.pools.get(pools[0]))
        return _together([*own, self.cluster])

    @property
    def preempts(self) -> bool:
        """Whether any job may be stopped for another at all."""
        every = self.cluster, *self.queues.values(), *self.pools.values()
        return any(one.preemption is not None and one.preemption.enabled for one in every)

    @property
    def longest_back_off(self) -> int:
        """For how long it matters at most that a job was stopped (µs)."""
        every = self.cluster, *self.queues.values(), *self.pools.values()
        rules = (one.preemption for one in every)
        return max((each.back_off for each in rules if each is not None), default=0)

    def preemption(self, queue: str, pool: str = "") -> PreemptionRules:
        """The rules for jobs of a queue on the nodes of a pool."""
        return self.of_job(queue, (pool,) if pool else None).preemption

    def of_pool(self, pool: str) -> Settings:
        """What holds on the nodes of a pool."""
        return _together([self.pools.get(pool), self.cluster])


NO_POLICIES = Policies()
"""Everything is as it is built in."""


def _together(policies: Sequence[Policy | None]) -> Settings:
    """Each part from the first policy that says anything of it, else as it is built in."""
    said: dict[str, Any] = {}
    for policy in policies:
        if policy is not None:
            for part in fields(policy):
                value = getattr(policy, part.name)
                if value is not None:
                    said.setdefault(part.name, value)
    return Settings(**said) if said else BUILT_IN
