"""What the access API does, on both engines."""

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.support.access import ORG_ADMIN, Access
from tests.support.quotas import quotas_service
from tests.support.secrets import secrets_service
from tests.support.webhooks import webhooks_services
from windlass.access.v1 import access_pb2
from windlass.access.v1 import access_service_pb2 as pb
from windlass_server.access.events import EventsService
from windlass_server.access.policy import Caller, Role, absent
from windlass_server.access.rpc import AccessRpc, caller_to_proto
from windlass_server.errors import AlreadyExists, Denied, InvalidInput, NotFound, Unauthenticated
from windlass_server.hub import EventHub
from windlass_server.rpc.call import Call
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import ApiKeyRow
from windlass_server.timestamps import from_proto

pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
LEADER = Caller("leader", default_project="default", roles={"default": Role.ADMIN})
DEVELOPER = Caller("dev", default_project="default", roles={"default": Role.DEVELOPER})


async def key_for(
    access: Access,
    caller: Caller = ORG_ADMIN,
    *,
    user: str = "ann",
    project: str = "default",
    role: int = Role.DEVELOPER,
    lifetime: int | None = None,
) -> tuple[ApiKeyRow, str]:
    return await access.service.create_api_key(
        caller, user=user, project=project, role=role, display_name="", lifetime=lifetime
    )


async def test_a_project_is_made_once(access: Access) -> None:
    made = await access.service.create_project(ORG_ADMIN, "vision", "Vision")
    assert (made.project, made.display_name) == ("vision", "Vision")
    assert made.created_at == access.clock.now()
    with pytest.raises(AlreadyExists) as caught:
        await access.service.create_project(ORG_ADMIN, "vision", "Other")
    assert caught.value.reason == "PROJECT_EXISTS"
    with pytest.raises(Denied):
        await access.service.create_project(LEADER, "speech", "")


async def names(access: Access, caller: Caller, size: int = 2) -> list[list[str]]:
    """All pages of the list of projects."""
    pages, token = [], ""
    while True:
        rows, token = await access.service.list_projects(caller, size=size, page_token=token)
        pages.append([row.project for row in rows])
        if not token:
            return pages


async def test_a_caller_lists_the_projects_it_has_a_part_in(access: Access) -> None:
    for project in ("a", "b", "z"):
        await access.service.create_project(ORG_ADMIN, project, "")
    assert await names(access, ORG_ADMIN) == [["a", "b"], ["default", "z"]]
    assert await names(access, LEADER) == [["default"]]
    assert await names(access, Caller("nobody")) == [[]]
    assert await names(access, Caller("x", roles={"z": Role.VIEWER, "gone": Role.VIEWER})) == [
        ["z"]
    ]


async def test_a_page_token_of_another_caller_is_refused(access: Access) -> None:
    await access.service.create_project(ORG_ADMIN, "a", "")
    _, token = await access.service.list_projects(ORG_ADMIN, size=1, page_token="")
    with pytest.raises(InvalidInput):
        await access.service.list_projects(LEADER, size=1, page_token=token)
    with pytest.raises(InvalidInput):
        await access.service.list_api_keys(ORG_ADMIN, size=1, page_token=token)


async def test_a_key_is_made_with_its_principal(access: Access, database: Database) -> None:
    key, text = await key_for(access, LEADER, project="", lifetime=SECOND)
    assert (key.user, key.project, key.role) == ("ann", "default", Role.DEVELOPER)
    assert key.expires_at == access.clock.now() + SECOND
    assert key.secret_digest not in text.encode()
    assert await database.read(lambda tx: tx.access.role("ann", "default")) == Role.DEVELOPER


async def test_nobody_gives_more_than_it_has(access: Access) -> None:
    await access.service.create_project(ORG_ADMIN, "vision", "")
    both = Caller("both", roles={"default": Role.ADMIN, "vision": Role.VIEWER})
    for caller, project, user, reason in [
        (DEVELOPER, "default", "ann", "PERMISSION_DENIED"),
        (both, "vision", "ann", "PERMISSION_DENIED"),
        # A key in the administrator's name would speak for the administrator.
        (LEADER, "default", "admin", "ROLE_TOO_HIGH"),
    ]:
        with pytest.raises(Denied) as caught:
            await key_for(access, caller, project=project, user=user, role=Role.VIEWER)
        assert caught.value.reason == reason
    with pytest.raises(Denied):
        await key_for(access, ORG_ADMIN, role=Role.ADMIN + 1)
    await key_for(access, ORG_ADMIN, user="admin", role=Role.VIEWER)


