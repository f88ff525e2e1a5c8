"""Who a call comes from."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from windlass_server.access import api_keys, tokens
from windlass_server.access.policy import ORGANISATION, Caller, PrincipalKind, Role
from windlass_server.access.tokens import NODE_TOKEN, USER_TOKEN, UserTokens
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import Unauthenticated
from windlass_server.storage.access import Credential
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as

# A credential revoked by another process goes on working here for this long at most.
_MAX_AGE_SECONDS = 5.0
_MAX_CREDENTIALS = 4096
_MAX_VALUE_CHARS = tokens.MAX_TOKEN_CHARS + len("Bearer ")


@dataclass(frozen=True, slots=True)
class Verified:
    """A caller, and when its credential ends by itself (microseconds; None: never)."""

    caller: Caller
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller
    # Monotonic seconds.
    good_until: float


class Authenticator:
    """Turns the values of a call's `authorization` metadata into its `Caller`.

    Good credentials are remembered for 5 seconds, so that most calls cost a dictionary look-up. Bad
    ones are not: there is no end of them, and one may become good.

    Args:
        database: where keys and nodes are.
        clock: wall time for what expires, monotonic time for what is remembered.
        pepper: of the digests of API keys.
        user_tokens: verifies the tokens of users.
    """

    def __init__(
        self, database: Database, clock: Clock, pepper: bytes, user_tokens: UserTokens
    ) -> None:
        self._database = database
        self._clock = clock
        self._pepper = pepper
        self._user_tokens = user_tokens
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        # Raised by each revocation: what was read before it is not remembered after it.
        self._generation = 0

    async def authenticate(self, authorization: Sequence[str]) -> Caller:
        """The caller.

        Args:
            authorization: every value of the key `authorization`, as received.

        Raises:
            Unauthenticated: reason CREDENTIAL_MISSING, CREDENTIAL_AMBIGUOUS (more than one),
                CREDENTIAL_INVALID or CREDENTIAL_EXPIRED.
        """
        remembered = self.remembered(authorization)
        if remembered is not None:
            return remembered
        credential = bearer(authorization)
        generation = self._generation
        verified = await self._verify(credential)
        if generation == self._generation:
            self._remember(authorization[0], verified)
        return verified.caller

    def remembered(self, authorization: Sequence[str]) -> Caller | None:
        """The caller, when its credential was verified so lately that it need not be again."""
        if len(authorization) != 1:
            return None
        remembered = self._remembered.get(authorization[0])
        if remembered is None or self._clock.monotonic() >= remembered.good_until:
            return None
        self._remembered.move_to_end(authorization[0])
        return remembered.caller

    async def verify_api_key(self, text: str) -> Verified:
        """The caller behind an API key, without a look at what is remembered.

        Raises:
            Unauthenticated: CREDENTIAL_INVALID or CREDENTIAL_EXPIRED.
        """
        secret = api_keys.parse(api_keys.API_KEY, text)
        if secret is None:
            raise _invalid("the API key is mistyped or not one of windlass")
        found = await self._credential(secret.public_id)
        if found is None or not api_keys.matches(self._pepper, secret, found.secret_digest):
            raise _invalid("the API key is not known")
        return Verified(self._judge(found), found.expires_at)

    def forget(self, credential_id: str) -> None:
        """Have the next use of an API key, its tokens, or a node's tokens verified anew."""
        self._generation += 1
        for value, remembered in list(self._remembered.items()):
            if remembered.caller.credential_id == credential_id:
                del self._remembered[value]

    def _remember(self, value: str, verified: Verified) -> None:
        age = _MAX_AGE_SECONDS
        if verified.expires_at is not None:
            left = (verified.expires_at - self._clock.now()) / MICROS_PER_SECOND
            age = min(age, left)
        self._remembered[value] = _Remembered(verified.caller, self._clock.monotonic() + age)
        self._remembered.move_to_end(value)
        if len(self._remembered) > _MAX_CREDENTIALS:
            self._remembered.popitem(last=False)

    async def _verify(self, credential: str) -> Verified:
        if credential.startswith(api_keys.API_KEY + "_"):
            return await self.verify_api_key(credential)
        kind = tokens.token_type(credential)
        if kind == USER_TOKEN:
            return await self._verify_user_token(credential)
        if kind == NODE_TOKEN:
            return await self._verify_node_token(credential)
        raise _invalid("the credential is neither an API key nor a token of windlass")

    async def _verify_user_token(self, token: str) -> Verified:
        claims = self._user_tokens.verify(token, now=self._clock.now())
        found = await self._credential(claims.key_id)
        if found is None or found.user != claims.user:
            raise _invalid("the API key behind the token is gone")
        return Verified(self._judge(found), claims.expires_at)

    async def _verify_node_token(self, token: str) -> Verified:
        node_id = tokens.claimed_node(token)
        with acting_as("authenticator"):
            public_key = await self._database.read(lambda tx: tx.access.node_key(node_id))
        if public_key is None:
            raise _invalid("the node is not known")
        claims = tokens.verify_node(token, public_key, now=self._clock.now())
        caller = Caller(
            user=f"node/{claims.node_id}",
            kind=PrincipalKind.NODE,
            node_id=claims.node_id,
            credential_id=claims.node_id,
        )
        return Verified(caller, claims.expires_at)

    async def _credential(self, key_id: str) -> Credential | None:
        with acting_as("authenticator"):
            return await self._database.read(lambda tx: tx.access.credential(key_id))

    def _judge(self, found: Credential) -> Caller:
        if found.revoked_at is not None:
            raise _invalid("the API key was revoked")
        if found.expires_at is not None and self._clock.now() >= found.expires_at:
            message = "the API key has expired"
            raise Unauthenticated(message, reason="CREDENTIAL_EXPIRED")
        return caller_of(found)


def caller_of(found: Credential) -> Caller:
    """The caller that a key makes: the key's role, cut to what its principal still has there."""
    held = max(found.project_role, found.organisation_role)
    role = Role(min(found.role, held)) if held else None
    everywhere = found.project == ORGANISATION
    roles = {found.project: role} if role is not None and not everywhere else {}
    return Caller(
        user=found.user,
        default_project=found.project or found.default_project,
        roles=MappingProxyType(roles),
        organisation_role=role if everywhere else None,
        credential_id=found.key_id,
    )


def bearer(authorization: Sequence[str]) -> str:
    """The one `Bearer` credential among the values of `authorization` (RFC 6750, section 2.1).

    Raises:
        Unauthenticated: there is none, more than one, or one of another scheme.
    """
    if not authorization:
        message = "send an API key or a token as `authorization: Bearer …`"
        raise Unauthenticated(message, reason="CREDENTIAL_MISSING")
    if len(authorization) > 1:
        message = "there is more than one authorization value; send one"
        raise Unauthenticated(message, reason="CREDENTIAL_AMBIGUOUS")
    if len(authorization[0]) > _MAX_VALUE_CHARS:
        raise _invalid("the credential is too long")
    scheme, _, credential = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not credential.isascii() or len(credential.split()) != 1:
        raise _invalid("the authorization value is not `Bearer` and one credential")
    return credential


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason="CREDENTIAL_INVALID")
