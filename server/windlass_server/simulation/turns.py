"""Policies of the scheduler that workloads are played under, by their names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from windlass_server.scheduler.policies import (
    BUILT_IN,
    NO_POLICIES,
    Backfill,
    FairShare,
    Policies,
    Policy,
    Settings,
)
from windlass_server.scheduler.quota import Quota
from windlass_server.scheduler.snapshot import Demand


@dataclass(frozen=True, slots=True)
class Turns:
    """Who gets his turn when.

    Attributes:
        name: of the policy.
        policies: what `plan()` is told.
        strict: nobody starts before those ahead of him by priority and submission, whatever idles.
        quotas: what projects and users may have, as they are when nobody has anything.
    """

    name: str
    policies: Policies
    strict: bool = False
    quotas: tuple[Quota, ...] = ()

    @property
    def settings(self) -> tuple[Settings, ...]:
        """What holds for jobs of some queue or pool."""
        known = self.policies
        return (
            known.of_cluster(),
            *(known.of_job(queue) for queue in known.queues),
            *(known.of_pool(pool) for pool in known.pools),
        )

    @property
    def protects(self) -> bool:
        """Whether jobs that find no place keep something from those behind them."""
        return any(each.backfill.depth for each in self.settings)

    @property
    def minds_running(self) -> bool:
        """Whether it matters to those that wait what runs, and until when."""
        return self.protects or self.policies.preempts

    def weights(self, projects: Iterable[str]) -> list[float]:
        """What projects weigh beside each other, by what holds for the whole cluster."""
        shares = self.policies.of_cluster().fair_share
        return [shares.of_project(project) for project in projects]

    @property
    def half_lives(self) -> frozenset[int]:
        """By which half-lives somebody's usage is asked for."""
        shares = (each.fair_share for each in self.settings)
        return frozenset(share.half_life for share in shares if share.enabled)


def _only(*, shared: bool = False, depth: int = 0) -> Policies:
    return Policies(Policy(fair_share=FairShare(enabled=shared), backfill=Backfill(depth)))


BY_NAME: Mapping[str, Turns] = {
    turns.name: turns
    for turns in (
        Turns("fifo", _only(), strict=True),
        Turns("greedy", _only()),
        Turns("backfill", _only(depth=BUILT_IN.backfill.depth)),
        Turns("fair-share", _only(shared=True)),
        Turns("built-in", NO_POLICIES),
    )
}

DEFAULT = "built-in"

RECORDED = Turns("recorded", NO_POLICIES)
"""As it was: nothing is decided anew, but every job starts when the trace says that it did."""


def in_line(demand: Demand) -> tuple[int, str, str]:
    """By priority, then by submission."""
    return -demand.priority, demand.order, demand.job_id
