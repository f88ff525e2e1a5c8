"""Logs of runs that have ended move into the object store, on both engines, and are read there as before."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import acting
from tests.support.fake_clock import FakeClock
from tests.support.s3 import BUCKET, keys, reach, s3_server
from windlass_server.errors import NotFound, Unavailable
from windlass_server.hub import EventHub
from windlass_server.objects import log_archive
from windlass_server.objects.frames import Place, encode
from windlass_server.objects.log_archive import LogArchive
from windlass_server.objects.log_lines import matcher
from windlass_server.objects.log_view import Limits
from windlass_server.objects.logs import LogRefused, LogStore
from windlass_server.objects.store import ObjectStore
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

RUN = "run-" + "0" * 24 + "ab"
OTHER = "run-" + "0" * 24 + "cd"


class Server:
    """What one server has of logs: a disk of its own, and the store and the index that all share."""

    def __init__(self, database: Database, folder: Path, name: str, url: str = "") -> None:
        self.folder = folder / name
        self.clock = FakeClock()
        self.objects = ObjectStore.open(url, folder / "objects")
        self.archive = LogArchive(database, self.objects, self.clock, name)
        self.open()

    def open(self) -> None:
        """Begin, or begin again."""
        self.logs = LogStore(self.folder, EventHub(), self.archive)

    @property
    def path(self) -> Path:
        return self.folder / "ab" / f"{RUN}.log"

    async def fill(self, batches: int = 4) -> bytes:
        """A log of some MiB, which takes part of its room when it is compressed."""
        number = random.Random(7)
        end, data = 0, b""
        for batch in range(batches):
            frames = b"".join(
                encode(
                    1 + at % 2, batch * 1000 + at, f"{number.random()} loss {at}\n".encode() * 900
                )
                for at in range(40)
            )
            end = await self.logs.append(RUN, end, frames)
            data += frames
        return data

    async def bytes(self) -> bytes:
        """The log as it is read."""
        found, position = b"", 0
        while frames := await self.logs.read(RUN, position):
            found += b"".join(encode(one.stream, one.time_nanos, one.payload) for one in frames)
            position = frames[-1].end_position
        return found


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[Server]:
    one = Server(database, tmp_path, "one")
    yield one
    await one.logs.close()


async def asked(logs: LogStore, end: int) -> list[object]:
    """What a log answers to everything that can be asked of it."""
    places = [Place(0), Place(end), Place(1), Place(0, 5), Place(end, held=(0, 0))]
    limits = Limits(stream=0, start=0, before=end, whole=True)
    return [
        await logs.end(RUN),
        [await logs.has_place(RUN, place) for place in places],
        [await logs.tail(RUN, count) for count in (0, 1, 900, 50_000, 10**6)],
        [await logs.tail_matching(RUN, count, matcher("loss 7$"), limits) for count in (1, 4000)],
        [await logs.since(RUN, nanos) for nanos in (0, 1, 1500, 2039, 3039, 9999)],
    ]


async def test_an_archived_log_is_read_and_searched_as_before(
    server: Server, tmp_path: Path
) -> None:
    data = await server.fill()
    before = await asked(server.logs, len(data))
    await server.logs.archive(RUN, 3, len(data))
    assert not server.path.exists()
    assert await server.bytes() == data
    assert await asked(server.logs, len(data)) == before
    # A server that knows nothing of it finds it by the index.
    server.open()
    assert await asked(server.logs, len(data)) == before
    assert await server.bytes() == data
    found = await server.archive.find(RUN)
    assert found is not None
    assert (found.row.rank, found.row.size_bytes) == (3, len(data))
    assert found.row.lines == 4 * 40 * 900
    assert found.row.stored_bytes < len(data) / 4
    assert len(found.chunks) >= 4
    assert (tmp_path / "objects" / found.row.key).stat().st_size == found.row.stored_bytes


async def test_only_the_parts_that_are_read_are_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await server.fill(8)
    await server.logs.archive(RUN, 0, len(data))
    server.open()
    fetched = []
    part = server.objects.part

    def counted(key: str, offset: int, size: int) -> bytes:
        fetched.append(offset)
        return part(key, offset, size)

    monkeypatch.setattr(server.objects, "part", counted)
    await server.logs.read(RUN, await server.logs.since(RUN, 7039))
    await server.logs.tail(RUN, 1)
    assert len(fetched) <= 3


async def test_an_archived_log_grows_no_more_but_says_what_it_has(server: Server) -> None:
    data = await server.fill(1)
    await server.logs.archive(RUN, 0, len(data))
    for _ in range(2):
        assert await server.logs.append(RUN, 0, b"") == len(data)
        assert await server.logs.append(RUN, 0, data) == len(data)
        with pytest.raises(LogRefused) as refused:
            await server.logs.append(RUN, len(data), encode(1, 1, b"more"))
        assert (refused.value.reason, refused.value.end) == ("LOG_CLOSED", len(data))
        server.open()
    assert not server.path.exists()


async def test_a_crash_before_the_index_or_behind_it_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await server.fill(2)

    async def crash(*_: object) -> None:
        raise RuntimeError

    # The object is there, the index not.
    with monkeypatch.context() as patch:
        patch.setattr(server.archive._database, "write", crash)
        with pytest.raises(RuntimeError):
            await server.logs.archive(RUN, 0, len(data))
    server.open()
    assert await server.bytes() == data
    # The index is there, too, and so is the file.
    with monkeypatch.context() as patch:
        patch.setattr(server.logs._files, "retire", lambda _: None)
        await server.logs.archive(RUN, 0, len(data))
    server.open()
    assert server.path.exists()
    assert await server.bytes() == data
    await server.logs.archive(RUN, 0, len(data))
    assert not server.path.exists()
    assert await server.bytes() == data


async def test_what_is_not_all_here_is_not_archived(server: Server) -> None:
    data = await server.fill(1)
    await server.logs.archive(RUN, 0, len(data) + 1)
    assert server.path.exists()
    assert await server.archive.find(RUN) is None


async def test_a_full_or_absent_store_leaves_the_log_where_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await server.fill(1)

    async def refuse(*_: object) -> None:
        raise Unavailable("no store", reason="OBJECT_STORE_UNAVAILABLE", retry_seconds=5.0)

    monkeypatch.setattr(server.objects, "put", refuse)
    with pytest.raises(Unavailable):
        await server.logs.archive(RUN, 0, len(data))
    assert await server.bytes() == data


async def test_a_damaged_part_is_an_error_and_no_garbage(server: Server, tmp_path: Path) -> None:
    data = await server.fill(1)
    await server.logs.archive(RUN, 0, len(data))
    (path,) = (tmp_path / "objects").rglob("log.zst")
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 0xFF
    path.write_bytes(stored)
    with pytest.raises(Unavailable) as refused:
        await server.bytes()
    assert refused.value.reason == "LOG_DAMAGED"
    path.unlink()
    server.open()
    server.archive._kept.clear()
    with pytest.raises(NotFound):
        await server.bytes()


async def test_logs_expire_when_their_time_has_come(server: Server, tmp_path: Path) -> None:
    data = await server.fill(1)
    await server.logs.archive(RUN, 0, len(data))
    archived_at = server.clock.now()
    assert await server.archive.expire(archived_at - 1, 10) == 0
    assert not await server.logs.is_expired(RUN)
    assert await server.archive.expire(archived_at, 10) == 1
    assert await server.archive.expire(archived_at, 10) == 0
    server.open()
    assert await server.logs.is_expired(RUN)
    assert await server.bytes() == b""
    assert await server.logs.end(RUN) == 0
    assert not [*(tmp_path / "objects").rglob("log.zst")]
    found = await server.archive.find(RUN)
    assert found is not None
    assert found.row.size_bytes == len(data)


async def test_what_was_begun_to_be_removed_is_removed_later(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = await server.fill(1)
    await server.logs.archive(RUN, 0, len(data))

    async def refuse(*_: object) -> None:
        raise Unavailable("no store", reason="OBJECT_STORE_UNAVAILABLE", retry_seconds=5.0)

    with monkeypatch.context() as patch:
        patch.setattr(server.objects, "remove", refuse)
        with pytest.raises(Unavailable):
            await server.archive.expire(server.clock.now(), 10)
    server.open()
    assert await server.bytes() == b""
    assert await server.archive.expire(None, 10) == 1
    assert not [*(tmp_path / "objects").rglob("log.zst")]


async def test_few_parts_are_kept_in_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_archive, "_KEPT_CHUNKS", 2)
    data = await server.fill()
    await server.logs.archive(RUN, 0, len(data))
    assert await server.bytes() == data
    assert len(server.archive._kept) == 2


async def test_a_store_that_does_not_answer_makes_nobody_wait_who_follows_a_log(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await server.fill(2)
    await server.logs.archive(RUN, 0, len(data))
    server.open()
    answers, part = threading.Event(), server.objects.part

    def waiting(key: str, offset: int, size: int) -> bytes:
        assert answers.wait(30)
        return part(key, offset, size)

    monkeypatch.setattr(server.objects, "part", waiting)
    asked = [asyncio.create_task(server.logs.since(RUN, at)) for at in range(1, 20)]
    asked += [asyncio.create_task(server.logs.read(RUN, 0, size)) for size in range(1, 20)]
    live = encode(1, 1, b"live")
    async with asyncio.timeout(20):
        await server.logs.append(OTHER, 0, live)
        assert [one.payload for one in await server.logs.read(OTHER, 0)] == [b"live"]
        assert await server.logs.since(OTHER, 1) == 0
    assert not any(one.done() for one in asked)
    answers.set()
    await asyncio.gather(*asked)


async def test_several_servers_read_what_one_has_archived_on_s3(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as endpoint:
        reach(endpoint, monkeypatch)
        url = f"s3://{BUCKET}/here"
        one, two = (Server(database, tmp_path, name, url) for name in ("one", "two"))
        # The node was at the second server first, which has some of it.
        data = await one.fill(3)
        assert await two.fill(1) == data[: await two.logs.end(RUN)]
        await two.logs.archive(RUN, 0, len(data))
        assert two.path.exists()
        await one.logs.archive(RUN, 0, len(data))
        await two.logs.archive(RUN, 0, len(data))
        assert not one.path.exists()
        assert not two.path.exists()
        assert await one.bytes() == await two.bytes() == data
        # Other tests have had the same bucket.
        assert len([key for key in keys(endpoint) if key.startswith("here/")]) == 1
        for server in (one, two):
            await server.logs.close()
