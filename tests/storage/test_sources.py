"""Archives that jobs bring along, on both engines: kept once, named by jobs, removed when nobody needs them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.databases import acting
from tests.support.scheduled_world import ScheduledWorld
from windlass.agents.v1 import preparation_pb2
from windlass.jobs.v1 import job_content_pb2, job_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Denied, Exhausted, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs import sources
from windlass_server.jobs.sources import Keeping, SourcesService, require_source, use_sources
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.sources import SourceStore, State
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

DEVELOPER = Caller("ann", default_project="default", roles={"default": Role.DEVELOPER})
VIEWER = Caller("eve", default_project="default", roles={"default": Role.VIEWER})
STRANGER = Caller("bob", default_project="other", roles={"other": Role.ADMIN})
DAY = 86_400_000_000
MAX_BYTES, PROJECT_BYTES = 5000, 12_000


class World(ScheduledWorld):
    """A cluster whose jobs have archives."""

    store: ObjectStore
    sources: SourcesService

    async def upload(self, content: bytes, **how: Any) -> Any:
        return await self.sources.upload(DEVELOPER, "", pieces(content), **how)

    async def objects(self) -> int:
        return len(await self.store.sizes("sources"))

    async def needs(self, source_id: str, project: str = "default") -> str:
        """Have a job need an archive."""
        job_id = str(await self.add_job())
        spec = a_spec(source_id, project)
        await self.database.write(lambda tx: use_sources(tx, [(job_id, spec)], self.clock.now()))
        return job_id

    async def known(self) -> list[str]:
        rows, _ = await self.sources.list(VIEWER, "", sha256="", size=0, token="")
        return [row.source_id for row in rows]


def a_spec(source_id: str, project: str = "default") -> job_pb2.Job:
    source = job_content_pb2.JobSource(source_id=source_id)
    return job_pb2.Job(project=project, source=source)


def an_archive(mark: bytes = b"a", size: int = 600) -> bytes:
    return b"\x1f\x8b" + mark * (size - 2)


async def pieces(content: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for first in range(0, len(content), size):
        yield content[first : first + size]


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    world.store = ObjectStore.open("", tmp_path / "objects")
    world.sources = SourcesService(
        database,
        world.store,
        world.clock,
        IdSource(world.clock),
        PageTokens(b"page"),
        Keeping(max_bytes=MAX_BYTES, project_bytes=PROJECT_BYTES, unused=DAY),
    )
    yield world
    await world.logs.close()


async def test_a_content_is_kept_once(world: World):
    first = await world.upload(an_archive())
    again = await world.upload(an_archive(), sha256=first.sha256)
    other = await world.upload(an_archive(b"b"))
    assert first.sha256 == hashlib.sha256(an_archive()).hexdigest()
    assert (again.source_id, again.size_bytes) == (first.source_id, 600)
    assert await world.known() == [other.source_id, first.source_id]
    await world.sources.remove_unneeded()
    assert await world.objects() == 2


async def test_of_uploads_at_once_of_one_content_one_stays(world: World):
    made = await asyncio.gather(*(world.upload(an_archive()) for _ in range(5)))
    assert len({one.source_id for one in made}) == 1
    await world.sources.remove_unneeded()
    assert (await world.objects(), await world.known()) == (1, [made[0].source_id])


@pytest.mark.parametrize(
    ("content", "how", "reason"),
    [
        (b"x" * 600, {}, "SOURCE_FORMAT_UNKNOWN"),
        (b"", {}, "SOURCE_FORMAT_UNKNOWN"),
        (an_archive(size=MAX_BYTES + 1), {}, "SOURCE_TOO_LARGE"),
        (an_archive(), {"sha256": "0" * 64}, "SOURCE_DIGEST_DIFFERS"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    world: World, content: bytes, how: dict[str, str], reason: str
):
    with pytest.raises(InvalidInput) as refused:
        await world.upload(content, **how)
    assert refused.value.reason == reason
    assert (await world.objects(), await world.known()) == (0, [])


async def test_what_breaks_off_leaves_nothing(world: World):
    async def broken() -> AsyncIterator[bytes]:
        yield an_archive()
        raise EOFError

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the store makes of it
        await world.sources.upload(DEVELOPER, "", broken())
    assert (await world.objects(), await world.known()) == (0, [])


async def test_a_project_has_no_more_bytes_than_it_may(world: World):
    for mark in (b"a", b"b"):
        await world.upload(an_archive(mark, MAX_BYTES))
    with pytest.raises(Exhausted) as refused:
        await world.upload(an_archive(b"c", MAX_BYTES))
    assert refused.value.reason == "TOO_MANY_SOURCES"
    await world.upload(an_archive(b"c", 1500))


class Slow:
    """An upload of which all but the end has come."""

    def __init__(self, world: World, mark: bytes, size: int = 4000) -> None:
        self.came, self.ends = asyncio.Event(), asyncio.Event()
        content = an_archive(mark, size)

        async def trickling() -> AsyncIterator[bytes]:
            async for piece in pieces(content, 500):
                yield piece
            self.came.set()
            await self.ends.wait()

        self.task = asyncio.create_task(world.sources.upload(DEVELOPER, "", trickling()))


async def test_what_is_under_way_counts_and_is_refused_before_all_of_it_has_come(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sources, "_STEP_BYTES", 500)
    slow = [Slow(world, mark) for mark in (b"a", b"b")]
    async with asyncio.timeout(20):
        for one in slow:
            await one.came.wait()
    late = Slow(world, b"c", MAX_BYTES)
    late.ends.set()
    with pytest.raises(Exhausted) as refused:
        await late.task
    assert (refused.value.reason, late.came.is_set()) == ("TOO_MANY_SOURCES", False)
    for one in slow:
        one.ends.set()
        await one.task
    assert (await world.objects(), len(await world.known())) == (2, 2)


async def test_an_upload_ends_when_the_disk_fills_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sources, "_STEP_BYTES", 500)
    free = iter([1 << 40, 1 << 40])
    monkeypatch.setattr(ObjectStore, "free_bytes", lambda _: next(free, 0))
    slow = Slow(world, b"a")
    slow.ends.set()
    with pytest.raises(Exhausted) as refused:
        await slow.task
    assert (refused.value.reason, slow.came.is_set()) == ("OBJECT_STORE_FULL", False)
    assert (await world.objects(), await world.known()) == (0, [])


async def test_archives_that_come_slowly_hold_up_nothing_else(world: World):
    slow = [Slow(world, bytes([65 + number]), 200) for number in range(20)]
    async with asyncio.timeout(20):
        # Which of them have their turn is not said; the others wait for these.
        while sum(one.came.is_set() for one in slow) < 16:  # noqa: ASYNC110 - any sixteen of them
            await asyncio.sleep(0)
        await world.store.put("artifacts/x", pieces(b"x"))
    for one in slow:
        one.ends.set()
    await asyncio.gather(*(one.task for one in slow))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_upload_answers_no_archive_that_is_just_removed(world: World, database_url: str):
    old = await world.upload(an_archive())
    engine = create_engine(database_url)
    with engine.connect() as other:
        gone = {"status": int(State.REMOVED), "sha256": None}
        SourceStore(other).change(old.source_id, **gone)
        again = asyncio.create_task(world.upload(an_archive()))
        async with asyncio.timeout(20):
            while not await world.database.read(_somebody_waits):
                pass
        other.commit()
    engine.dispose()
    made = await again
    assert made.source_id != old.source_id
    assert await world.known() == [made.source_id]


def _somebody_waits(tx: Transaction) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return bool(tx.connection.execute(text(query)).scalar())


async def test_others_neither_see_nor_use_nor_remove_it(world: World):
    made = await world.upload(an_archive())
    for call in (
        world.sources.get(STRANGER, made.source_id),
        world.sources.delete(STRANGER, made.source_id),
    ):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        await world.database.read(lambda tx: require_source(tx, a_spec(made.source_id, "other")))
    with pytest.raises(NotFound):
        await world.needs(made.source_id, "other")
    with pytest.raises(Denied):
        await world.sources.upload(VIEWER, "", pieces(an_archive(b"b")))


async def test_what_a_job_needs_is_not_removed_until_that_has_ended(world: World):
    made = await world.upload(an_archive())
    job_id = await world.needs(made.source_id)
    world.clock.advance(40 * 86400)
    await world.sources.remove_unneeded()
    with pytest.raises(WrongState) as refused:
        await world.sources.delete(DEVELOPER, made.source_id)
    assert refused.value.reason == "SOURCE_IN_USE"

    def end(tx: Any) -> None:
        job = tx.jobs.get(job_id)
        tx.jobs.change(job_id, job.version, ended_at=world.clock.now())

    await world.database.write(end)
    assert (await world.sources.delete(DEVELOPER, made.source_id)).sha256 == made.sha256
    await world.sources.remove_unneeded()
    assert await world.objects() == 0


async def test_what_no_job_has_named_for_long_is_removed(world: World):
    old, used = await world.upload(an_archive()), await world.upload(an_archive(b"b"))
    world.clock.advance(0.9 * 86400)
    await world.upload(an_archive(b"b"))
    world.clock.advance(0.2 * 86400)
    await world.sources.remove_unneeded()
    assert (await world.known(), await world.objects()) == ([used.source_id], 1)
    with pytest.raises(NotFound):
        await world.needs(old.source_id)


async def test_the_pages_of_a_list_have_each_once(world: World):
    made = [await world.upload(an_archive(bytes([65 + n]))) for n in range(5)]
    found, token = [], ""
    while True:
        rows, token = await world.sources.list(VIEWER, "", sha256="", size=2, token=token)
        found += [row.source_id for row in rows]
        if not token:
            break
    assert found == [one.source_id for one in reversed(made)]
    rows, _ = await world.sources.list(VIEWER, "", sha256=made[1].sha256, size=0, token="")
    assert [row.source_id for row in rows] == [made[1].source_id]
    with pytest.raises(NotFound):
        await world.sources.list(VIEWER, "nowhere", sha256="", size=0, token="")


async def test_a_node_reads_only_what_its_own_run_brings_along(world: World):
    await world.upload(an_archive())
    asked = preparation_pb2.DownloadSourceRequest(run_id="run-" + "0" * 26, epoch=1)
    with pytest.raises(NotFound):
        await anext(world.sources.content_for("node-1", asked))
