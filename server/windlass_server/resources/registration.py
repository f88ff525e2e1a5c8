"""Other installations as clusters of this one: what callers say of them, checked and kept."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from cryptography import x509

from windlass.resources.v1 import cluster_pb2, remote_cluster_pb2
from windlass_server.clock import Clock
from windlass_server.errors import FieldViolation, InvalidInput, WrongState
from windlass_server.resources.endpoints import parse_endpoint
from windlass_server.resources.remote_clusters import key_purpose
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import EVERYTHING, merged

Settings = remote_cluster_pb2.RemoteSettings
FIELD = "remote"
"""The field of a cluster that is kept here."""

_PREFIX = f"{FIELD}."
_SECRET = "api_key"  # noqa: S105 - the field's name
_CHANGEABLE = tuple(field.name for field in Settings.DESCRIPTOR.fields)
# A key is shown to whoever answers there: with another of these it may be somebody else.
_WHOM = ("endpoint", "ca_certificates", "server_name")


class Seal(Protocol):
    """Keeps secrets."""

    def close(self, purpose: str, secret: str) -> bytes: ...


class Registration:
    """Keeps what remote clusters need beside their rows.

    Args:
        seal: what their keys are kept with.
    """

    def __init__(self, seal: Seal, clock: Clock) -> None:
        self._seal = seal
        self._clock = clock

    def checked(self, wanted: cluster_pb2.Cluster) -> Settings | None:
        """The settings of a new cluster, without its key; None for one that is not remote.

        Raises:
            InvalidInput: they are missing, not wanted, or contradict themselves.
        """
        if wanted.kind != cluster_pb2.Cluster.REMOTE:
            require_no_settings(wanted)
            return None
        violations = list(_faults(wanted.remote))
        if not wanted.remote.api_key:
            violations.append(_violation(_SECRET, "is needed to be let in there", "REQUIRED"))
        if violations:
            raise _wrong(violations)
        return _without_key(wanted.remote)

    def add(self, tx: Transaction, cluster_id: str, api_key: str) -> None:
        """Keep what a new remote cluster needs, whose row the transaction has added."""
        now = self._clock.now()
        tx.remote_clusters.add(
            {
                "cluster_id": cluster_id,
                "sealed_key": self._sealed(cluster_id, api_key),
                "state": 0,
                "state_message": "it has not been tried yet",
                "state_at": now,
                "contacted_at": None,
                "remote_version": "",
                "nodes": b"",
                "lease_holder": "",
                "lease_until": 0,
            }
        )

    def update(
        self,
        tx: Transaction,
        old: cluster_pb2.Cluster,
        wanted: cluster_pb2.Cluster,
        mask: list[str],
    ) -> tuple[Settings, bool]:
        """The settings after an update, and whether there is a new key, which is kept.

        Args:
            tx: in which the cluster is locked.
            old: as it is.
            wanted: as the caller wants it.
            mask: which of its fields: `remote`, or those of its settings as `remote.paused`; none:
                those that `wanted` has values for.

        Raises:
            InvalidInput: the settings contradict themselves, or the key would go to somebody else.
            WrongState: it has jobs of a project that it is not to use any more.
        """
        new = merged(old.remote, wanted.remote, mask, _CHANGEABLE)
        violations = list(_faults(new))
        given = new.api_key
        moved = [name for name in _WHOM if getattr(old.remote, name) != getattr(new, name)]
        if moved and not given:
            text = f"must be given again, because {' and '.join(moved)} changes"
            violations.append(_violation(_SECRET, text, "API_KEY_REQUIRED"))
        if violations:
            raise _wrong(violations)
        if old.remote.project != new.project:
            require_idle(tx, wanted.cluster_id, "its project cannot be changed")
        if given:
            sealed = self._sealed(wanted.cluster_id, given)
            tx.remote_clusters.change(wanted.cluster_id, sealed_key=sealed)
        return _without_key(new), bool(given)

    def remove(self, tx: Transaction, cluster_id: str) -> None:
        """Forget a remote cluster. WrongState while it has jobs, or logs that are not here yet."""
        require_idle(tx, cluster_id, "it cannot be removed")
        tx.remote_clusters.remove(cluster_id)

    def _sealed(self, cluster_id: str, api_key: str) -> bytes:
        return self._seal.close(key_purpose(cluster_id), api_key)


def require_no_settings(wanted: cluster_pb2.Cluster) -> None:
    """Refuse remote settings of a cluster that is not remote. Raises InvalidInput."""
    if wanted.HasField(FIELD):
        raise _wrong([_violation("", "is only for clusters of kind REMOTE", "NOT_REMOTE")])


def split_mask(mask: Sequence[str]) -> tuple[list[str] | None, list[str] | None]:
    """An update mask in two: what it names of the cluster itself, and of its remote settings.

    None: nothing of it is to change. An empty list: whatever has a value.
    """
    if not mask or EVERYTHING in mask:
        return list(mask), list(mask)
    settings = [path.removeprefix(_PREFIX) for path in mask if path.startswith(_PREFIX)]
    if FIELD in mask:
        settings = [EVERYTHING]
    own = [path for path in mask if path != FIELD and not path.startswith(_PREFIX)]
    return own or None, settings or None


def require_idle(tx: Transaction, cluster_id: str, what: str) -> None:
    """Do nothing when a cluster has no job of ours any more, else raise WrongState."""
    count = len(tx.remote_runs.open_at(cluster_id))
    if count:
        message = (
            f"cluster {cluster_id!r} has {count} job(s) of this installation, or the ends of their "
            f"logs; {what} before they are over. Pause it, and nothing new goes there"
        )
        raise WrongState(message, reason="CLUSTER_HAS_JOBS", subject=cluster_id, cluster=cluster_id)


def _without_key(settings: Settings) -> Settings:
    kept = Settings()
    kept.CopyFrom(settings)
    kept.ClearField(_SECRET)
    return kept


def _faults(settings: Settings) -> Iterable[FieldViolation]:
    endpoint = parse_endpoint(settings.endpoint)
    if endpoint is None:
        text = "must be host:port, https://host:port or http://host:port"
        yield _violation("endpoint", text, "ENDPOINT_INVALID")
    for name in _WHOM[1:]:
        if getattr(settings, name) and endpoint is not None and not endpoint.tls:
            yield _violation(name, "is only for an endpoint with TLS (https://)", "NOT_TLS")
    if settings.ca_certificates and not _is_pem(settings.ca_certificates):
        yield _violation("ca_certificates", "must be certificates in PEM", "CERTIFICATES_INVALID")


def _is_pem(text: str) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(text.encode()))
    except ValueError:
        return False


def _violation(name: str, text: str, reason: str) -> FieldViolation:
    return FieldViolation(f"cluster.{FIELD}{'.' if name else ''}{name}", text, reason)


def _wrong(violations: Sequence[FieldViolation]) -> InvalidInput:
    message = "; ".join(f"{one.field} {one.description}" for one in violations)
    return InvalidInput(message, reason=violations[0].reason, violations=tuple(violations))
