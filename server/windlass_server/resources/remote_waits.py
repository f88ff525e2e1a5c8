"""Why jobs that only a remote cluster can run wait here, in the words of what keeps them from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from windlass_server.resources.remote_clusters import CONNECTED, REFUSED, RemoteCluster
from windlass_server.resources.remote_policy import Wish, asked_again_at
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.plan import Waiting
from windlass_server.scheduler.snapshot import Demand

_NO_NODES = "NO_NODES"
# Of several clusters the one is named first at which a job is the nearest to its start.
_NEAREST = (
    "CLUSTER_ASKED",
    "CLUSTER_FULL",
    "CLUSTER_AT_MAX_JOBS",
    "REFUSED_BY_CLUSTER",
    "CLUSTER_UNREACHABLE",
    "CLUSTER_REFUSES",
    "CLUSTER_PAUSED",
)


@dataclass(frozen=True, slots=True)
class Why:
    """Why no remote cluster has a job yet.

    Attributes:
        reason: an UPPER_SNAKE word.
        message: the same in a sentence.
        never_here: nothing here could ever hold the job.
    """

    reason: str
    message: str
    never_here: bool


class RemoteWaits:
    """What the remote clusters say to waiting jobs, for those who tell these why they wait."""

    def __init__(self) -> None:
        self._known: Mapping[str, Why] = {}

    def look(self, clusters: Sequence[RemoteCluster], wishes: Sequence[Wish], now: int) -> None:
        """Remember why these jobs, and no others, are not at these clusters at `now` (µs)."""
        asking = _Asking(clusters, now)
        found = ((wish.demand.job_id, asking.why(wish)) for wish in wishes)
        self._known = {job_id: why for job_id, why in found if why is not None}

    def forget(self) -> None:
        """There is no remote cluster any more for which a job could wait."""
        self._known = {}

    def reworded(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """The same jobs; those that wait for a remote cluster alone are told of that one."""
        return [self._reworded(one) for one in waiting]

    def _reworded(self, one: Waiting) -> Waiting:
        why = self._known.get(one.job_id)
        if why is None or not (why.never_here or one.reason == _NO_NODES):
            return one
        return replace(one, reason=why.reason, message=f"{why.message}; here: {one.message}")


class _Asking:
    """One look at the clusters; jobs that ask for the same get one answer."""

    def __init__(self, clusters: Sequence[RemoteCluster], now: int) -> None:
        self._clusters = clusters
        self._now = now
        self._ledgers: dict[str, Ledger] = {}
        self._room: dict[tuple[str, Demand], str | None] = {}

    def why(self, wish: Wish) -> Why | None:
        """None when none of the clusters would have the job yet."""
        found = [why for one in self._clusters if (why := self._at(one, wish)) is not None]
        if not found:
            return None
        found.sort(key=lambda why: _NEAREST.index(why[0]))
        return Why(found[0][0], "; ".join(message for _, message in found), wish.never_here)

    def _at(self, one: RemoteCluster, wish: Wish) -> tuple[str, str] | None:
        policy = replace(one.policy, paused=False)
        if not policy.takes(wish) or not (policy.prefers(wish) or policy.spills(wish)):
            return None
        room = self._room_at(one, wish.demand)
        if room is None and not policy.prefers(wish):
            return None
        closed = _closed(one)
        if closed is not None:
            return closed
        name = f"cluster {one.cluster_id}"
        if one.jobs >= policy.max_jobs:
            words = f"{name} has {one.jobs} jobs from here, as many as it may (max_jobs)"
            return "CLUSTER_AT_MAX_JOBS", words
        if self._now < asked_again_at(one.cluster_id, wish):
            return "REFUSED_BY_CLUSTER", f"{name} did not take it, and is asked again later"
        if room == "full":
            return "CLUSTER_FULL", f"{name} has no node with enough of it free"
        return "CLUSTER_ASKED", f"{name} is asked what is free there"

    def _room_at(self, one: RemoteCluster, demand: Demand) -> str | None:
        """Whether the job would fit there by what was last heard; None: never."""
        shape = replace(demand, job_id="", order="")
        key = one.cluster_id, shape
        if key not in self._room:
            self._room[key] = self._judged(one, shape)
        return self._room[key]

    def _judged(self, one: RemoteCluster, shape: Demand) -> str | None:
        if could_ever_fit(shape, one.nodes, ()) is not None:
            return None
        ledger = self._ledgers.get(one.cluster_id)
        if ledger is None:
            ledger = self._ledgers[one.cluster_id] = Ledger(one.nodes)
        return "full" if one.nodes and ledger.choose(shape) is None else "free"


def _closed(one: RemoteCluster) -> tuple[str, str] | None:
    """Why a cluster takes no job at all now."""
    name = f"cluster {one.cluster_id}"
    if one.policy.paused:
        return "CLUSTER_PAUSED", f"{name} is paused, and takes nothing new"
    if one.state == REFUSED:
        return "CLUSTER_REFUSES", f"{name} does not let this installation in"
    if one.state != CONNECTED:
        return "CLUSTER_UNREACHABLE", f"{name} does not answer"
    return None
