"""The places that machines belong to: authorise, load, decide, store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass.resources.v1 import cluster_pb2, remote_cluster_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import AlreadyExists, WrongState
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.registration import Registration, require_no_settings, split_mask
from windlass_server.resources.totals import Totals, totals
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import DEFAULT_CLUSTER, ClusterRow, RemoteClusterRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import merged, require_etag, require_same

CHANGEABLE = ("description",)
"""What an update may change."""

_QUERY = "clusters"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster, what callers said of it, and what its nodes have.

    Attributes:
        remote: how it is, when it is another installation.
        remote_jobs: how many jobs of this one it then has.
    """

    row: ClusterRow
    spec: cluster_pb2.Cluster
    totals: Totals
    remote: RemoteClusterRow | None = None
    remote_jobs: int = 0


class ClustersService:
    """The clusters, by name. `default` always exists.

    Args:
        page_tokens: makes list tokens.
        registration: keeps what those need that are other installations.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        page_tokens: PageTokens,
        registration: Registration,
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_tokens = page_tokens
        self._registration = registration

    async def ensure_default(self) -> None:
        """Make the cluster `default` unless it is there: at each start of a server."""
        spec = cluster_pb2.Cluster(description="Nodes that join without naming a cluster")
        await self._database.write(lambda tx: tx.clusters.add(self._columns(DEFAULT_CLUSTER, spec)))

    async def list(
        self, who: Caller, *, size: int, token: str
    ) -> tuple[Sequence[ClusterView], str]:
        """A page of clusters by name, and the token of the next one."""
        require(who, "clusters.list", ORGANISATION)
        size = page_size(size)
        behind = self._page_tokens.read(_QUERY, token) if token else ""

        def load(tx: Transaction) -> tuple[list[ClusterView], bool]:
            found = tx.clusters.page(after=behind, size=size + 1)
            return _views(tx, found[:size]), len(found) > size

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(_QUERY, found[-1].row.cluster_id) if more else ""

    async def get(self, who: Caller, cluster_id: str) -> ClusterView:
        """A cluster; NotFound when there is none of that name."""
        require(who, "clusters.get", ORGANISATION)
        return await self._database.read(
            lambda tx: _views(tx, [_found(tx.clusters.get(cluster_id), cluster_id)])[0]
        )

    async def create(self, who: Caller, wanted: cluster_pb2.Cluster) -> ClusterView:
        """Make a cluster.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput: it is another installation and cannot be reached as said.
        """
        require(who, "clusters.create", ORGANISATION)
        settings = self._registration.checked(wanted)
        columns = self._columns(wanted.cluster_id, wanted, settings)

        def store(tx: Transaction) -> ClusterView:
            if not tx.clusters.add(columns):
                message = f"there is a cluster {wanted.cluster_id!r} already"
                raise AlreadyExists(message, reason="CLUSTER_EXISTS", cluster=wanted.cluster_id)
            if settings is not None:
                self._registration.add(tx, wanted.cluster_id, wanted.remote.api_key)
            return _views(tx, [row(ClusterRow, columns)])[0]

        return await self._database.write(store)

    async def update(
        self, who: Caller, wanted: cluster_pb2.Cluster, mask: Sequence[str]
    ) -> ClusterView:
        """Change what callers say of a cluster; as it was: nothing is.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: the mask names a field that cannot be changed, or an installation cannot be
                reached as said.
            WrongState: it has jobs of a project that it is not to use any more.
            Conflict: it is not as `wanted.etag` says.
        """
        require(who, "clusters.update", ORGANISATION)

        def store(tx: Transaction) -> ClusterView:
            old = _found(tx.clusters.lock(wanted.cluster_id), wanted.cluster_id)
            require_etag("cluster", old.version, wanted.etag)
            spec, any_change = self._changed_spec(tx, old, wanted, mask)
            if not any_change:
                return _views(tx, [old])[0]
            values = {
                "spec": spec.SerializeToString(),
                "version": old.version + 1,
                "updated_at": self._clock.now(),
            }
            tx.clusters.change(old.cluster_id, **values)
            return _views(tx, [changed(old, **values)])[0]

        return await self._database.write(store)

    async def delete(self, who: Caller, cluster_id: str, etag: str) -> ClusterView:
        """Remove a cluster, and the tokens with which nodes could join it.

        Raises:
            NotFound: there is none of that name.
            Conflict: it is not as `etag` says.
            WrongState: it is `default`, or has nodes or jobs.
        """
        require(who, "clusters.delete", ORGANISATION)

        def store(tx: Transaction) -> ClusterView:
            old = _found(tx.clusters.lock(cluster_id), cluster_id)
            require_etag("cluster", old.version, etag)
            if cluster_id == DEFAULT_CLUSTER:
                message = "the cluster 'default' always exists"
                raise WrongState(
                    message, reason="DEFAULT_CLUSTER", subject=cluster_id, cluster=cluster_id
                )
            if tx.nodes.any_of_cluster(cluster_id):
                message = (
                    f"cluster {cluster_id!r} has nodes; remove them, or have them join another"
                )
                raise WrongState(
                    message, reason="CLUSTER_HAS_NODES", subject=cluster_id, cluster=cluster_id
                )
            view = _views(tx, [old])[0]
            if view.remote is not None:
                self._registration.remove(tx, cluster_id)
            tx.access.void_join_tokens(cluster_id, self._clock.now())
            tx.clusters.remove(cluster_id)
            return view

        return await self._database.write(store)

    def _changed_spec(
        self, tx: Transaction, old: ClusterRow, wanted: cluster_pb2.Cluster, mask: Sequence[str]
    ) -> tuple[cluster_pb2.Cluster, bool]:
        """What callers say of it then, and whether that, or its key, is new."""
        before = cluster_pb2.Cluster.FromString(old.spec)
        made = cluster_pb2.Cluster(kind=cluster_pb2.Cluster.Kind.Name(old.kind))
        require_same(made, wanted, mask, ("kind",), "cluster")
        if old.kind != cluster_pb2.Cluster.REMOTE:
            require_no_settings(wanted)
            spec = merged(before, wanted, mask, CHANGEABLE)
            return spec, spec != before
        own, settings = split_mask(mask)
        spec = merged(before, wanted, own, CHANGEABLE) if own is not None else _copied(before)
        new_key = False
        if settings is not None:
            remote, new_key = self._registration.update(tx, before, wanted, settings)
            spec.remote.CopyFrom(remote)
        return spec, spec != before or new_key

    def _columns(
        self,
        cluster_id: str,
        wanted: cluster_pb2.Cluster,
        settings: remote_cluster_pb2.RemoteSettings | None = None,
    ) -> dict[str, object]:
        now = self._clock.now()
        spec = merged(cluster_pb2.Cluster(), wanted, CHANGEABLE, CHANGEABLE)
        if settings is not None:
            spec.remote.CopyFrom(settings)
        return {
            "cluster_id": cluster_id,
            "kind": wanted.kind or cluster_pb2.Cluster.LOCAL,
            "spec": spec.SerializeToString(),
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }


def _copied(spec: cluster_pb2.Cluster) -> cluster_pb2.Cluster:
    copied = cluster_pb2.Cluster()
    copied.CopyFrom(spec)
    return copied


def _found(cluster: ClusterRow | None, cluster_id: str) -> ClusterRow:
    if cluster is None:
        raise absent("cluster", cluster_id)
    return cluster


def _views(tx: Transaction, clusters: Iterable[ClusterRow]) -> list[ClusterView]:
    by_cluster = totals(tx.nodes.all(), tx.nodes.all_claims(), key=lambda node: node.cluster)
    jobs = tx.remote_runs.count_active()
    return [
        ClusterView(
            one,
            cluster_pb2.Cluster.FromString(one.spec),
            by_cluster.get(one.cluster_id, Totals()),
            tx.remote_clusters.get(one.cluster_id)
            if one.kind == cluster_pb2.Cluster.REMOTE
            else None,
            jobs.get(one.cluster_id, 0),
        )
        for one in clusters
    ]
