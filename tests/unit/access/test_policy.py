"""Who may do what."""

import itertools

import pytest

from windlass.access.v1 import access_pb2
from windlass.options.v1 import options_pb2
from windlass_server.access import policy
from windlass_server.access.policy import (
    ANYWHERE,
    IN_ORGANISATION,
    IN_PROJECT,
    PERMISSIONS,
    Caller,
    PrincipalKind,
    Role,
    absent,
    may,
    may_anywhere,
    require,
    require_object,
)
from windlass_server.errors import Denied, NotFound

STRANGER = Caller("stranger", roles={"other": Role.ADMIN})
VIEWER = Caller("viewer", roles={"vision": Role.VIEWER})
DEVELOPER = Caller("developer", roles={"vision": Role.DEVELOPER})
ADMIN = Caller("admin of vision", roles={"vision": Role.ADMIN})
ORG_VIEWER = Caller("auditor", organisation_role=Role.VIEWER)
ORG_ADMIN = Caller("admin", organisation_role=Role.ADMIN)
NOBODY = Caller("nobody")
NODE = Caller("node/n", PrincipalKind.NODE, node_id="n")
EVERYONE = [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN, NOBODY, NODE]

# Who may, in project `vision` or, for what is the organisation's, there.
ALLOWED = {
    ("allocations.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("allocations.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("allocations.create", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("artifacts.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("artifacts.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("artifacts.create", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("artifacts.delete", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("sources.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("sources.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("sources.create", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("sources.delete", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("jobs.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("jobs.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("jobs.logs", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("jobs.submit", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("jobs.cancel", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("jobs.profile", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("usage.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("templates.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("templates.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("templates.create", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("templates.update", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("templates.delete", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("quotas.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("quotas.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("quotas.create", ""): [ORG_ADMIN],
    ("quotas.delete", ""): [ORG_ADMIN],
    ("quotas.update", ""): [ORG_ADMIN],
    ("secrets.get", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("secrets.list", "vision"): [VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("jobs.debug", "vision"): [ADMIN, ORG_ADMIN],
    ("secrets.use", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("secrets.write", "vision"): [ADMIN, ORG_ADMIN],
    ("webhooks.get", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("webhooks.list", "vision"): [DEVELOPER, ADMIN, ORG_ADMIN],
    ("webhooks.create", "vision"): [ADMIN, ORG_ADMIN],
    ("webhooks.delete", "vision"): [ADMIN, ORG_ADMIN],
    ("webhooks.update", "vision"): [ADMIN, ORG_ADMIN],
    ("apikeys.create", "vision"): [ADMIN, ORG_ADMIN],
    ("apikeys.list", ""): [ORG_ADMIN],
    ("apikeys.revoke", ""): [ORG_ADMIN],
    ("projects.create", ""): [ORG_ADMIN],
    ("clusters.create", ""): [ORG_ADMIN],
    ("clusters.delete", ""): [ORG_ADMIN],
    ("clusters.update", ""): [ORG_ADMIN],
    ("clusters.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("clusters.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("nodes.delete", ""): [ORG_ADMIN],
    ("pools.create", ""): [ORG_ADMIN],
    ("pools.delete", ""): [ORG_ADMIN],
    ("pools.update", ""): [ORG_ADMIN],
    ("pools.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("pools.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("queues.create", ""): [ORG_ADMIN],
    ("queues.delete", ""): [ORG_ADMIN],
    ("queues.update", ""): [ORG_ADMIN],
    ("queues.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("queues.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("nodes.join", ""): [ORG_ADMIN],
    ("nodes.cordon", ""): [ORG_ADMIN],
    ("nodes.drain", ""): [ORG_ADMIN],
    ("reservations.cancel", ""): [ORG_ADMIN],
    ("reservations.create", ""): [ORG_ADMIN],
    ("reservations.update", ""): [ORG_ADMIN],
    ("reservations.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("reservations.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("system.reflect", ""): [ORG_ADMIN],
    ("system.metrics", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("prices.set", ""): [ORG_ADMIN],
    ("simulations.run", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("policies.update", ""): [ORG_ADMIN],
    ("policies.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("policies.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("prices.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("nodes.get", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("nodes.list", ""): [STRANGER, VIEWER, DEVELOPER, ADMIN, ORG_VIEWER, ORG_ADMIN],
    ("jobs.destroy", "vision"): [],
    ("", "vision"): [],
}


@pytest.mark.parametrize(("permission", "project"), ALLOWED)
def test_who_may(permission: str, project: str) -> None:
    allowed = ALLOWED[permission, project]
    assert [one.user for one in EVERYONE if may(one, permission, project)] == [
        one.user for one in allowed
    ]


def test_the_table_above_names_every_permission() -> None:
    assert {permission for permission, _ in ALLOWED} - {"", "jobs.destroy"} == PERMISSIONS


def test_a_role_in_a_project_is_none_in_the_organisation() -> None:
    """Also not for an administrator of the project that has no name."""
    for permission in PERMISSIONS - ANYWHERE:
        assert not may(ADMIN, permission, "")
        assert not may(STRANGER, permission, "vision")


def test_each_role_contains_the_ones_before() -> None:
    for table in (IN_PROJECT, IN_ORGANISATION):
        for lower, higher in itertools.pairwise(sorted(Role)):
            assert table[lower] <= table[higher]


def test_roles_only_add() -> None:
    both = Caller("both", roles={"vision": Role.VIEWER}, organisation_role=Role.DEVELOPER)
    assert may(both, "jobs.submit", "vision")
    other = Caller("other", roles={"vision": Role.ADMIN}, organisation_role=Role.VIEWER)
    assert may(other, "apikeys.create", "vision")
    assert not may(other, "apikeys.create", "speech")


def test_anywhere_means_in_any_place() -> None:
    assert may_anywhere(DEVELOPER, "jobs.submit")
    assert not may_anywhere(VIEWER, "jobs.submit")
    assert may_anywhere(ORG_ADMIN, "jobs.submit")
    assert not may_anywhere(NODE, "nodes.get")


def test_a_denial_says_what_is_lacking() -> None:
    with pytest.raises(Denied) as caught:
        require(VIEWER, "jobs.submit", "vision")
    assert caught.value.reason == "PERMISSION_DENIED"
    assert caught.value.metadata == {"permission": "jobs.submit", "project": "vision"}
    require(DEVELOPER, "jobs.submit", "vision")


def test_a_foreign_object_is_exactly_as_an_absent_one() -> None:
    gone = absent("job", "job-1")
    for stranger in (STRANGER, NOBODY, NODE):
        with pytest.raises(NotFound) as caught:
            require_object(stranger, "jobs.get", "vision", kind="job", object_id="job-1")
        assert type(caught.value) is type(gone)
        assert vars(caught.value) == vars(gone)
        assert caught.value.args == gone.args
    assert gone.reason == "JOB_NOT_FOUND"
    assert gone.metadata == {"kind": "job", "id": "job-1"}


def test_who_may_see_an_object_is_told_what_it_may_not_do() -> None:
    with pytest.raises(Denied):
        require_object(VIEWER, "jobs.cancel", "vision", kind="job", object_id="job-1")
    require_object(DEVELOPER, "jobs.cancel", "vision", kind="job", object_id="job-1")


def test_roles_are_the_contracts() -> None:
    assert {role.name: int(role) for role in Role} == {
        name: number for name, number in access_pb2.Role.items() if number
    }


def test_the_contract_names_no_permission_that_is_not_in_the_table() -> None:
    named = set(permissions_of_the_contract())
    assert len(named) > 5
    assert named <= policy.PERMISSIONS


def permissions_of_the_contract() -> list[str]:
    from windlass.access.v1 import access_service_pb2
    from windlass.agents.v1 import agents_service_pb2
    from windlass.jobs.v1 import jobs_service_pb2
    from windlass.resources.v1 import resources_service_pb2
    from windlass.system.v1 import system_service_pb2

    files = [
        access_service_pb2,
        agents_service_pb2,
        jobs_service_pb2,
        resources_service_pb2,
        system_service_pb2,
    ]
    return [
        permission
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if (permission := method.GetOptions().Extensions[options_pb2.authz].permission)
    ]
