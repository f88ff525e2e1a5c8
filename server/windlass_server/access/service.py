"""Credentials, projects, and who may do what."""

from collections.abc import Sequence
from dataclasses import dataclass

from windlass_server.access import api_keys
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.bootstrap import ORGANISATION_ID
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.policy import (
    ORGANISATION,
    Caller,
    Role,
    absent,
    require,
    require_object,
    role_in,
)
from windlass_server.access.tokens import MAX_USER_SECONDS, UserTokens
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import AlreadyExists, Denied, WrongState
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import DEFAULT_CLUSTER, ApiKeyRow, ProjectRow
from windlass_server.storage.transaction import Transaction

MAX_TOKEN_MICROS = MAX_USER_SECONDS * MICROS_PER_SECOND
JOIN_TOKEN_MICROS = 3600 * MICROS_PER_SECOND
MAX_JOIN_TOKEN_MICROS = 7 * 24 * 3600 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A secret that is shown only now, and when it ends (microseconds)."""

    text: str
    expires_at: int


class AccessService:
    """What the access API does. All times and lifetimes are microseconds.

    Args:
        database: where it is kept.
        clock: the time.
        authenticator: verifies API keys, and is told of revocations.
        user_tokens: signs tokens.
        join_tokens: makes and uses up nodes' join tokens.
        api_key_pepper: of the digests of API keys.
        page_tokens: makes list tokens.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        authenticator: Authenticator,
        user_tokens: UserTokens,
        join_tokens: JoinTokens,
        api_key_pepper: bytes,
        page_tokens: PageTokens,
    ) -> None:
        self._database = database
        self._clock = clock
        self._authenticator = authenticator
        self._user_tokens = user_tokens
        self._join_tokens = join_tokens
        self._pepper = api_key_pepper
        self._page_tokens = page_tokens

    async def create_token(self, api_key: str, lifetime: int | None) -> IssuedSecret:
        """Trade an API key for a token, at most 15 minutes long and no longer than the key.

        Raises:
            Unauthenticated: the key is not good.
        """
        verified = await self._authenticator.verify_api_key(api_key)
        now = self._clock.now()
        until = now + min(lifetime or MAX_TOKEN_MICROS, MAX_TOKEN_MICROS)
        if verified.expires_at is not None:
            until = min(until, verified.expires_at)
        caller = verified.caller
        token, ends = self._user_tokens.issue(
            caller.user, caller.credential_id, now=now, until=until
        )
        return IssuedSecret(token, ends)

    async def create_project(self, caller: Caller, project: str, display_name: str) -> ProjectRow:
        """Make a project.

        Raises:
            Denied: the caller may not.
            AlreadyExists: PROJECT_EXISTS.
        """
        require(caller, "projects.create", ORGANISATION)
        now = self._clock.now()

        def add(tx: Transaction) -> ProjectRow:
            if not tx.access.add_project(project, ORGANISATION_ID, display_name, now):
                message = f"there is a project {project!r} already"
                raise AlreadyExists(message, reason="PROJECT_EXISTS", project=project)
            return _existing_project(tx, project)

        return await self._database.write(add)

    async def list_projects(
        self, caller: Caller, *, size: int, page_token: str
    ) -> tuple[Sequence[ProjectRow], str]:
        """The projects in which the caller has a role, by name, and the next page's token.

        Raises:
            InvalidInput: the token is not one of this list.
        """
        size = page_size(size)
        query = f"ListProjects {caller.user}"
        after = self._page_tokens.read(query, page_token) if page_token else ""
        among = None if caller.organisation_role is not None else sorted(caller.roles)
        rows = await self._database.read(
            lambda tx: tx.access.projects(after=after, size=size + 1, among=among)
        )
        if len(rows) <= size:
            return rows, ""
        return rows[:size], self._page_tokens.make(query, rows[size - 1].project)

    async def create_api_key(
        self,
        caller: Caller,
        *,
        user: str,
        project: str,
        role: int,
        display_name: str,
        lifetime: int | None,
    ) -> tuple[ApiKeyRow, str]:
        """Make a key that carries a role in a project, and its principal when that is new.

        Args:
            caller: who asks; may give no more than it has itself.
            user: the principal.
            project: where; empty for the caller's default project.
            role: what the key carries there.
            display_name: for people.
            lifetime: None for ever.

        Returns:
            The key, and its text, which is nowhere else.

        Raises:
            NotFound: no such project, or none that the caller has a part in.
            Denied: PERMISSION_DENIED, ROLE_TOO_HIGH.
        """
        project = project or caller.default_project
        require_object(caller, "apikeys.create", project, kind="project", object_id=project)
        if role > (role_in(caller, project) or 0):
            raise _too_high(user, project)
        secret = api_keys.make(api_keys.API_KEY)
        key = self._key_row(secret, user, project, Role(role), display_name, lifetime)
        await self._database.write(lambda tx: _add_key(tx, caller, key))
        return key, secret.text()

    def _key_row(
        self,
        secret: api_keys.Secret,
        user: str,
        project: str,
        role: Role,
        display_name: str,
        lifetime: int | None,
    ) -> ApiKeyRow:
        now = self._clock.now()
        return ApiKeyRow(
            key_id=secret.public_id,
            user=user,
            project=project,
            role=role,
            display_name=display_name,
            secret_digest=api_keys.digest(self._pepper, secret),
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            revoked_at=None,
        )

    async def list_api_keys(
        self, caller: Caller, *, size: int, page_token: str
    ) -> tuple[Sequence[ApiKeyRow], str]:
        """The organisation's API keys, newest first, and the next page's token.

        Raises:
            Denied: the caller may not.
            InvalidInput: the token is not one of this list.
        """
        require(caller, "apikeys.list", ORGANISATION)
        size = page_size(size)
        behind: tuple[int, str] | None = None
        if page_token:
            created_at, _, key_id = self._page_tokens.read("ListApiKeys", page_token).partition(" ")
            behind = int(created_at), key_id
        rows = await self._database.read(lambda tx: tx.access.keys(behind=behind, size=size + 1))
        if len(rows) <= size:
            return rows, ""
        last = rows[size - 1]
        return rows[:size], self._page_tokens.make(
            "ListApiKeys", f"{last.created_at} {last.key_id}"
        )

    async def revoke_api_key(self, caller: Caller, key_id: str) -> ApiKeyRow:
        """Make a key and the tokens that it bought useless, at once in this process.

        Raises:
            Denied: the caller may not.
            NotFound: there is no such key.
        """
        require(caller, "apikeys.revoke", ORGANISATION)
        now = self._clock.now()

        def revoke(tx: Transaction) -> ApiKeyRow:
            tx.access.revoke_key(key_id, now)
            tx.after_commit(lambda: self._authenticator.forget(key_id))
            key = tx.access.key(key_id)
            if key is None:
                raise absent("API key", key_id)
            return key

        return await self._database.write(revoke)

    async def create_join_token(
        self,
        caller: Caller,
        lifetime: int | None,
        *,
        max_uses: int = 1,
        cluster: str = DEFAULT_CLUSTER,
    ) -> IssuedSecret:
        """Make a token with which so many nodes may join a cluster; by default good for an hour.

        Raises:
            Denied: the caller may not.
            NotFound: there is no such cluster.
            WrongState: it is another installation, whose nodes join that.
        """
        require(caller, "nodes.join", ORGANISATION)
        now = self._clock.now()
        expires_at = now + min(lifetime or JOIN_TOKEN_MICROS, MAX_JOIN_TOKEN_MICROS)

        def make(tx: Transaction) -> str:
            if cluster != DEFAULT_CLUSTER and tx.clusters.hold(cluster) is None:
                raise absent("cluster", cluster)
            if tx.remote_clusters.get(cluster) is not None:
                message = f"cluster {cluster!r} is another installation: nodes join it there"
                raise WrongState(
                    message, reason="CLUSTER_IS_REMOTE", subject=cluster, cluster=cluster
                )
            return self._join_tokens.make(
                tx,
                caller.user,
                now=now,
                expires_at=expires_at,
                max_uses=max_uses,
                cluster=cluster,
            )

        return IssuedSecret(await self._database.write(make), expires_at)

    def consume_join_token(self, tx: Transaction, token: str, node_id: str, now: int) -> str:
        """As `JoinTokens.consume`, for the transaction that stores the node."""
        return self._join_tokens.consume(tx, token, node_id, now)

    def used_join_token(self, tx: Transaction, token: str, node_id: str) -> bool:
        """As `JoinTokens.used_by`."""
        return self._join_tokens.used_by(tx, token, node_id)


def _add_key(tx: Transaction, caller: Caller, key: ApiKeyRow) -> None:
    _existing_project(tx, key.project)
    # A key speaks in its principal's name: nobody makes one for a principal above itself.
    above = tx.access.role(key.user, ORGANISATION)
    if above > (caller.organisation_role or 0):
        raise _too_high(key.user, key.project)
    tx.access.add_principal(key.user, key.project, key.created_at)
    if key.role > above:
        tx.access.give_role(key.user, key.project, key.role)
    tx.access.add_key(key)


def _existing_project(tx: Transaction, project: str) -> ProjectRow:
    found = tx.access.project(project)
    if found is None:
        raise absent("project", project)
    return found


def _too_high(user: str, project: str) -> Denied:
    message = f"you cannot give {user!r} in project {project!r} more than you have yourself"
    return Denied(message, reason="ROLE_TOO_HIGH", user=user, project=project)
