"""Who may do what: the one table of roles, and the pure functions that read it.

A role is held in a project or, when the project is empty, in the whole organisation, which is then
the same as in each of its projects. Roles only add; what no role gives is denied, also to an
administrator, so that a misspelt permission opens nothing.

Permissions differ in where they must be held:

- **in the object's project**, such as `jobs.get`: a role there, or in the organisation;
- **in the organisation**, such as `projects.create`: a role in the organisation and nowhere less;
- **anywhere**, such as `nodes.get` and `nodes.list`: nodes are shared by all projects, so whoever
  has a role in any project may see them.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from windlass_server.errors import Denied, NotFound

# The "project" of what belongs to no project.
ORGANISATION = ""


class Role(enum.IntEnum):
    """As `access.v1.Role`: each contains the ones before it."""

    VIEWER = 1
    DEVELOPER = 2
    ADMIN = 3


class PrincipalKind(enum.Enum):
    """Kinds of principal."""

    USER = "user"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a call comes from, as its credential proved. A node has no roles.

    Attributes:
        user: the principal; for a node `node/<node id>`.
        kind: what sort of principal it is.
        node_id: the node; empty for users.
        default_project: the project of a request that names none.
        roles: its role in each project, as far as this credential carries it.
        organisation_role: its role in the whole organisation, if any.
        credential_id: the API key behind the call (also behind a token), or the node's id.
    """

    user: str
    kind: PrincipalKind = PrincipalKind.USER
    node_id: str = ""
    default_project: str = ""
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    organisation_role: Role | None = None
    credential_id: str = ""


_VIEWER = frozenset(
    {
        "allocations.get",
        "allocations.list",
        "artifacts.get",
        "artifacts.list",
        "jobs.get",
        "jobs.list",
        "jobs.logs",
        "quotas.get",
        "quotas.list",
        "templates.get",
        "templates.list",
        "secrets.get",
        "secrets.list",
        "sources.get",
        "sources.list",
        "usage.get",
    }
)
# Of webhooks viewers see nothing: a URL may be all that a receiver asks of who tells it something.
_DEVELOPER = _VIEWER | {
    "allocations.create",
    "artifacts.create",
    "artifacts.delete",
    "jobs.cancel",
    "jobs.profile",
    "jobs.submit",
    "templates.create",
    "templates.delete",
    "templates.update",
    "secrets.use",
    "sources.create",
    "sources.delete",
    "webhooks.get",
    "webhooks.list",
}
_ADMIN = _DEVELOPER | {
    "apikeys.create",
    "jobs.debug",
    "secrets.write",
    "webhooks.create",
    "webhooks.delete",
    "webhooks.update",
}
_ORGANISATION_ADMIN = frozenset(
    {
        "apikeys.list",
        "apikeys.revoke",
        "clusters.create",
        "clusters.delete",
        "clusters.update",
        "nodes.cordon",
        "nodes.delete",
        "nodes.drain",
        "nodes.join",
        "policies.update",
        "prices.set",
        "queues.create",
        "queues.delete",
        "queues.update",
        "pools.create",
        "pools.delete",
        "pools.update",
        "projects.create",
        "quotas.create",
        "quotas.delete",
        "quotas.update",
        "reservations.cancel",
        "reservations.create",
        "reservations.update",
        "system.reflect",
    }
)

IN_PROJECT: Mapping[Role, frozenset[str]] = MappingProxyType(
    {Role.VIEWER: _VIEWER, Role.DEVELOPER: _DEVELOPER, Role.ADMIN: _ADMIN}
)
IN_ORGANISATION: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        Role.VIEWER: frozenset(),
        Role.DEVELOPER: frozenset(),
        Role.ADMIN: _ORGANISATION_ADMIN,
    }
)
ANYWHERE = frozenset(
    {
        "clusters.get",
        "clusters.list",
        "nodes.get",
        "nodes.list",
        "policies.get",
        "policies.list",
        "pools.get",
        "pools.list",
        "prices.list",
        "queues.get",
        "queues.list",
        "system.metrics",
        "reservations.get",
        "reservations.list",
        "simulations.run",
    }
)
# Every permission there is; the contract may name no other.
PERMISSIONS = _ADMIN | IN_ORGANISATION[Role.ADMIN] | ANYWHERE


def role_in(caller: Caller, project: str) -> Role | None:
    """The caller's role in a project (empty: in the organisation); None without one.

    A role in the organisation is one in each of its projects.
    """
    here = caller.roles.get(project)
    everywhere = caller.organisation_role
    if here is None or everywhere is None:
        return here or everywhere
    return max(here, everywhere)


def may(caller: Caller, permission: str, project: str) -> bool:
    """Whether the caller holds the permission in the project (empty: in the organisation)."""
    if permission in ANYWHERE:
        return bool(caller.roles) or caller.organisation_role is not None
    everywhere = caller.organisation_role
    if everywhere is not None and permission in IN_ORGANISATION[everywhere]:
        return True
    role = role_in(caller, project)
    return role is not None and permission in IN_PROJECT[role]


def may_anywhere(caller: Caller, permission: str) -> bool:
    """Whether the caller holds the permission in any place at all, for a first cheap refusal."""
    if may(caller, permission, ORGANISATION):
        return True
    return any(may(caller, permission, project) for project in caller.roles)


def require(caller: Caller, permission: str, project: str) -> None:
    """Do nothing when the caller holds the permission there.

    Says the same of a project that does not exist as of one that the caller has no part in.

    Raises:
        Denied: it does not.
    """
    if may(caller, permission, project):
        return
    where = f"in project {project!r}" if project else "in the organisation"
    message = f"you lack the permission {permission} {where}"
    raise Denied(message, reason="PERMISSION_DENIED", permission=permission, project=project)


def require_object(
    caller: Caller, permission: str, project: str, *, kind: str, object_id: str
) -> None:
    """Do nothing when the caller holds the permission in the project of a loaded object.

    Args:
        caller: who asks.
        permission: what for.
        project: where the object lives.
        kind: what it is, such as `job`.
        object_id: its id, as the caller wrote it.

    Raises:
        NotFound: the caller has no role there and may not learn that the object exists.
        Denied: it may see the object, but not do this.
    """
    if role_in(caller, project) is None:
        raise absent(kind, object_id)
    require(caller, permission, project)


def absent(kind: str, object_id: str) -> NotFound:
    """The one answer for an object that is not there and for one that the caller may not see."""
    message = f"there is no {kind} {object_id!r}"
    reason = f"{kind.upper().replace(' ', '_')}_NOT_FOUND"
    return NotFound(message, reason=reason, kind=kind, id=object_id)
