"""Lets other installations run jobs of this one.

Three duties, each level-triggered and each harmless when done twice:

1. A *session* (`federation/session.py`) for every remote cluster works off what the rows say is to be
   done there, as long as this server holds the cluster's lease.
2. New jobs for which a cluster is preferred go there in the transaction that accepts them
   (`jobs/elsewhere.py`).
3. This controller deals out waiting jobs: those that have waited long enough, could never run here, or
   for which a cluster is preferred that had no room before.

A job goes to a cluster by a row in `remote_runs`, guarded by the job's version as a placement on a node
is, so that it is in one place at most. docs/federation.md tells the whole of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.clock import Clock
from windlass_server.controllers.loop import Loop
from windlass_server.federation.session import ClusterSession
from windlass_server.jobs import queue_use
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.wishes import wish_of
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.pooling import PoolRules, rules_of, usable
from windlass_server.resources.remote_clusters import RemoteCluster, RemoteClusters
from windlass_server.resources.remote_policy import Offer, Wish, assign
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

_SESSION_SECONDS = 1.0
# Waiting jobs that are considered, from the head of the queue.
_QUEUE_DEPTH = 2000
# A job that the scheduler has not looked at yet may start here in a moment.
_NOT_LOOKED_AT = "PENDING_SCHEDULING"
_LOOK_MICROS = 5_000_000
# How often waiting jobs are looked at while no cluster can take any.
_IDLE_LOOK_SECONDS = 5.0


class Federation:
    """The sessions with all remote clusters, and the jobs that go there.

    Args:
        clusters: what was last heard of them.
        here: what this installation has.
        waits: is told why jobs are not there yet.
        new_session: makes the session with a cluster.
    """

    def __init__(
        self,
        database: Database,
        clusters: RemoteClusters,
        here: Cluster,
        runs: RemoteRunsService,
        waits: RemoteWaits,
        clock: Clock,
        new_session: Callable[[RemoteCluster], ClusterSession],
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._here = here
        self._runs = runs
        self._waits = waits
        self._clock = clock
        self._new_session = new_session
        self._sessions: dict[str, tuple[ClusterSession, Loop]] = {}
        self._looked_at = -_IDLE_LOOK_SECONDS

    def runs_changed(self, cluster_id: str) -> None:
        """Something is to be done at a cluster."""
        if (found := self._sessions.get(cluster_id)) is not None:
            found[1].wake()

    async def cycle(self) -> None:
        """Look at the remote clusters, and at the jobs that could go there."""
        # 1. See which there are, and work with those.
        await self._database.read(self._clusters.load)
        await self._keep_sessions()
        # 2. What can they take?
        offers = self._offers()
        if not self._clusters.all:
            self._waits.forget()
        if not offers and not self._is_due():
            return
        # 3. Which jobs wait, and for how long?
        wishes, versions = await self._database.read(self._wishes)
        if wishes:
            self._ask(offers)
        # 4. Decide, purely; hand over, each guarded by the version that was seen.
        dealt = dict(assign(wishes, offers, self._clock.now()))
        for job_id, cluster_id in dealt.items():
            if await self._runs.hand_over(job_id, versions[job_id], cluster_id):
                self._sessions[cluster_id][0].handed_over()
        # 5. Remember why the others wait; the scheduler tells them.
        left = [wish for wish in wishes if wish.demand.job_id not in dealt]
        self._waits.look(self._clusters.all, left, self._clock.now())
        self._looked_at = self._clock.monotonic()

    async def close(self) -> None:
        """End all sessions."""
        for cluster_id in list(self._sessions):
            await self._end(cluster_id)

    def _is_due(self) -> bool:
        """Whether to look at the queue though nothing can go anywhere: to say why."""
        since = self._clock.monotonic() - self._looked_at
        return bool(self._clusters.all) and since >= _IDLE_LOOK_SECONDS

    async def _keep_sessions(self) -> None:
        there = {one.cluster_id: one for one in self._clusters.all}
        for cluster_id, (session, _) in list(self._sessions.items()):
            now = there.get(cluster_id)
            if now is None or now.version != session.cluster.version:
                await self._end(cluster_id)
        for cluster_id in there.keys() - self._sessions.keys():
            session = self._new_session(there[cluster_id])
            loop = Loop("federation", session.cycle, interval_seconds=_SESSION_SECONDS)
            self._sessions[cluster_id] = session, loop
            loop.start()

    async def _end(self, cluster_id: str) -> None:
        session, loop = self._sessions.pop(cluster_id)
        await session.leave()
        await loop.stop()
        await session.close()

    def _offers(self) -> list[Offer]:
        offers = []
        for one in self._clusters.all:
            found = self._sessions.get(one.cluster_id)
            if found is None or one.policy.paused or one.jobs >= one.policy.max_jobs:
                continue
            offer = found[0].offer(one.jobs)
            if offer is not None:
                offers.append(offer)
        return offers

    def _ask(self, offers: list[Offer]) -> None:
        """Ask those what they have of whom that is not known well enough."""
        for offer in offers:
            if offer.ledger is None:
                self._sessions[offer.cluster_id][0].ask()

    def _wishes(self, tx: Transaction) -> tuple[list[Wish], dict[str, int]]:
        paused = queue_use.paused(tx)
        rows = [one for one in tx.remote_runs.waiting(_QUEUE_DEPTH) if one.queue not in paused]
        refusals = _by_job(tx.remote_runs.refusals([row.job_id for row in rows if row.attempt]))
        rules = rules_of(tx.pools.all())
        wishes = [self._wish(row, refusals.get(row.job_id, ()), rules) for row in rows]
        chosen = [wish for wish in wishes if wish is not None]
        return chosen, {row.job_id: row.version for row in rows}

    def _wish(
        self, row: Any, refusals: Sequence[tuple[str, int]], rules: Sequence[PoolRules]
    ) -> Wish | None:
        job = job_pb2.Job.FromString(row.spec)
        waited = max(0, self._clock.now() - row.waiting_since)
        wish = wish_of(job, row.job_id, waited=waited, refusals=tuple(refusals))
        policies = (replace(one.policy, paused=False) for one in self._clusters.all)
        if not any(policy.takes(wish) for policy in policies):
            return None
        pools = usable(job.project, job.pool, rules)
        if not self._here.could_ever_hold(replace(wish.demand, pools=pools)):
            return replace(wish, never_here=True)
        soon = row.status_reason == _NOT_LOOKED_AT and waited < _LOOK_MICROS
        return None if soon else wish


def _by_job(rows: Sequence[Any]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append((row.cluster_id, row.ended_at))
    return found
