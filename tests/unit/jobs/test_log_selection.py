"""Which output of a job is read: of which time, of which lines, and in which order that of several ranks."""

import asyncio

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.jobs import job_columns
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import InvalidInput
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.jobs.logs import JobLogs, LogRequest
from windlass_server.jobs.states import Status
from windlass_server.objects import frames
from windlass_server.objects.logs import LogStore
from windlass_server.storage.rows import row
from windlass_server.storage.tables import JobRow, RunRow

ADA = Caller(user="ada", roles={"default": Role.ADMIN})
_ids = IdSource(FakeClock())
OUT, ERR = 1, 2


class World:
    """A job whose runs are as a test says, and its logs."""

    def __init__(self, store, hub, clock):
        self.job = row(JobRow, job_columns(status=int(Status.RUNNING)))
        self.runs = []
        self.store = store
        self.clock = clock
        self.logs = JobLogs(self, store, hub, clock)

    async def of_job(self, job_id):
        return self.job, list(self.runs)

    async def add(self, *pieces, attempt=1, rank=0, whole=True):
        """A run that printed these: each a time, a stream and a text."""
        run_id = _ids.new("run")
        data = b"".join(frames.encode(stream, at, text.encode()) for at, stream, text in pieces)
        values = {"run_id": run_id, "attempt": attempt, "rank": rank, "log_lost": ""}
        values |= {"forgotten": False, "log_end": len(data) if whole else None}
        self.runs.append(row(RunRow, values))
        await self.store.append(run_id, 0, data)
        return run_id

    def end(self):
        self.job = row(JobRow, job_columns(status=int(Status.SUCCEEDED)))

    def stream(self, **wanted):
        return self.logs.stream(ADA, self.job.job_id, LogRequest(**wanted))

    async def read(self, **wanted):
        return [one async for one in self.stream(**wanted)]

    async def text(self, **wanted):
        return "".join(one.chunk.text for one in await self.read(**wanted))


@pytest.fixture
async def world(tmp_path):
    hub = EventHub()
    store = LogStore(tmp_path, hub)
    yield World(store, hub, FakeClock())
    await store.close()


async def test_lines_of_several_ranks_are_whole_though_they_came_in_pieces(world):
    await world.add((1, OUT, "rank 0 "), (4, OUT, "says a\n"), (6, OUT, "half"))
    await world.add((2, OUT, "rank 1 "), (3, ERR, "warning\n"), (5, OUT, "says b\n"), rank=1)
    assert await world.text() == "warning\nrank 0 says a\nrank 1 says b\nhalf"
    assert await world.text(stream=OUT) == "rank 0 says a\nrank 1 says b\nhalf"
    assert await world.text(rank=0) == "rank 0 says a\nhalf"


@pytest.mark.parametrize("grep", ["", "rank|half|warn"])
async def test_every_message_of_several_ranks_can_be_gone_on_behind(world, grep):
    await world.add((1, OUT, "rank 0 "), (4, OUT, "says a\n"), (6, OUT, "half"))
    await world.add((2, OUT, "rank 1 "), (3, ERR, "warning\n"), (5, OUT, "says b\n"), rank=1)
    whole = await world.text(grep=grep)
    read = ""
    for message in await world.read(grep=grep):
        read += message.chunk.text
        assert read + await world.text(cursor=message.cursor, grep=grep) == whole


async def test_a_line_that_does_not_end_is_shown_to_who_follows_several_ranks(world, monkeypatch):
    from windlass_server.jobs import log_reading

    monkeypatch.setattr(log_reading, "_PATIENCE_SECONDS", 0.0)
    await world.add((1, OUT, "continue? "), whole=False)
    other = await world.add((2, OUT, "b\n"), rank=1, whole=False)
    follow = world.stream(follow=True)
    async with asyncio.timeout(20):
        assert [(await anext(follow)).chunk.text for _ in range(2)] == ["b\n", "continue? "]
        # It is not shown again with the rest of its line.
        end = await world.store.end(other)
        cursor = (await world.read())[-1].cursor
        await world.store.append(other, end, frames.encode(OUT, 3, b"c\n"))
        assert (await anext(follow)).chunk.text == "c\n"
        assert await world.text(cursor=cursor) == "c\n"
    await follow.aclose()


async def test_only_lines_that_match_are_read_and_tail_counts_them(world):
    lines = [(at, OUT, f"step {at} {'loss' if at % 3 == 0 else 'lr'}\n") for at in range(1, 10)]
    await world.add(*lines)
    assert await world.text(grep="loss") == "step 3 loss\nstep 6 loss\nstep 9 loss\n"
    assert await world.text(grep="LOSS", ignore_case=True, tail=2) == "step 6 loss\nstep 9 loss\n"
    assert await world.text(grep="lo.s", fixed=True) == ""
    assert await world.text(grep="loss", tail=0) == ""
    assert await world.text(grep="loss", tail=5, since=5) == "step 6 loss\nstep 9 loss\n"
    assert await world.text(grep="loss", tail=1, until=9) == "step 6 loss\n"
    assert await world.text(grep="loss", stream=ERR) == ""


