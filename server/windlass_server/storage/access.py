"""Who there is, what they may do, and what they prove it with."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Table, and_, bindparam, func, insert, or_, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import (
    ApiKeyRow,
    JoinTokenRow,
    JoinTokenUseRow,
    NodeRow,
    OrganisationRow,
    PrincipalRow,
    ProjectRow,
    RoleBindingRow,
)

_ORGANISATIONS: Table = OrganisationRow.__table__  # type: ignore[attr-defined]
_PROJECTS: Table = ProjectRow.__table__  # type: ignore[attr-defined]
_PRINCIPALS: Table = PrincipalRow.__table__  # type: ignore[attr-defined]
_BINDINGS: Table = RoleBindingRow.__table__  # type: ignore[attr-defined]
_KEYS: Table = ApiKeyRow.__table__  # type: ignore[attr-defined]
_JOIN_TOKENS: Table = JoinTokenRow.__table__  # type: ignore[attr-defined]
_JOIN_TOKEN_USES: Table = JoinTokenUseRow.__table__  # type: ignore[attr-defined]
_NODES: Table = NodeRow.__table__  # type: ignore[attr-defined]

_here = _BINDINGS.alias("here")
_everywhere = _BINDINGS.alias("everywhere")

# A key with what its principal may do in the key's project and in the organisation.
_CREDENTIAL = (
    select(
        _KEYS.c.key_id,
        _KEYS.c.user,
        _KEYS.c.project,
        _KEYS.c.role,
        _KEYS.c.secret_digest,
        _KEYS.c.expires_at,
        _KEYS.c.revoked_at,
        _PRINCIPALS.c.default_project,
        func.coalesce(_here.c.role, 0).label("project_role"),
        func.coalesce(_everywhere.c.role, 0).label("organisation_role"),
    )
    .join(_PRINCIPALS, _PRINCIPALS.c.user == _KEYS.c.user)
    .outerjoin(_here, and_(_here.c.user == _KEYS.c.user, _here.c.project == _KEYS.c.project))
    .outerjoin(_everywhere, and_(_everywhere.c.user == _KEYS.c.user, _everywhere.c.project == ""))
    .where(_KEYS.c.key_id == bindparam("key_id"))
)
_KEY = select(_KEYS).where(_KEYS.c.key_id == bindparam("key_id"))
_KEY_PAGE = (
    select(_KEYS)
    .order_by(_KEYS.c.created_at.desc(), _KEYS.c.key_id.desc())
    .limit(bindparam("size"))
)
_KEY_PAGE_BEHIND = _KEY_PAGE.where(
    or_(
        _KEYS.c.created_at < bindparam("created_at"),
        and_(_KEYS.c.created_at == bindparam("created_at"), _KEYS.c.key_id < bindparam("key_id")),
    )
)
_REVOKE = (
    update(_KEYS)
    .where(_KEYS.c.key_id == bindparam("which"), _KEYS.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)
_ORGANISATION_KEYS = select(_KEYS.c.key_id).where(
    _KEYS.c.user == bindparam("user"), _KEYS.c.project == "", _KEYS.c.revoked_at.is_(None)
)
_PROJECT = select(_PROJECTS).where(_PROJECTS.c.project == bindparam("project"))
_PROJECT_PAGE = (
    select(_PROJECTS)
    .where(_PROJECTS.c.project > bindparam("after"))
    .order_by(_PROJECTS.c.project)
    .limit(bindparam("size"))
)
_PROJECT_PAGE_AMONG = _PROJECT_PAGE.where(
    _PROJECTS.c.project.in_(bindparam("among", expanding=True))
)
_ROLE = select(_BINDINGS.c.role).where(
    _BINDINGS.c.user == bindparam("user"), _BINDINGS.c.project == bindparam("project")
)
_RAISE_ROLE = (
    update(_BINDINGS)
    .where(
        _BINDINGS.c.user == bindparam("who"),
        _BINDINGS.c.project == bindparam("place"),
        _BINDINGS.c.role < bindparam("to"),
    )
    .values(role=bindparam("to"))
)
_JOIN_TOKEN = select(_JOIN_TOKENS).where(_JOIN_TOKENS.c.token_id == bindparam("token_id"))
_USE_JOIN_TOKEN = (
    update(_JOIN_TOKENS)
    .where(
        _JOIN_TOKENS.c.token_id == bindparam("which"), _JOIN_TOKENS.c.uses < _JOIN_TOKENS.c.max_uses
    )
    .values(uses=_JOIN_TOKENS.c.uses + 1)
)
_JOIN_TOKEN_USE = select(_JOIN_TOKEN_USES.c.node_id).where(
    _JOIN_TOKEN_USES.c.token_id == bindparam("token_id"),
    _JOIN_TOKEN_USES.c.node_id == bindparam("node_id"),
)
_NODE_KEY = select(_NODES.c.public_key).where(
    _NODES.c.node_id == bindparam("node_id"), _NODES.c.removed_at.is_(None)
)


class Credential(Protocol):
    """An API key and the principal behind it, as one read finds them.

    Attributes:
        project: where the key is good; empty for the whole organisation.
        role: what it carries there, as `access.v1.Role`.
        project_role: its principal's own role there; 0 for none.
        organisation_role: its principal's role in the organisation; 0 for none.
    """

    key_id: str
    user: str
    project: str
    role: int
    secret_digest: bytes
    expires_at: int | None
    revoked_at: int | None
    default_project: str
    project_role: int
    organisation_role: int


_HAS_PROJECT = Hot(select(_PROJECTS.c.project).where(_PROJECTS.c.project == bindparam("project")))


class AccessStore:
    """The organisation, its projects, principals and their credentials."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def found_organisation(self, organisation_id: str, name: str, at: int) -> bool:
        """Make the organisation unless it is there; waits for another who is just doing so.

        Returns:
            Whether it was made by this transaction.
        """
        values = {"organisation_id": organisation_id, "name": name, "created_at": at}
        return insert_new(self._connection, _ORGANISATIONS, values)

    def has_organisation(self) -> bool:
        """Whether the installation was set up."""
        return self._connection.execute(select(_ORGANISATIONS).limit(1)).first() is not None

    def add_project(self, project: str, organisation_id: str, display_name: str, at: int) -> bool:
        """Make a project; False when the name is taken."""
        values = {
            "project": project,
            "organisation_id": organisation_id,
            "display_name": display_name,
            "created_at": at,
        }
        return insert_new(self._connection, _PROJECTS, values)

    def has_project(self, project: str) -> bool:
        """Whether there is a project of that name."""
        return _HAS_PROJECT.first(self._connection, {"project": project}) is not None

    def project(self, project: str) -> ProjectRow | None:
        """A project by its name."""
        row = self._connection.execute(_PROJECT, {"project": project}).first()
        return cast("ProjectRow | None", row)

    def projects(
        self, *, after: str, size: int, among: Sequence[str] | None
    ) -> Sequence[ProjectRow]:
        """Projects by name, behind the name `after`; only those of `among` when it is given."""
        values: dict[str, Any] = {"after": after, "size": size}
        if among is None:
            rows = self._connection.execute(_PROJECT_PAGE, values).all()
        else:
            values["among"] = list(among)
            rows = self._connection.execute(_PROJECT_PAGE_AMONG, values).all()
        return cast("Sequence[ProjectRow]", rows)

    def add_principal(self, user: str, default_project: str, at: int) -> bool:
        """Make a principal; False when it is there already."""
        values = {"user": user, "default_project": default_project, "created_at": at}
        return insert_new(self._connection, _PRINCIPALS, values)

    def role(self, user: str, project: str) -> int:
        """The principal's role in a place (empty: the organisation); 0 for none."""
        found = self._connection.scalar(_ROLE, {"user": user, "project": project})
        return cast("int | None", found) or 0

    def give_role(self, user: str, project: str, role: int) -> None:
        """Give the principal at least this role in the place; never takes any away."""
        values = {"user": user, "project": project, "role": role}
        if not insert_new(self._connection, _BINDINGS, values):
            self._connection.execute(_RAISE_ROLE, {"who": user, "place": project, "to": role})

    def add_key(self, key: ApiKeyRow) -> None:
        """Store an API key."""
        self._connection.execute(insert(_KEYS), key.model_dump())

    def key(self, key_id: str) -> ApiKeyRow | None:
        """An API key by its id."""
        return cast("ApiKeyRow | None", self._connection.execute(_KEY, {"key_id": key_id}).first())

    def keys(self, *, behind: tuple[int, str] | None, size: int) -> Sequence[ApiKeyRow]:
        """API keys, newest first, behind the one made at `behind[0]` with the id `behind[1]`."""
        values: dict[str, Any] = {"size": size}
        if behind is None:
            rows = self._connection.execute(_KEY_PAGE, values).all()
        else:
            values |= {"created_at": behind[0], "key_id": behind[1]}
            rows = self._connection.execute(_KEY_PAGE_BEHIND, values).all()
        return cast("Sequence[ApiKeyRow]", rows)

    def revoke_key(self, key_id: str, at: int) -> None:
        """Revoke an API key; one that was revoked keeps its first time."""
        self._connection.execute(_REVOKE, {"which": key_id, "at": at})

    def organisation_keys(self, user: str) -> Sequence[str]:
        """The ids of a principal's keys for the whole organisation that were not revoked."""
        return self._connection.scalars(_ORGANISATION_KEYS, {"user": user}).all()

    def credential(self, key_id: str) -> Credential | None:
        """All that is needed to judge an API key, in one read."""
        row = self._connection.execute(_CREDENTIAL, {"key_id": key_id}).first()
        return cast("Credential | None", row)

    def node_key(self, node_id: str) -> bytes | None:
        """The raw Ed25519 public key of a node; None for one that is not known, or was removed."""
        return cast("bytes | None", self._connection.scalar(_NODE_KEY, {"node_id": node_id}))

    def add_join_token(self, token: JoinTokenRow) -> None:
        """Store a join token."""
        self._connection.execute(insert(_JOIN_TOKENS), token.model_dump())

    def join_token(self, token_id: str) -> JoinTokenRow | None:
        """A join token by its id."""
        row = self._connection.execute(_JOIN_TOKEN, {"token_id": token_id}).first()
        return cast("JoinTokenRow | None", row)

    def use_join_token(self, token_id: str, node_id: str) -> bool:
        """Count a node that joins with a token; False when no use of it is left."""
        if self._connection.execute(_USE_JOIN_TOKEN, {"which": token_id}).rowcount != 1:
            return False
        use = {"token_id": token_id, "node_id": node_id}
        self._connection.execute(insert(_JOIN_TOKEN_USES), use)
        return True

    def used_join_token(self, token_id: str, node_id: str) -> bool:
        """Whether the node joined with the token."""
        use = {"token_id": token_id, "node_id": node_id}
        return self._connection.scalar(_JOIN_TOKEN_USE, use) is not None

    def void_join_tokens(self, cluster: str, at: int) -> None:
        """Let the join tokens of a cluster be good no longer than until `at`."""
        self._connection.execute(
            update(_JOIN_TOKENS)
            .where(_JOIN_TOKENS.c.cluster == cluster, _JOIN_TOKENS.c.expires_at > at)
            .values(expires_at=at)
        )
