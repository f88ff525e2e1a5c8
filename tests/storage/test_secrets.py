"""Secrets of projects, and the jobs that ask for them, on both engines."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ADA
from tests.support.secrets import KEY, secrets_service
from tests.support.waiting_jobs import Waiting
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.access import project_secrets
from windlass_server.access.keyring import Keyring
from windlass_server.access.policy import Caller, Role
from windlass_server.access.project_secrets import SecretsService
from windlass_server.access.project_secrets_rpc import secret_message
from windlass_server.errors import (
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    WindlassError,
    WrongState,
)
from windlass_server.jobs.retrying import Retry
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

VIEWER = Caller("vera", default_project="default", roles={"default": Role.VIEWER})
DEVELOPER = Caller("dave", default_project="default", roles={"default": Role.DEVELOPER})


@dataclass
class World:
    """Jobs that wait, and the secrets of their projects."""

    waiting: Waiting
    secrets: SecretsService

    async def put(self, name: str, value: bytes = b"hunter2", project: str = "default") -> int:
        return (await self.secrets.put(ADMIN, project, name, value)).row.version

    async def submit(self, who: Caller = ADA, **asked: job_pb2.SecretReference) -> str:
        spec = self.waiting.spec()
        for variable, reference in asked.items():
            spec.environment.secrets[variable].CopyFrom(reference)
        return (await self.waiting.jobs.submit(who, spec)).job_id

    async def told(self, job_id: str) -> agent_pb2.RunDirective:
        """What the node of a job that was placed is told of its run."""
        job = await self.waiting.world.cycle(job_id)
        directives = await self.waiting.world.runs.directives(job.node_id)
        return next(one for one in directives if one.run_id == job.run_id)

    async def ended(self, job_id: str) -> tuple[str, str, str]:
        job = await self.waiting.job(job_id)
        return Status(job.status).name, job.status_reason, job.status_message


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    waiting = await Waiting.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "vision"))
    inventory = an_inventory()
    inventory.takes_secrets = True
    await say_hello(waiting, inventory)
    return World(waiting, secrets_service(database, waiting.clock))


async def say_hello(waiting: Waiting, inventory: agent_pb2.Inventory) -> None:
    world = waiting.world
    (node_id,) = await world.database.read(lambda tx: [one.node_id for one in tx.nodes.all()])
    await world.database.write(lambda tx: world.store_hello(tx, node_id, inventory))


def of(name: str, version: int = 0, *, file: bool = False) -> job_pb2.SecretReference:
    return job_pb2.SecretReference(name=name, version=version, file=file)


async def test_what_is_told_of_a_secret_is_everything_but_its_value(world: World):
    await world.put("token", b"first")
    world.waiting.clock.advance(10)
    made = secret_message(await world.secrets.put(ADMIN, "default", "token", b"second-value"))
    assert (made.version, made.size_bytes, made.user, made.etag) == (2, 12, "admin", "2")
    assert made.update_time.ToMicroseconds() - made.create_time.ToMicroseconds() == 10_000_000
    assert [(one.version, one.size_bytes) for one in made.versions] == [(2, 12), (1, 5)]
    assert secret_message(await world.secrets.get(VIEWER, "default", "token")) == made
    assert b"second" not in made.SerializeToString()
    events = await world.waiting.events(made.secret_id)
    assert [(one.actor, one.reason, one.message) for one in events] == [
        ("admin", "SECRET_CREATED", "secret token, version 1"),
        ("admin", "SECRET_UPDATED", "secret token, version 2"),
    ]


async def test_ten_versions_are_kept(world: World):
    for number in range(12):
        await world.put("token", b"%d" % number)
    found = await world.secrets.get(ADMIN, "default", "token")
    assert [one.version for one in found.versions] == list(range(12, 2, -1))
    with pytest.raises(NotFound):
        await world.submit(TOKEN=of("token", 2))


async def test_a_deleted_secret_is_gone_and_one_made_anew_goes_on_counting(world: World):
    await world.put("token")
    await world.put("token")
    await world.secrets.delete(ADMIN, "default", "token")
    for call in (world.secrets.get, world.secrets.delete):
        with pytest.raises(NotFound) as caught:
            await call(ADMIN, "default", "token")
        assert caught.value.reason == "SECRET_NOT_FOUND"
    assert (await world.secrets.list(ADMIN, "default", size=0, token=""))[0] == []
    assert await world.put("token") == 3
    assert [
        one.version for one in (await world.secrets.get(ADMIN, "default", "token")).versions
    ] == [3]


async def test_lists_are_by_name_and_of_one_project(world: World):
    for name in ("b", "a", "c"):
        await world.put(name)
    await world.put("foreign", project="vision")
    names, token = [], ""
    while True:
        page, token = await world.secrets.list(VIEWER, "default", size=2, token=token)
        names += [one.row.name for one in page]
        if not token:
            break
    assert names == ["a", "b", "c"]


async def test_who_may_do_what(world: World):
    await world.put("token")
    for who in (VIEWER, DEVELOPER):
        with pytest.raises(Denied):
            await world.secrets.put(who, "default", "token", b"x")
        with pytest.raises(Denied):
            await world.secrets.delete(who, "default", "token")
        with pytest.raises(Denied):
            await world.secrets.get(who, "vision", "token")
    assert await world.submit(DEVELOPER, TOKEN=of("token"))
    with pytest.raises(NotFound):
        await world.secrets.put(ADMIN, "absent", "token", b"x")


async def test_an_etag_guards_a_secret_and_the_absence_of_one(world: World):
    with pytest.raises(Conflict):
        await world.secrets.put(ADMIN, "default", "token", b"x", etag="1")
    await world.secrets.put(ADMIN, "default", "token", b"x", etag="0")
    with pytest.raises(Conflict):
        await world.secrets.put(ADMIN, "default", "token", b"x", etag="0")
    with pytest.raises(Conflict):
        await world.secrets.delete(ADMIN, "default", "token", etag="2")
    await world.secrets.delete(ADMIN, "default", "token", etag="1")


async def test_a_project_has_no_more_secrets_than_it_can(world: World, monkeypatch):
    monkeypatch.setattr(project_secrets, "MAX_SECRETS", 2)
    await world.put("a")
    await world.put("b")
    with pytest.raises(WrongState) as caught:
        await world.put("c")
    assert caught.value.reason == "TOO_MANY_SECRETS"
    await world.put("a")
    await world.secrets.delete(ADMIN, "default", "b")
    await world.put("c")


async def test_values_are_sealed_anew_under_another_key_and_open_then(world: World):
    database, clock = world.waiting.world.database, world.waiting.clock
    for name in ("a", "b"):
        await world.put(name, name.encode())
    new = b"n" * 32
    rotated = secrets_service(database, clock, [new, KEY])
    assert await rotated.seal_anew() == 2
    assert await rotated.seal_anew() == 0
    alone = secrets_service(database, clock, [new])
    for name in ("a", "b"):
        (version,) = (await alone.get(ADMIN, "default", name)).versions
        assert (version.key_id, alone.opened(version)) == (Keyring([new]).current, name.encode())
    # What cannot be opened stays as it is.
    assert await world.secrets.seal_anew() == 0


@pytest.mark.parametrize(
    ("asked", "kind", "reason"),
    [
        (of("absent"), NotFound, "SECRET_NOT_FOUND"),
        (of("foreign"), NotFound, "SECRET_NOT_FOUND"),
        (of("token", 2), NotFound, "SECRET_NOT_FOUND"),
        (of("binary"), InvalidInput, "SECRET_NOT_TEXT"),
    ],
)
async def test_a_job_is_refused_that_asks_for_what_it_cannot_have(world, asked, kind, reason):
    await world.put("token")
    await world.put("binary", b"a\0b")
    await world.put("foreign", project="vision")
    with pytest.raises(kind) as caught:
        await world.submit(TOKEN=asked)
    assert caught.value.reason == reason
    assert isinstance(caught.value, WindlassError)


async def test_secrets_that_are_too_large_together_are_refused(world: World):
    await world.put("large", b"x" * 65536)
    with pytest.raises(InvalidInput) as caught:
        await world.submit(**{f"V{number}": of("large") for number in range(17)})
    assert caught.value.reason == "SECRETS_TOO_LARGE"
    assert await world.submit(**{f"V{number}": of("large") for number in range(16)})


async def test_a_node_is_given_the_values_of_when_the_run_starts_and_not_again(world: World):
    await world.put("token", b"first")
    await world.put("binary", b"a\0b")
    job_id = await world.submit(NEW=of("token"), OLD=of("token", 1), KEY=of("binary", file=True))
    await world.put("token", b"second")
    given = (await world.told(job_id)).spec.secrets
    assert [(one.variable, one.value, one.file) for one in given] == [
        ("KEY", b"a\0b", True),
        ("NEW", b"second", False),
        ("OLD", b"first", False),
    ]
    await world.waiting.world.report(job_id, "RUNNING")
    assert not (await world.told(job_id)).spec.secrets
    stored = (await world.waiting.job(job_id)).spec
    assert b"second" not in stored
    # A retry looks again.
    await world.waiting.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=1)
    again = await world.waiting.retries.retry(ADA, Retry(job_id))
    await world.put("token", b"third")
    assert (await world.told(again.job_id)).spec.secrets[1].value == b"third"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("delete", "secret 'token' is not there any more"),
        ("binary", "secret 'token' has a NUL now, which no variable can hold"),
        ("key", "version 1 of secret 'token' is encrypted under key"),
    ],
)
async def test_a_job_whose_secret_is_gone_when_it_would_start_fails(world, spoil, why):
    await world.put("token")
    job_id = await world.submit(TOKEN=of("token"))
    database, clock = world.waiting.world.database, world.waiting.clock
    if spoil == "delete":
        await world.secrets.delete(ADMIN, "default", "token")
    elif spoil == "binary":
        await world.put("token", b"\0")
    else:
        await secrets_service(database, clock, [b"n" * 32, KEY]).seal_anew()
    job = await world.waiting.world.cycle(job_id)
    assert await world.waiting.world.runs.directives(job.node_id) == []
    status, reason, message = await world.ended(job_id)
    assert (status, reason) == ("FAILED", "SECRET_UNAVAILABLE")
    assert message.startswith(why)
    # Its node is told to stop what it may have heard of.
    (told,) = await world.waiting.world.runs.directives(job.node_id)
    assert (told.run_id, told.want) == (job.run_id, agent_pb2.RunDirective.STOPPED)
    (run,) = await database.read(lambda tx: tx.runs.of_job(job_id))
    assert not run.active


async def test_a_node_that_is_too_old_to_be_given_secrets_is_not_given_the_run(world: World):
    await world.put("token")
    job_id = await world.submit(TOKEN=of("token"))
    await say_hello(world.waiting, an_inventory())
    job = await world.waiting.world.cycle(job_id)
    assert await world.waiting.world.runs.directives(job.node_id) == []
    status, reason, message = await world.ended(job_id)
    assert (status, reason) == ("QUEUED", "LAUNCH_FAILED")
    assert "too old" in message
