"""Keeps how remote clusters are, and which server works with each."""

from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.resources.remote_clusters import CONNECTED, RemoteClusters
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

LEASE_SECONDS = 15
# How often it is written down that a cluster still answers.
_HEARD_SECONDS = 10


class RemoteContacts:
    """What was heard of remote clusters, in the database.

    Args:
        clusters: where it is known from at once.
        holder: this server's process, in whose name leases are taken.
    """

    def __init__(
        self, database: Database, clusters: RemoteClusters, clock: Clock, holder: str
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._clock = clock
        self._holder = holder
        self._written: dict[str, tuple[int, bytes]] = {}

    async def hold(self, cluster_id: str) -> bool:
        """Take or renew the lease on a cluster's work; False while another server has it."""
        now = self._clock.now()
        until = now + LEASE_SECONDS * MICROS_PER_SECOND
        return await self._database.write(
            lambda tx: tx.remote_clusters.hold(cluster_id, self._holder, now=now, until=until)
        )

    async def heard(self, cluster_id: str, version: str, nodes: bytes) -> None:
        """Note that a cluster answers, and what it says of its nodes."""
        now = self._clock.now()
        at, known = self._written.get(cluster_id, (0, b""))
        if nodes == known and now - at < _HEARD_SECONDS * MICROS_PER_SECOND:
            return

        def store(tx: Transaction) -> None:
            row = tx.remote_clusters.get(cluster_id)
            if row is None:
                return
            values = {"contacted_at": now, "remote_version": version, "nodes": nodes}
            if row.state != CONNECTED:
                values |= {"state": int(CONNECTED), "state_message": "it answers", "state_at": now}
            tx.remote_clusters.change(cluster_id, **values)
            tx.after_commit(lambda: self._clusters.became(cluster_id, CONNECTED))

        await self._database.write(store)
        self._written[cluster_id] = now, nodes

    async def became(self, cluster_id: str, state: int, message: str) -> None:
        """Note that a cluster cannot be worked with, and why."""
        self._written.pop(cluster_id, None)

        def store(tx: Transaction) -> None:
            row = tx.remote_clusters.get(cluster_id)
            if row is None or (row.state, row.state_message) == (state, message):
                return
            values = {"state": state, "state_message": message}
            if row.state != state:
                values["state_at"] = self._clock.now()
            tx.remote_clusters.change(cluster_id, **values)
            tx.after_commit(lambda: self._clusters.became(cluster_id, state))

        await self._database.write(store)
