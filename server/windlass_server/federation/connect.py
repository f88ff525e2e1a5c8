"""Opens links to remote clusters, with the keys that are kept for them."""

from typing import Protocol

from windlass_server.errors import WrongState
from windlass_server.federation.link import Access, Link
from windlass_server.resources.endpoints import parse_endpoint
from windlass_server.resources.remote_clusters import RemoteCluster, key_purpose


class Seal(Protocol):
    """Opens what was sealed."""

    def open(self, purpose: str, sealed: bytes) -> str: ...


class Connector:
    """Opens links.

    Args:
        seal: what the clusters' keys were sealed with.
    """

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def open(self, cluster: RemoteCluster) -> Link:
        """A link to the cluster; nothing is sent yet.

        Raises:
            WrongState: its key cannot be read, or its endpoint is none that this version knows.
        """
        settings = cluster.settings
        endpoint = parse_endpoint(settings.endpoint)
        if endpoint is None:
            message = f"goes to {settings.endpoint!r}, which is no endpoint"
            raise WrongState(message, reason="ENDPOINT_INVALID", subject=settings.endpoint)
        return Link(
            Access(
                endpoint=endpoint,
                api_key=self._seal.open(key_purpose(cluster.cluster_id), cluster.sealed_key),
                ca_certificates=settings.ca_certificates,
                server_name=settings.server_name,
            )
        )
