"""Tokens with which a node may join, once. For use inside the transaction that stores the node."""

from windlass_server.access import api_keys
from windlass_server.errors import Unauthenticated
from windlass_server.storage.tables import JoinTokenRow
from windlass_server.storage.transaction import Transaction


class JoinTokens:
    """Makes join tokens and uses them up.

    Args:
        pepper: of the digests of join tokens.
    """

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def make(self, tx: Transaction, created_by: str, *, now: int, expires_at: int) -> str:
        """Store a new token; returns the text, which is nowhere else (times in microseconds)."""
        secret = api_keys.make(api_keys.JOIN_TOKEN)
        row = JoinTokenRow(
            token_id=secret.public_id,
            secret_digest=api_keys.digest(self._pepper, secret),
            created_by=created_by,
            created_at=now,
            expires_at=expires_at,
            node_id=None,
        )
        tx.access.add_join_token(row)
        return secret.text()

    def joined_node(self, tx: Transaction, token: str) -> str | None:
        """The node that used this token up; None while nobody has.

        For a node whose answer got lost and that joins again: the caller compares the public keys.

        Raises:
            Unauthenticated: JOIN_TOKEN_INVALID: it is not one of ours.
        """
        return self._find(tx, token).node_id

    def consume(self, tx: Transaction, token: str, node_id: str, now: int) -> None:
        """Use the token up for this node, if the transaction commits.

        Raises:
            Unauthenticated: JOIN_TOKEN_INVALID, JOIN_TOKEN_EXPIRED or JOIN_TOKEN_USED.
        """
        found = self._find(tx, token)
        if found.node_id is not None:
            raise _used()
        if now >= found.expires_at:
            message = "the join token has expired"
            raise Unauthenticated(message, reason="JOIN_TOKEN_EXPIRED")
        # Guarded: of two nodes that come at once, one gets it.
        if not tx.access.use_join_token(found.token_id, node_id):
            raise _used()

    def _find(self, tx: Transaction, token: str) -> JoinTokenRow:
        secret = api_keys.parse(api_keys.JOIN_TOKEN, token)
        found = None if secret is None else tx.access.join_token(secret.public_id)
        if (
            secret is None
            or found is None
            or not api_keys.matches(self._pepper, secret, found.secret_digest)
        ):
            message = "the join token is not known"
            raise Unauthenticated(message, reason="JOIN_TOKEN_INVALID")
        return found


def _used() -> Unauthenticated:
    message = "the join token was used before; ask for another"
    return Unauthenticated(message, reason="JOIN_TOKEN_USED")
