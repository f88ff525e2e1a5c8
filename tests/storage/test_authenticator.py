"""Who a call comes from: keys, users' tokens, nodes' tokens, and what is remembered of them."""

import asyncio

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from tests.support.access import ORG_ADMIN, Access
from windlass_server.access import authenticator as module
from windlass_server.access.api_keys import API_KEY, JOIN_TOKEN, make
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.policy import PrincipalKind, Role
from windlass_server.errors import Unauthenticated
from windlass_server.storage.engine import Database, T, Work
from windlass_server.storage.guard import acting_as
from windlass_server.storage.tables import NodeRow

SECOND = 1_000_000
NODE_KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)


class Counting:
    """A database that counts its reads, and can be made to wait in them."""

    name = "counting"

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reads = 0
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def read(self, work: Work[T]) -> T:
        self.reads += 1
        answer = await self._database.read(work)
        if self.gate is not None:
            self.entered.set()
            await self.gate.wait()
        return answer

    async def write(self, work: Work[T]) -> T:
        return await self._database.write(work)

    async def close(self) -> None:
        """It is not ours."""


@pytest.fixture
def counting(database: Database) -> Counting:
    return Counting(database)


@pytest.fixture
def checks(counting: Counting, access: Access) -> Authenticator:
    return Authenticator(counting, access.clock, access.secrets.api_key_pepper, access.tokens)


async def a_key(access: Access, lifetime: int | None = None, role: Role = Role.DEVELOPER) -> str:
    with acting_as("test"):
        _, text = await access.service.create_api_key(
            ORG_ADMIN, user="ann", project="", role=role, display_name="", lifetime=lifetime
        )
    return text


def key_id(text: str) -> str:
    return text.split("_")[1]


def node_token(access: Access, node_id: str = "node-1") -> str:
    now = access.clock.now() // SECOND
    claims = {"sub": node_id, "aud": "windlass", "iat": now, "exp": now + 300}
    return jwt.encode(claims, NODE_KEY, "EdDSA", {"typ": "node+jwt"})


async def a_node(database: Database) -> None:
    values = dict.fromkeys(
        ("status", "cpu_millis", "memory_bytes", "cpu_held", "memory_held", "created_at"), 0
    ) | {
        "node_id": "node-1",
        "name": "one",
        "public_key": NODE_KEY.public_key().public_bytes_raw(),
        "status_reason": "",
        "status_message": "",
        "inventory": b"",
        "shrunk": False,
        "last_seen_at": 0,
    }
    with acting_as("test"):
        await database.write(lambda tx: tx.connection.execute(insert(NodeRow), values) and None)


async def reason_of(checks: Authenticator, *values: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await checks.authenticate(values)
    return caught.value.reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "CREDENTIAL_MISSING"),
        (["Bearer a", "Bearer a"], "CREDENTIAL_AMBIGUOUS"),
        ([""], "CREDENTIAL_INVALID"),
        (["Bearer"], "CREDENTIAL_INVALID"),
        (["Bearer "], "CREDENTIAL_INVALID"),
        (["Bearer a b"], "CREDENTIAL_INVALID"),
        (["Bearer  a"], "CREDENTIAL_INVALID"),
        (["Basic YTpi"], "CREDENTIAL_INVALID"),
        (["Bearer a, Bearer b"], "CREDENTIAL_INVALID"),
        (["Bearer \u00e9"], "CREDENTIAL_INVALID"),
        (["Bearer " + "x" * 9000], "CREDENTIAL_INVALID"),
        (["Bearer nonsense"], "CREDENTIAL_INVALID"),
        (["Bearer a.b.c"], "CREDENTIAL_INVALID"),
        ([f"Bearer {make(JOIN_TOKEN).text()}"], "CREDENTIAL_INVALID"),
        (["Bearer wlk_abcDEF012345_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx000000"], "CREDENTIAL_INVALID"),
    ],
)
async def test_what_is_no_credential_is_refused_without_the_database(
    checks: Authenticator, counting: Counting, values: list[str], reason: str
) -> None:
    assert await reason_of(checks, *values) == reason
    assert counting.reads == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_an_api_key_is_its_principal_with_the_keys_role(
    checks: Authenticator, access: Access, scheme: str
) -> None:
    key = await a_key(access)
    caller = await checks.authenticate([f"{scheme} {key}"])
    assert (caller.user, caller.kind) == ("ann", PrincipalKind.USER)
    assert dict(caller.roles) == {"default": Role.DEVELOPER}
    assert caller.organisation_role is None
    assert caller.default_project == "default"
    assert caller.credential_id == key_id(key)


async def test_a_key_carries_no_more_than_its_role(checks: Authenticator, access: Access) -> None:
    """Its principal may be an administrator by another key."""
    viewing = await a_key(access, role=Role.VIEWER)
    await a_key(access, role=Role.ADMIN)
    caller = await checks.authenticate([f"Bearer {viewing}"])
    assert dict(caller.roles) == {"default": Role.VIEWER}


