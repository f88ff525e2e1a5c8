"""Which jobs go to which remote cluster. Pure: wishes and offers in, assignments out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import gpu_keys
from windlass_server.scheduler.snapshot import Demand, NodeState

ORIGIN_LABEL = "windlass.origin/run"
"""The label of a job that another installation has sent: the run there. It is never sent on, so that
two installations that help each other do not send a job to and fro."""
DEFAULT_WEIGHT = 100
DEFAULT_MAX_JOBS = 100

_MICROS = 1_000_000
# As many labels as a job may have: there must be room for the origin.
_MOST_LABELS = 64
# How long a cluster that did not take a job is not asked for it again: after once, twice, …
_PAUSE_SECONDS = (60, 600, 3600)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job asks for, as far as clusters choose by it.

    Attributes:
        project: whose it is.
        labels: all that it carries.
        demand: its resources.
        waited: for how long it has waited here (µs).
        never_here: nothing here could ever hold it.
        refusals: when which clusters did not take it: their names and times (µs).
        pool: the pool here that it asks for; empty for any.
        has_secrets: it is given secrets, which are here alone.
        debug_mode: who looks for its fault looks at nodes here.
        prepared: it brings along files, packages or a script, which other releases do not know.
    """

    project: str
    labels: Mapping[str, str]
    demand: Demand
    waited: int = 0
    never_here: bool = False
    refusals: tuple[tuple[str, int], ...] = ()
    pool: str = ""
    has_secrets: bool = False
    prepared: bool = False
    debug_mode: bool = False


@dataclass(frozen=True, slots=True)
class Affinity:
    """The jobs that a cluster is preferred for: those that match all that is said."""

    labels: tuple[tuple[str, str], ...] = ()
    gpu_types: tuple[str, ...] = ()

    def matches(self, wish: Wish) -> bool:
        """Whether the job is one of them."""
        types = {one.casefold() for one in self.gpu_types}
        if types and not (wish.demand.gpu_count and types.issuperset(gpu_keys(wish.demand))):
            return False
        return all(wish.labels.get(key) == value for key, value in self.labels)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which jobs a cluster takes; as `RemoteSettings` has it.

    Attributes:
        spill_after: how long a job has to wait here first (µs); None: none is taken for waiting.
        affinity: the jobs that it is preferred for; None: none.
        weight: its share among those that would take a job.
        max_jobs: how many it has at once.
        projects: whose jobs; empty for all.
        paused: nothing new.
    """

    spill_after: int | None = None
    affinity: Affinity | None = None
    weight: int = DEFAULT_WEIGHT
    max_jobs: int = DEFAULT_MAX_JOBS
    projects: frozenset[str] = frozenset()
    paused: bool = False

    def takes(self, wish: Wish) -> bool:
        """Whether it would have the job at all, now or later."""
        if self.paused or (self.projects and wish.project not in self.projects):
            return False
        # Whether pools there let jobs share GPUs is not known here.
        if wish.demand.gpu_millis:
            return False
        # Nor how near to each other its nodes are, and whether its release knows of such jobs.
        if wish.demand.nodes > 1 or wish.demand.apart is not None or wish.demand.reservation:
            return False
        if (
            wish.has_secrets
            or wish.prepared
            or wish.debug_mode
            or wish.pool
            or ORIGIN_LABEL in wish.labels
            or len(wish.labels) >= _MOST_LABELS
        ):
            return False
        return self.spill_after is not None or self.prefers(wish)

    def prefers(self, wish: Wish) -> bool:
        """Whether it is to have the job in preference to what is here."""
        return self.affinity is not None and self.affinity.matches(wish)

    def spills(self, wish: Wish) -> bool:
        """Whether it is to have the job because that has waited long enough."""
        return self.spill_after is not None and (wish.never_here or wish.waited >= self.spill_after)


@dataclass(slots=True)
class Offer:
    """What a cluster can take now; it shrinks while jobs are assigned.

    Attributes:
        cluster_id: the cluster.
        policy: which jobs it takes.
        jobs: how many of ours it has.
        ledger: its nodes with what is free on them; None when that is not known well enough now.
    """

    cluster_id: str
    policy: Policy
    jobs: int
    ledger: Ledger | None = field(repr=False, default=None)

    @property
    def rank(self) -> tuple[float, str]:
        """The lower, the sooner its turn: by how many jobs it has for its weight."""
        return (self.jobs + 1) / self.policy.weight, self.cluster_id


def could_hold(policy: Policy, nodes: Sequence[NodeState], wish: Wish) -> bool:
    """Whether a cluster of these nodes could ever run the job, and would take it."""
    return bool(nodes) and policy.takes(wish) and could_ever_fit(wish.demand, nodes, ()) is None


def preferred(offers: Iterable[Offer], wish: Wish) -> str:
    """The cluster that a new job goes to at once, without a look at what is free; empty: none."""
    fitting = [
        offer
        for offer in offers
        if offer.policy.takes(wish)
        and offer.policy.prefers(wish)
        and offer.jobs < offer.policy.max_jobs
    ]
    return min(fitting, key=lambda offer: offer.rank).cluster_id if fitting else ""


def assign(wishes: Sequence[Wish], offers: Sequence[Offer], now: int) -> list[tuple[str, str]]:
    """Deal out waiting jobs: pairs of job and cluster, in the order of the wishes.

    A job for which a cluster is preferred goes there also when it has to wait there; any other only
    where it fits now.

    Args:
        wishes: in the order of the queue.
        offers: of the clusters that answer; they shrink by what is assigned.
        now: the time (µs), for the pauses after refusals.
    """
    dealt = []
    for wish in wishes:
        for offer in sorted(offers, key=lambda offer: offer.rank):
            if _gets(offer, wish, now):
                offer.jobs += 1
                dealt.append((wish.demand.job_id, offer.cluster_id))
                break
    return dealt


def asked_again_at(cluster_id: str, wish: Wish) -> int:
    """From when on (µs) a cluster may be asked for a job again that it did not take; 0: at once."""
    times = [at for refuser, at in wish.refusals if refuser == cluster_id]
    if not times:
        return 0
    pause = _PAUSE_SECONDS[min(len(times), len(_PAUSE_SECONDS)) - 1]
    return max(times) + pause * _MICROS


def _gets(offer: Offer, wish: Wish, now: int) -> bool:
    policy = offer.policy
    if not policy.takes(wish) or offer.jobs >= policy.max_jobs:
        return False
    if now < asked_again_at(offer.cluster_id, wish):
        return False
    if policy.prefers(wish):
        _take(offer, wish.demand)
        return True
    return policy.spills(wish) and _take(offer, wish.demand)


def _take(offer: Offer, demand: Demand) -> bool:
    """Take what the job needs from what is free there; False when it does not fit now."""
    index = offer.ledger.choose(demand) if offer.ledger is not None else None
    if offer.ledger is None or index is None:
        return False
    offer.ledger.take(index, demand)
    return True
