"""Who a call comes from."""

from collections.abc import Sequence

from windlass_server.access.policy import Caller


class Authenticator:
    """Turns the values of a call's `authorization` metadata into its `Caller`."""

    async def authenticate(self, authorization: Sequence[str]) -> Caller:
        """The caller.

        Args:
            authorization: every value of the key `authorization`, as received.

        Raises:
            Unauthenticated: reason CREDENTIAL_MISSING, CREDENTIAL_AMBIGUOUS (more than one),
                CREDENTIAL_INVALID or CREDENTIAL_EXPIRED.
        """
        raise NotImplementedError