async def test_a_foreign_project_is_as_an_absent_one(access: Access) -> None:
    await access.service.create_project(ORG_ADMIN, "vision", "")
    for caller, project in [(LEADER, "vision"), (LEADER, "nowhere"), (ORG_ADMIN, "nowhere")]:
        with pytest.raises(NotFound) as caught:
            await key_for(access, caller, project=project)
        assert vars(caught.value) == vars(absent("project", project))


async def test_keys_are_listed_newest_first_without_secrets(access: Access) -> None:
    made = []
    for _ in range(3):
        access.clock.advance(1)
        made.append((await key_for(access))[0].key_id)
    rows, token = await access.service.list_api_keys(ORG_ADMIN, size=2, page_token="")
    assert [row.key_id for row in rows] == made[:0:-1]
    rows, token = await access.service.list_api_keys(ORG_ADMIN, size=2, page_token=token)
    assert (rows[0].key_id, rows[1].user, token) == (made[0], "admin", "")
    with pytest.raises(Denied):
        await access.service.list_api_keys(LEADER, size=2, page_token="")


async def test_revoking_twice_changes_nothing(access: Access) -> None:
    key, _ = await key_for(access)
    first = await access.service.revoke_api_key(ORG_ADMIN, key.key_id)
    access.clock.advance(1)
    again = await access.service.revoke_api_key(ORG_ADMIN, key.key_id)
    assert first.revoked_at == again.revoked_at == access.clock.now() - SECOND
    with pytest.raises(NotFound):
        await access.service.revoke_api_key(ORG_ADMIN, "nothing")
    with pytest.raises(Denied):
        await access.service.revoke_api_key(LEADER, key.key_id)


@pytest.mark.parametrize(
    ("lifetime", "key_lifetime", "seconds"),
    [
        (None, None, 900),
        (60 * SECOND, None, 60),
        (3600 * SECOND, None, 900),
        (None, 100 * SECOND, 100),
    ],
)
async def test_a_token_lasts_as_asked_within_bounds(
    access: Access, lifetime: int | None, key_lifetime: int | None, seconds: int
) -> None:
    _, text = await key_for(access, lifetime=key_lifetime)
    issued = await access.service.create_token(text, lifetime)
    assert issued.expires_at == access.clock.now() + seconds * SECOND


async def test_a_token_buys_no_token(access: Access) -> None:
    token = (await access.service.create_token(access.admin_key, None)).text
    with pytest.raises(Unauthenticated):
        await access.service.create_token(token, None)


async def test_a_join_token_is_good_once(access: Access, database: Database) -> None:
    issued = await access.service.create_join_token(ORG_ADMIN, None)
    assert issued.expires_at == access.clock.now() + 3600 * SECOND
    now, service = access.clock.now(), access.service
    assert not await database.read(lambda tx: service.used_join_token(tx, issued.text, "n1"))
    await database.write(lambda tx: service.consume_join_token(tx, issued.text, "n1", now))
    assert await database.read(lambda tx: service.used_join_token(tx, issued.text, "n1"))
    with pytest.raises(Unauthenticated) as caught:
        await database.write(lambda tx: service.consume_join_token(tx, issued.text, "n2", now))
    assert caught.value.reason == "JOIN_TOKEN_USED"
    with pytest.raises(Denied):
        await service.create_join_token(LEADER, None)


async def test_a_join_token_of_a_transaction_that_fails_stays_good(
    access: Access, database: Database
) -> None:
    text = (await access.service.create_join_token(ORG_ADMIN, None)).text

    def fail(tx: object) -> None:
        access.service.consume_join_token(tx, text, "n1", 0)  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    await database.write(lambda tx: access.service.consume_join_token(tx, text, "n2", 0))