async def test_what_has_no_line_end_counts_as_a_line_when_the_log_is_whole(world):
    await world.add((1, OUT, "loss 1\n"), (2, OUT, "loss "), (3, OUT, "2"))
    assert await world.text(grep="loss 2") == "loss 2"
    assert await world.text(grep="loss", tail=1) == "loss 2"
    world.runs.clear()
    await world.add((1, OUT, "loss 1\n"), (2, OUT, "loss "), whole=False)
    assert await world.text(grep="loss") == "loss 1\n"


async def test_a_followed_search_finds_a_line_when_its_end_comes(world):
    run = await world.add((1, OUT, "lo"), whole=False)
    follow = world.stream(follow=True, grep="^loss$")
    async with asyncio.timeout(20):
        assert (await anext(follow)).HasField("heartbeat")
        cursor = (await world.read(grep="^loss$"))[-1].cursor
        end = await world.store.end(run)
        await world.store.append(run, end, frames.encode(OUT, 2, b"ss\nnext"))
        assert (await anext(follow)).chunk.text == "loss\n"
        assert await world.text(cursor=cursor, grep="^loss$") == "loss\n"
    await follow.aclose()


async def test_times_are_those_at_which_nodes_read_the_output(world):
    await world.add((10, OUT, "a\n"), (20, OUT, "b\n"), attempt=1)
    await world.add((30, OUT, "c\n"), (40, OUT, "d\n"), attempt=2)
    assert await world.text(since=20) == "b\nc\nd\n"
    assert await world.text(since=21) == "c\nd\n"
    assert await world.text(until=40) == "a\nb\nc\n"
    assert await world.text(since=11, until=31) == "b\nc\n"
    assert await world.text(since=41) == ""
    assert await world.text(until=10) == ""
    assert await world.text(tail=1, until=25) == "b\n"
    assert await world.text(tail=1, since=35) == "d\n"
    assert await world.text(tail=9, since=35) == "d\n"


async def test_times_hold_for_each_of_several_ranks(world):
    await world.add((10, OUT, "a\n"), (20, OUT, "b\n"), (30, OUT, "half"))
    await world.add((15, OUT, "c\n"), (25, OUT, "d\n"), rank=1)
    assert await world.text(since=15) == "c\nb\nd\nhalf"
    assert await world.text(until=25) == "a\nc\nb\n"
    assert await world.text(tail=1, until=25) == "c\nb\n"


async def test_a_cursor_wins_over_since(world):
    await world.add((10, OUT, "a\n"), (20, OUT, "b\n"), (30, OUT, "c\n"))
    cursor = (await world.read())[0].cursor
    assert await world.text(cursor=cursor, since=30) == "b\nc\n"


async def test_until_must_be_after_since(world):
    await world.add((10, OUT, "a\n"))
    for until in (10, 20):
        with pytest.raises(InvalidInput) as refused:
            await world.read(since=20, until=until)
        assert refused.value.reason == "LOG_TIMES_INVALID"
        assert [violation.field for violation in refused.value.violations] == ["until"]


async def test_a_bad_expression_is_refused_before_the_first_message(world):
    await world.add((10, OUT, "a\n"))
    with pytest.raises(InvalidInput) as refused:
        await anext(world.stream(grep="(", follow=True))
    assert refused.value.reason == "GREP_INVALID"


async def test_a_followed_log_ends_where_its_time_is_over(world):
    now = world.clock.now() * 1000
    run = await world.add((now, OUT, "a\n"), whole=False)
    follow = world.stream(follow=True, until=now + 1000)
    async with asyncio.timeout(20):
        assert (await anext(follow)).chunk.text == "a\n"
        end = await world.store.end(run)
        await world.store.append(run, end, frames.encode(OUT, now + 1000, b"b\n"))
        assert [one.WhichOneof("content") async for one in follow] == ["end"]


async def test_a_followed_log_ends_when_its_time_is_past_though_nothing_more_is_printed(world):
    now = world.clock.now() * 1000
    await world.add((now, OUT, "a\n"), whole=False)
    world.clock.advance(3600)
    async with asyncio.timeout(20):
        messages = await world.read(follow=True, until=now + 1)
    assert [one.chunk.text for one in messages] == ["a\n", ""]
    assert messages[-1].HasField("end")