async def test_an_unknown_key_and_a_wrong_secret_are_told_the_same(
    checks: Authenticator, access: Access
) -> None:
    key = await a_key(access)
    other = make(API_KEY)
    forged = type(other)(API_KEY, key_id(key), other.secret).text()
    messages = []
    for text in (other.text(), forged):
        with pytest.raises(Unauthenticated) as caught:
            await checks.authenticate([f"Bearer {text}"])
        messages.append((caught.value.message, caught.value.reason))
    assert messages[0] == messages[1]


async def test_a_token_stands_for_the_key_that_bought_it(
    checks: Authenticator, access: Access
) -> None:
    key = await a_key(access)
    token = (await access.service.create_token(key, None)).text
    by_key = await checks.authenticate([f"Bearer {key}"])
    by_token = await checks.authenticate([f"Bearer {token}"])
    assert by_token == by_key


async def test_a_token_for_another_than_the_keys_principal_is_refused(
    checks: Authenticator, access: Access
) -> None:
    now = access.clock.now()
    key = key_id(await a_key(access))
    forged, _ = access.tokens.issue("admin", key, now=now, until=now + 60 * SECOND)
    assert await reason_of(checks, f"Bearer {forged}") == "CREDENTIAL_INVALID"


async def test_a_node_proves_itself_with_its_own_key(
    checks: Authenticator, access: Access, database: Database
) -> None:
    assert await reason_of(checks, f"Bearer {node_token(access)}") == "CREDENTIAL_INVALID"
    await a_node(database)
    caller = await checks.authenticate([f"Bearer {node_token(access)}"])
    assert (caller.kind, caller.node_id) == (PrincipalKind.NODE, "node-1")
    assert not caller.roles
    assert caller.organisation_role is None
    other = node_token(access, "node-2")
    assert await reason_of(checks, f"Bearer {other}") == "CREDENTIAL_INVALID"


async def test_a_credential_is_remembered_for_5_seconds(
    checks: Authenticator, access: Access, counting: Counting
) -> None:
    value = f"Bearer {await a_key(access)}"
    first = await checks.authenticate([value])
    access.clock.advance(4.9)
    assert await checks.authenticate([value]) is first
    assert counting.reads == 1
    access.clock.advance(0.2)
    await checks.authenticate([value])
    assert counting.reads == 2


async def test_nothing_is_remembered_beyond_its_end(checks: Authenticator, access: Access) -> None:
    key = await a_key(access, lifetime=2 * SECOND)
    token = (await access.service.create_token(key, SECOND)).text
    for value in (key, token):
        await checks.authenticate([f"Bearer {value}"])
    access.clock.advance(1)
    assert await reason_of(checks, f"Bearer {token}") == "CREDENTIAL_EXPIRED"
    await checks.authenticate([f"Bearer {key}"])
    access.clock.advance(1)
    assert await reason_of(checks, f"Bearer {key}") == "CREDENTIAL_EXPIRED"


async def test_revocation_works_at_once_here_and_within_5_seconds_elsewhere(
    checks: Authenticator, access: Access
) -> None:
    """`checks` is another process: nobody tells it."""
    key = await a_key(access)
    token = (await access.service.create_token(key, None)).text
    for value in (key, token):
        await access.authenticator.authenticate([f"Bearer {value}"])
        await checks.authenticate([f"Bearer {value}"])
    with acting_as("test"):
        await access.service.revoke_api_key(ORG_ADMIN, key_id(key))
    for value in (key, token):
        assert await reason_of(access.authenticator, f"Bearer {value}") == "CREDENTIAL_INVALID"
        await checks.authenticate([f"Bearer {value}"])
    access.clock.advance(5)
    for value in (key, token):
        assert await reason_of(checks, f"Bearer {value}") == "CREDENTIAL_INVALID"


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(
    checks: Authenticator, access: Access, counting: Counting
) -> None:
    value = f"Bearer {await a_key(access)}"
    counting.gate = asyncio.Event()
    racing = asyncio.create_task(checks.authenticate([value]))
    await counting.entered.wait()
    checks.forget("another key")
    counting.gate.set()
    await racing
    await checks.authenticate([value])
    assert counting.reads == 2


async def test_bad_credentials_are_not_remembered(
    checks: Authenticator, counting: Counting
) -> None:
    value = f"Bearer {make(API_KEY).text()}"
    for _ in range(2):
        assert await reason_of(checks, value) == "CREDENTIAL_INVALID"
    assert counting.reads == 2
    assert not checks._remembered


async def test_no_more_than_so_many_are_remembered(
    checks: Authenticator, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was not used for the longest time goes."""
    monkeypatch.setattr(module, "_MAX_CREDENTIALS", 2)
    values = [f"Bearer {await a_key(access)}" for _ in range(3)]
    for value in (values[0], values[1], values[0], values[2]):
        await checks.authenticate([value])
    assert list(checks._remembered) == [values[0], values[2]]