@pytest.mark.parametrize(
    ("spoil", "seconds", "reason"),
    [
        (lambda text: text, 10, "JOIN_TOKEN_EXPIRED"),
        (lambda text: text[:-1], 0, "JOIN_TOKEN_INVALID"),
        (lambda text: text.replace("wlj", "wlk"), 0, "JOIN_TOKEN_INVALID"),
        (lambda _: "", 0, "JOIN_TOKEN_INVALID"),
    ],
)
async def test_a_join_token_that_is_not_good_is_refused(
    access: Access, database: Database, spoil: object, seconds: int, reason: str
) -> None:
    issued = await access.service.create_join_token(ORG_ADMIN, 10 * SECOND)
    assert callable(spoil)
    text, now = spoil(issued.text), access.clock.now() + seconds * SECOND
    with pytest.raises(Unauthenticated) as caught:
        await database.write(lambda tx: access.service.consume_join_token(tx, text, "n1", now))
    assert caught.value.reason == reason


def a_call(caller: Caller | None = None, *authorization: str) -> Call:
    call = Call(method=None, metadata={"authorization": authorization})  # type: ignore[arg-type]
    call.authenticated = caller
    return call


def servicer(access: Access, database: Database) -> AccessRpc:
    events = EventsService(database, access.clock, EventHub())
    return AccessRpc(
        access.service,
        quotas_service(database, access.clock),
        events,
        secrets_service(database, access.clock),
        *webhooks_services(database, access.clock),
        access.clock,
    )


async def test_the_servicer_speaks_the_contract(access: Access, database: Database) -> None:
    rpc = servicer(access, database)
    now = access.clock.now()
    made = await rpc.CreateProject(
        pb.CreateProjectRequest(project=pb.NewProject(project="vision", display_name="Vision")),
        a_call(ORG_ADMIN),
    )
    assert (made.project, made.display_name, from_proto(made.create_time)) == (
        "vision",
        "Vision",
        now,
    )
    listed = await rpc.ListProjects(pb.ListProjectsRequest(page_size=1), a_call(ORG_ADMIN))
    assert [one.project for one in listed.projects] == ["default"]
    assert listed.next_page_token
    created = await rpc.CreateApiKey(
        pb.CreateApiKeyRequest(
            user="ann",
            project="vision",
            role=access_pb2.VIEWER,
            display_name="Ann's",
            lifetime=Duration(seconds=60),
        ),
        a_call(ORG_ADMIN),
    )
    assert created.api_key.role == access_pb2.VIEWER
    assert from_proto(created.api_key.expire_time) == now + 60 * SECOND
    assert not created.api_key.HasField("revoke_time")
    keys = await rpc.ListApiKeys(pb.ListApiKeysRequest(), a_call(ORG_ADMIN))
    assert {one.user for one in keys.api_keys} == {"ann", "admin"}
    revoked = await rpc.RevokeApiKey(
        pb.RevokeApiKeyRequest(key_id=created.api_key.key_id), a_call(ORG_ADMIN)
    )
    assert from_proto(revoked.revoke_time) == now


async def test_a_token_is_bought_with_the_body_or_the_header(
    access: Access, database: Database
) -> None:
    rpc = servicer(access, database)
    in_body = pb.CreateTokenRequest(api_key=access.admin_key, lifetime=Duration(seconds=5))
    answers = [
        await rpc.CreateToken(in_body, a_call()),
        await rpc.CreateToken(pb.CreateTokenRequest(), a_call(None, f"Bearer {access.admin_key}")),
    ]
    for answer, seconds in zip(answers, (5, 900), strict=True):
        assert answer.token_type == "Bearer"
        assert from_proto(answer.expire_time) == access.clock.now() + seconds * SECOND
        caller = await access.authenticator.authenticate([f"Bearer {answer.access_token}"])
        told = await rpc.GetCaller(pb.GetCallerRequest(), a_call(caller))
        assert (told.user, told.default_project) == ("admin", "default")
        assert [(one.project, one.role) for one in told.roles] == [("", access_pb2.ADMIN)]
    with pytest.raises(Unauthenticated) as caught:
        await rpc.CreateToken(pb.CreateTokenRequest(), a_call())
    assert caught.value.reason == "CREDENTIAL_MISSING"


def test_a_callers_roles_are_told_by_project() -> None:
    caller = Caller("x", roles={"b": Role.VIEWER, "a": Role.ADMIN}, organisation_role=Role.VIEWER)
    assert [one.project for one in caller_to_proto(caller).roles] == ["", "a", "b"]
