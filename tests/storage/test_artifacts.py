"""Artifacts of jobs on both engines, in a directory and on a real S3 server."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import acting
from tests.support.quotas import set_quota
from tests.support.s3 import BUCKET, reach, s3_server
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import (
    Conflict,
    Exhausted,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    WrongState,
)
from windlass_server.ids import IdSource
from windlass_server.jobs import artifact_rules
from windlass_server.jobs.artifact_content import ArtifactContent
from windlass_server.jobs.artifact_message import artifact_message
from windlass_server.jobs.artifacts import ArtifactsService, NewArtifact
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.storage.artifacts import ArtifactFilter
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

DEVELOPER = Caller("ann", roles={"default": Role.DEVELOPER})
VIEWER = Caller("eve", roles={"default": Role.VIEWER})
STRANGER = Caller("bob", roles={"other": Role.ADMIN})
PART = 8
HOUR = 3_600_000_000


class World(ScheduledWorld):
    """A cluster whose jobs have artifacts, in parts of 8 bytes."""

    folder: Path
    store: ObjectStore
    made_ids: IdSource

    def service(self, *, max_bytes: int = 1000, store: ObjectStore | None = None) -> Any:
        ids = self.made_ids
        content = ArtifactContent(
            self.database,
            store or self.store,
            self.clock,
            ids,
            max_bytes=max_bytes,
            part_bytes=PART,
        )
        tokens = PageTokens(b"page")
        return ArtifactsService(self.database, content, self.clock, ids, tokens, idle=HOUR)

    async def upload(self, job_id: str, name: str, content: bytes, **new: Any) -> Any:
        return await self.service().upload(
            DEVELOPER, job_id, NewArtifact(name, **new), pieces(content)
        )

    async def read(self, row: Any, first: int = 0, length: int | None = None) -> bytes:
        size = row.size_bytes - first if length is None else length
        return b"".join([piece async for piece in self.service().content(row, first, size)])

    async def names(self, job_id: str, **wanted: Any) -> list[tuple[str, int | None]]:
        rows, _ = await self.service().list(
            VIEWER, ArtifactFilter(job_id, **wanted), size=0, token=""
        )
        return [(row.name, row.version) for row in rows]

    async def objects(self) -> int:
        return len(await self.store.sizes("artifacts"))

    async def events(self, job_id: str) -> list[str]:
        rows = await self.database.read(lambda tx: tx.events.page(job_id, after=0, size=99))
        return [row.reason for row in rows]


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def broken(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece
    raise EOFError


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "s3"])
async def world(
    request: pytest.FixtureRequest,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    acting: None,
) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    world.folder = tmp_path
    world.made_ids = IdSource(world.clock)
    if request.param == "s3":
        reach(request.getfixturevalue("endpoint"), monkeypatch)
        world.store = ObjectStore.open(f"s3://{BUCKET}/{tmp_path.name}", tmp_path)
    else:
        world.store = ObjectStore.open("", tmp_path / "objects")
    yield world
    await world.logs.close()


@pytest.fixture
async def job_id(world: World) -> str:
    return str(await world.add_job())


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 5 * PART, 5 * PART + 3])
async def test_what_is_uploaded_is_read_as_it_was_from_any_place_on(
    world: World, job_id: str, size: int
):
    content = bytes(range(size))
    row = await world.upload(job_id, "a/b.bin", content, metadata={"step": "3"})
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert await world.objects() == -(-size // PART)
    for first in range(size + 1):
        assert await world.read(row, first) == content[first:]
        assert (
            await world.read(row, first, (size - first) // 2)
            == content[first:][: (size - first) // 2]
        )
    message = artifact_message(row)
    assert (message.name, message.version, message.size_bytes) == ("a/b.bin", 1, size)
    assert (message.user, dict(message.metadata)) == ("ann", {"step": "3"})
    assert "ARTIFACT_ADDED" in await world.events(job_id)


async def test_the_same_name_again_is_the_next_version(world: World, job_id: str):
    first = await world.upload(job_id, "m.pt", b"one")
    await world.upload(job_id, "n.pt", b"other")
    second = await world.upload(job_id, "m.pt", b"two")
    assert (first.version, second.version) == (1, 2)
    assert await world.names(job_id) == [("m.pt", 2), ("n.pt", 1), ("m.pt", 1)]
    assert await world.names(job_id, name="m.pt") == [("m.pt", 2), ("m.pt", 1)]
    assert await world.names(job_id, type=int(artifact_rules.Type.PLOT)) == []


async def test_lists_come_in_pages(world: World, job_id: str):
    for number in range(5):
        await world.upload(job_id, f"{number}", b"x")
    seen, token = [], ""
    while True:
        rows, token = await world.service().list(
            VIEWER, ArtifactFilter(job_id), size=2, token=token
        )
        seen += [row.name for row in rows]
        if not token:
            break
    assert seen == ["4", "3", "2", "1", "0"]


async def test_an_upload_that_breaks_off_leaves_nothing(world: World, job_id: str):
    with pytest.raises(EOFError):
        await world.service().upload(
            DEVELOPER, job_id, NewArtifact("x"), broken(b"a" * (2 * PART + 1))
        )
    assert await world.names(job_id, unfinished=True) == []
    await world.service().remove_unneeded()
    assert await world.objects() == 0
    assert await world.database.read(lambda tx: tx.artifacts.of_run("")) == []


async def test_an_upload_in_several_calls_goes_on_where_it_broke_off(world: World, job_id: str):
    content = bytes(range(4 * PART + 3))
    begun = await world.service().begin(
        DEVELOPER, job_id, NewArtifact("big", size_bytes=len(content))
    )
    with pytest.raises(EOFError):
        await world.service().write(
            DEVELOPER, job_id, begun.artifact_id, 0, broken(content[: 2 * PART + 3])
        )
    there = (await world.service().get(VIEWER, job_id, begun.artifact_id)).size_bytes
    assert there == 2 * PART
    # Another server, or the same one started again, knows of no digest on its way.
    row = await world.service().write(
        DEVELOPER, job_id, begun.artifact_id, there, pieces(content[there:])
    )
    assert row.size_bytes == len(content)
    with pytest.raises(NotFound):
        await world.service().readable(VIEWER, job_id, begun.artifact_id)
    for _ in range(2):
        done = await world.service().finish(
            DEVELOPER, job_id, begun.artifact_id, sha256=hashlib.sha256(content).hexdigest()
        )
    assert (done.version, await world.read(done)) == (1, content)


async def test_bytes_that_do_not_belong_there_are_refused(world: World, job_id: str):
    service = world.service()
    begun = await service.begin(DEVELOPER, job_id, NewArtifact("x"))
    await service.write(DEVELOPER, job_id, begun.artifact_id, 0, pieces(b"abc"))
    for offset in (0, 2, 4):
        with pytest.raises(Conflict) as refused:
            await service.write(DEVELOPER, job_id, begun.artifact_id, offset, pieces(b"d"))
        assert refused.value.reason == "ARTIFACT_OFFSET_DIFFERS"
        assert refused.value.metadata == {"size_bytes": "3"}
    done = await service.finish(DEVELOPER, job_id, begun.artifact_id, sha256="")
    assert await world.read(done) == b"abc"
    with pytest.raises(NotFound):
        await service.write(DEVELOPER, job_id, begun.artifact_id, 3, pieces(b"d"))


async def test_of_two_who_write_at_once_one_is_refused_and_nothing_is_mixed(
    world: World, job_id: str
):
    service = world.service()
    begun = await service.begin(DEVELOPER, job_id, NewArtifact("x"))

    async def overtaken() -> AsyncIterator[bytes]:
        yield b"slow"
        await world.service().write(DEVELOPER, job_id, begun.artifact_id, 0, pieces(b"quick"))

    with pytest.raises(Conflict):
        await service.write(DEVELOPER, job_id, begun.artifact_id, 0, overtaken())
    done = await service.finish(DEVELOPER, job_id, begun.artifact_id, sha256="")
    assert await world.read(done) == b"quick"
    assert done.sha256 == hashlib.sha256(b"quick").hexdigest()
    assert await world.objects() == 1


WRONG: dict[str, tuple[NewArtifact, str]] = {
    "another digest": (NewArtifact("x", sha256="0" * 64), "ARTIFACT_DIGEST_DIFFERS"),
    "too few bytes": (NewArtifact("x", size_bytes=4), "ARTIFACT_SIZE_DIFFERS"),
    "too many bytes": (NewArtifact("x", size_bytes=2), "ARTIFACT_SIZE_DIFFERS"),
    "a name that is none": (NewArtifact("../x"), "ARTIFACT_NAME_INVALID"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_not_what_was_said_is_refused_and_leaves_nothing(
    world: World, job_id: str, case: str
):
    new, reason = WRONG[case]
    with pytest.raises(InvalidInput) as refused:
        await world.service().upload(DEVELOPER, job_id, new, pieces(b"abc"))
    assert refused.value.reason == reason
    assert await world.names(job_id, unfinished=True) == []
    await world.service().remove_unneeded()
    assert await world.objects() == 0


async def test_what_is_too_large_is_refused_before_it_is_stored(world: World, job_id: str):
    service = world.service(max_bytes=20)
    await service.upload(DEVELOPER, job_id, NewArtifact("x"), pieces(b"a" * 20))
    with pytest.raises(InvalidInput) as refused:
        await service.upload(DEVELOPER, job_id, NewArtifact("x"), pieces(b"a" * 21))
    assert refused.value.reason == "ARTIFACT_TOO_LARGE"


async def test_a_job_has_so_many_artifacts_and_no_more(
    world: World, job_id: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(artifact_rules, "MAX_ARTIFACTS", 2)
    first = await world.upload(job_id, "1", b"x")
    await world.upload(job_id, "2", b"x")
    with pytest.raises(WrongState) as refused:
        await world.upload(job_id, "3", b"x")
    assert refused.value.reason == "TOO_MANY_ARTIFACTS"
    await world.service().delete(DEVELOPER, job_id, first.artifact_id)
    await world.upload(job_id, "3", b"x")


async def test_what_is_deleted_is_gone_at_once_and_its_objects_soon(world: World, job_id: str):
    row = await world.upload(job_id, "x", b"a" * 20)
    kept = await world.upload(job_id, "y", b"b")
    gone = await world.service().delete(DEVELOPER, job_id, row.artifact_id)
    assert artifact_message(gone) == artifact_message(row)
    for _ in range(2):
        with pytest.raises(NotFound):
            await world.service().delete(DEVELOPER, job_id, row.artifact_id)
        with pytest.raises(NotFound):
            await world.service().get(VIEWER, job_id, row.artifact_id)
        assert not await world.service().remove_unneeded()
    assert await world.objects() == 1
    assert await world.read(kept) == b"b"
    assert "ARTIFACT_DELETED" in await world.events(job_id)


async def test_an_upload_that_nobody_goes_on_with_is_removed(world: World, job_id: str):
    service = world.service()
    begun = await service.begin(DEVELOPER, job_id, NewArtifact("x"))
    await service.write(DEVELOPER, job_id, begun.artifact_id, 0, pieces(b"abc"))
    world.clock.advance(3599)
    await service.remove_unneeded()
    assert await world.names(job_id, unfinished=True) == [("x", None)]
    world.clock.advance(1)
    await service.remove_unneeded()
    assert await world.names(job_id, unfinished=True) == []
    assert await world.objects() == 0


async def test_a_removal_in_the_midst_of_an_upload_ends_it_and_leaves_nothing(
    world: World, job_id: str
):
    service = world.service()
    begun = await service.begin(DEVELOPER, job_id, NewArtifact("x"))

    async def removed_meanwhile() -> AsyncIterator[bytes]:
        yield b"a" * PART
        await service.delete(DEVELOPER, job_id, begun.artifact_id)
        await service.remove_unneeded()
        yield b"b" * PART

    with pytest.raises(NotFound):
        await service.write(DEVELOPER, job_id, begun.artifact_id, 0, removed_meanwhile())
    assert await world.objects() == 0


async def test_what_the_store_has_lost_is_said_to_be_damaged(world: World, job_id: str):
    row = await world.upload(job_id, "x", b"a" * 20)
    await world.store.remove(f"artifacts/{row.artifact_id}")
    with pytest.raises(NotFound) as refused:
        await world.read(row)
    assert refused.value.reason == "ARTIFACT_DAMAGED"


class FullStore(ObjectStore):
    """A directory on a disk that has no room left."""

    def free_bytes(self) -> int:
        return 0


async def test_a_store_without_room_says_so(world: World, job_id: str):
    service = world.service(store=FullStore.open("", world.folder / "full"))
    with pytest.raises(Exhausted) as refused:
        await service.upload(DEVELOPER, job_id, NewArtifact("x"), pieces(b"abc"))
    assert refused.value.reason == "OBJECT_STORE_FULL"
    assert await world.names(job_id, unfinished=True) == []


CALLS: dict[str, Callable[[Any, Caller, str, str], Any]] = {
    "begin": lambda service, who, job, _: service.begin(who, job, NewArtifact("x")),
    "write": lambda service, who, job, one: service.write(who, job, one, 0, pieces(b"")),
    "finish": lambda service, who, job, one: service.finish(who, job, one, sha256=""),
    "delete": lambda service, who, job, one: service.delete(who, job, one),
    "get": lambda service, who, job, one: service.get(who, job, one),
    "list": lambda service, who, job, _: service.list(who, ArtifactFilter(job), size=0, token=""),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_foreign_job_is_as_absent_as_one_that_is_not_there(
    world: World, job_id: str, name: str
):
    row = await world.upload(job_id, "x", b"abc")
    told = []
    for who, job in ((STRANGER, job_id), (DEVELOPER, "job-none")):
        with pytest.raises(NotFound) as refused:
            await CALLS[name](world.service(), who, job, row.artifact_id)
        told.append((refused.value.reason, refused.value.message.replace(job, "JOB")))
    assert told[0] == told[1]


async def test_an_artifact_belongs_to_its_job_alone(world: World, job_id: str):
    row = await world.upload(job_id, "x", b"abc")
    other = await world.add_job()
    with pytest.raises(NotFound):
        await world.service().get(VIEWER, other, row.artifact_id)


async def used(world: World, quota_id: str) -> int:
    row = await world.database.read(lambda tx: tx.quotas.get(quota_id))
    assert row is not None
    return row.used_artifact_bytes


async def test_a_quota_bounds_the_bytes_of_a_project_and_counts_them(world: World, job_id: str):
    await world.upload(job_id, "before", b"a" * 10)
    quota = await set_quota(world.database, limit={"artifact_bytes": 30})
    assert await used(world, quota) == 10
    second = await world.upload(job_id, "second", b"b" * 18)
    assert await used(world, quota) == 28
    with pytest.raises(QuotaExceeded) as refused:
        await world.upload(job_id, "third", b"c" * 3)
    (violation,) = refused.value.violations
    assert (violation.metric, violation.bound) == ("artifact_bytes", 30)
    assert await used(world, quota) == 28
    await world.service().delete(DEVELOPER, job_id, second.artifact_id)
    assert await used(world, quota) == 10
    await world.upload(job_id, "third", b"c" * 20)
    assert await used(world, quota) == 30


async def test_a_large_upload_is_refused_before_it_is_sent_or_at_the_part_that_is_too_much(
    world: World, job_id: str
):
    quota = await set_quota(world.database, limit={"artifact_bytes": 2 * PART})
    with pytest.raises(QuotaExceeded):
        await world.service().begin(DEVELOPER, job_id, NewArtifact("x", size_bytes=2 * PART + 1))
    begun = await world.service().begin(DEVELOPER, job_id, NewArtifact("x"))
    with pytest.raises(QuotaExceeded):
        await world.service().write(
            DEVELOPER, job_id, begun.artifact_id, 0, pieces(b"a" * (2 * PART + 1))
        )
    # What is there counts until the upload is given up.
    assert await used(world, quota) == 2 * PART
    assert await world.objects() == 2
    await world.service().delete(DEVELOPER, job_id, begun.artifact_id)
    assert await used(world, quota) == 0


async def test_a_broken_upload_counts_no_more(world: World, job_id: str):
    quota = await set_quota(world.database, limit={"artifact_bytes": 100})
    with pytest.raises(EOFError):
        await world.service().upload(DEVELOPER, job_id, NewArtifact("x"), broken(b"a" * 20))
    assert await used(world, quota) == 0


async def test_a_users_quota_counts_what_that_user_uploaded(world: World, job_id: str):
    await world.upload(job_id, "before", b"a" * 10)
    mine = await set_quota(world.database, user="ann", limit={"artifact_bytes": 12})
    other = await set_quota(world.database, user="zoe", limit={"artifact_bytes": 1})
    assert (await used(world, mine), await used(world, other)) == (10, 0)
    with pytest.raises(QuotaExceeded):
        await world.upload(job_id, "x", b"abc")
