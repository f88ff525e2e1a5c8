"""Tokens with which nodes may join. For use inside the transaction that stores the node."""

from windlass_server.access import api_keys
from windlass_server.errors import Unauthenticated
from windlass_server.storage.tables import DEFAULT_CLUSTER, JoinTokenRow
from windlass_server.storage.transaction import Transaction


class JoinTokens:
    """Makes join tokens and uses them up.

    Args:
        pepper: of the digests of join tokens.
    """

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def make(
        self,
        tx: Transaction,
        created_by: str,
        *,
        now: int,
        expires_at: int,
        max_uses: int = 1,
        cluster: str = DEFAULT_CLUSTER,
    ) -> str:
        """Store a new token; returns the text, which is nowhere else (times in microseconds)."""
        secret = api_keys.make(api_keys.JOIN_TOKEN)
        row = JoinTokenRow(
            token_id=secret.public_id,
            secret_digest=api_keys.digest(self._pepper, secret),
            created_by=created_by,
            created_at=now,
            expires_at=expires_at,
            max_uses=max_uses,
            uses=0,
            cluster=cluster,
        )
        tx.access.add_join_token(row)
        return secret.text()

    def used_by(self, tx: Transaction, token: str, node_id: str) -> bool:
        """Whether this node joined with this token: its answer got lost, and it joins again.

        Raises:
            Unauthenticated: JOIN_TOKEN_INVALID: it is not one of ours.
        """
        return tx.access.used_join_token(self._find(tx, token).token_id, node_id)

    def consume(self, tx: Transaction, token: str, node_id: str, now: int) -> str:
        """Take one use of the token for this node, if the transaction commits; returns its cluster.

        Raises:
            Unauthenticated: JOIN_TOKEN_INVALID, JOIN_TOKEN_EXPIRED or JOIN_TOKEN_USED.
        """
        found = self._find(tx, token)
        if found.uses >= found.max_uses:
            raise _used(found.max_uses)
        if now >= found.expires_at:
            message = "the join token has expired"
            raise Unauthenticated(message, reason="JOIN_TOKEN_EXPIRED")
        # Guarded: of two nodes that come at once, one gets the last use.
        if not tx.access.use_join_token(found.token_id, node_id):
            raise _used(found.max_uses)
        # Held, so that the cluster is not removed while the node is stored.
        if found.cluster != DEFAULT_CLUSTER and tx.clusters.hold(found.cluster) is None:
            raise _unknown()
        return found.cluster

    def _find(self, tx: Transaction, token: str) -> JoinTokenRow:
        secret = api_keys.parse(api_keys.JOIN_TOKEN, token)
        found = None if secret is None else tx.access.join_token(secret.public_id)
        if (
            secret is None
            or found is None
            or not api_keys.matches(self._pepper, secret, found.secret_digest)
        ):
            raise _unknown()
        return found


def _unknown() -> Unauthenticated:
    message = "the join token is not known"
    return Unauthenticated(message, reason="JOIN_TOKEN_INVALID")


def _used(max_uses: int) -> Unauthenticated:
    by = "before" if max_uses == 1 else f"by {max_uses} nodes"
    message = f"the join token was used {by}; ask for another"
    return Unauthenticated(message, reason="JOIN_TOKEN_USED")
