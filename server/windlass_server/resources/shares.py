"""Says how projects and users stand to each other: authorise, load, rank."""

from dataclasses import dataclass

from windlass_server.access.policy import Caller, may
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.scheduling_policies import SchedulingPolicies
from windlass_server.scheduler.policies import FairShare, Policies
from windlass_server.scheduler.standing import Standings, standings
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

DEFAULT_QUEUE = "default"
# Owners of waiting jobs that are listed though they had nothing.
_MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class SharesView:
    """By which rules is shared, and how those stand of whom the caller may know."""

    rules: FairShare
    standings: Standings


class SharesService:
    """What the order of jobs goes by.

    Args:
        usage: what owners had lately.
    """

    def __init__(self, database: Database, usage: RecentUsage) -> None:
        self._database = database
        self._usage = usage
        self._policies = SchedulingPolicies()

    async def get(self, who: Caller, queue: str, pool: str) -> SharesView:
        """How everybody stands by the rules of a queue and a pool; empty: of `default` and of none."""

        def load(tx: Transaction) -> tuple[Policies, list[tuple[str, str]]]:
            return self._policies.load(tx), [*tx.jobs.owners_of_queued(_MOST_WAITING)]

        policies, waiting = await self._database.read(load)
        pools = (pool,) if pool else None
        rules = policies.of_job(queue or DEFAULT_QUEUE, pools).fair_share
        shares = await self._usage.look({rules.half_life})
        found = standings(shares, rules, waiting)
        shown = tuple(one for one in found.all if may(who, "usage.get", one.project))
        return SharesView(rules, Standings(shown, found.evenness))
