"""Following a job's log over several runs loses nothing, whatever arrives late."""

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
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import JobRow, RunRow

ADA = Caller(user="ada", roles={"default": Role.ADMIN})
_ids = IdSource(FakeClock())


class Runs:
    """The job and its runs as a test sets them."""

    def __init__(self) -> None:
        self.job = row(JobRow, job_columns(status=int(Status.RUNNING)))
        self.runs = []

    async def of_job(self, job_id):
        return self.job, list(self.runs)

    def add(self, log_end=None):
        values = {"run_id": _ids.new("run"), "log_end": log_end, "log_lost": "", "forgotten": False}
        values["attempt"] = len(self.runs) + 1
        self.runs.append(row(RunRow, values))
        return self.runs[-1].run_id

    def end(self, run_id, log_end):
        self.runs = [
            changed(one, log_end=log_end) if one.run_id == run_id else one for one in self.runs
        ]


@pytest.fixture
def hub():
    return EventHub()


@pytest.fixture
async def logs(tmp_path, hub):
    store = LogStore(tmp_path, hub)
    yield store
    await store.close()


async def test_a_follower_stays_with_a_run_until_its_log_is_whole(logs, hub):
    runs = Runs()
    first_part, last_part = frames.encode(1, 1, b"a1\n"), frames.encode(1, 2, b"a2\n")
    second_run = frames.encode(1, 3, b"b1\n")
    one = runs.add(log_end=len(first_part + last_part))
    await logs.append(one, 0, first_part)
    two = runs.add()
    await logs.append(two, 0, second_run)
    follow = JobLogs(runs, logs, hub).stream(ADA, runs.job.job_id, LogRequest(follow=True))
    async with asyncio.timeout(10):
        assert (await anext(follow)).chunk.text == "a1\n"
        # The second run's output is there, but must wait for the rest of the first one's.
        second = asyncio.ensure_future(anext(follow))
        done, _ = await asyncio.wait({second}, timeout=0.2)
        assert not done
        await logs.append(one, len(first_part), last_part)
        runs.end(two, len(second_run))
        runs.job = row(JobRow, job_columns(status=int(Status.SUCCEEDED)))
        rest = [await second, *[message async for message in follow]]
    assert [message.chunk.text for message in rest] == ["a2\n", "b1\n", ""]
    assert rest[-1].HasField("end")


class LateLogStore(LogStore):
    """Some output arrives just after a reader has seen that there is no more yet."""

    late = b""

    async def read(self, run_id, position=0, *more):
        found = await super().read(run_id, position, *more)
        if not found and self.late:
            late, self.late = self.late, b""
            await self.append(run_id, position, late)
        return found


async def test_what_arrives_just_behind_a_followers_last_look_is_not_lost(tmp_path, hub):
    logs = LateLogStore(tmp_path, hub)
    runs = Runs()
    first_part, last_part = frames.encode(1, 1, b"a1\n"), frames.encode(1, 2, b"a2\n")
    run = runs.add(log_end=len(first_part + last_part))
    runs.job = row(JobRow, job_columns(status=int(Status.SUCCEEDED)))
    await logs.append(run, 0, first_part)
    logs.late = last_part
    follow = JobLogs(runs, logs, hub).stream(ADA, runs.job.job_id, LogRequest(follow=True))
    async with asyncio.timeout(10):
        messages = [message async for message in follow]
    assert [message.chunk.text for message in messages] == ["a1\n", "a2\n", ""]
    assert messages[-1].HasField("end")
    await logs.close()


@pytest.mark.parametrize(
    "cursor",
    ["x", "{other}:0:0", "{run}:1:0", "{run}:0:3", "{run}:9999:0", "{run}:16:1", "{run}:-1:0"],
)
async def test_a_cursor_that_the_log_never_gave_out_is_refused_before_the_first_message(
    logs, hub, cursor
):
    runs = Runs()
    run, other = runs.add(), _ids.new("run")
    await logs.append(run, 0, frames.encode(1, 1, b"a1\n"))
    wanted = LogRequest(follow=True, cursor=cursor.format(run=run, other=other))
    with pytest.raises(InvalidInput) as refused:
        await anext(JobLogs(runs, logs, hub).stream(ADA, runs.job.job_id, wanted))
    assert refused.value.reason == "CURSOR_INVALID"
    assert [violation.field for violation in refused.value.violations] == ["cursor"]


async def test_every_cursor_that_a_log_gave_out_is_taken_back(logs, hub):
    runs = Runs()
    run = runs.add(log_end=0)
    output = frames.encode(1, 1, b"line\n" * 30_000) + frames.encode(2, 2, b"end\n")
    await logs.append(run, 0, output)
    stream = JobLogs(runs, logs, hub).stream
    messages = [one async for one in stream(ADA, runs.job.job_id, LogRequest(tail=29_000))]
    whole = "".join(one.chunk.text for one in messages)
    assert len(messages) > 3
    read = ""
    for message in messages:
        read += message.chunk.text
        wanted = LogRequest(cursor=message.cursor)
        rest = [one async for one in stream(ADA, runs.job.job_id, wanted)]
        assert read + "".join(one.chunk.text for one in rest) == whole


async def test_a_thousand_followers_look_at_their_job_together(logs, hub):
    runs = Runs()
    looks = []
    of_job = runs.of_job

    async def counted(job_id):
        looks.append(job_id)
        return await of_job(job_id)

    runs.of_job = counted
    run_id = runs.add()
    line = frames.encode(1, 1, b"a\n")
    await logs.append(run_id, 0, line)
    job_logs = JobLogs(runs, logs, hub)
    follow = LogRequest(follow=True)
    followers = [job_logs.stream(ADA, runs.job.job_id, follow) for _ in range(1000)]
    assert {(await anext(one)).chunk.text for one in followers} == {"a\n"}
    admitted = len(looks)
    waiting = [asyncio.create_task(anext(one)) for one in followers]
    await asyncio.sleep(0)
    await logs.append(run_id, len(line), frames.encode(1, 2, b"b\n"))
    assert {message.chunk.text for message in await asyncio.gather(*waiting)} == {"b\n"}
    # Each is admitted by a look of its own; all else is seen by a few for all.
    assert admitted <= 1000 + 5
    assert len(looks) - admitted <= 20
    for one in followers:
        await one.aclose()


async def test_a_follower_of_a_job_without_output_hears_at_once_that_it_is_connected(logs, hub):
    runs = Runs()
    follow = JobLogs(runs, logs, hub).stream(ADA, runs.job.job_id, LogRequest(follow=True))
    async with asyncio.timeout(2):
        assert (await anext(follow)).HasField("heartbeat")
    run_id = runs.add()
    hub.tell([runs.job.job_id])
    waiting = asyncio.create_task(anext(follow))
    await logs.append(run_id, 0, frames.encode(1, 1, b"a\n"))
    assert (await waiting).chunk.text == "a\n"
    await follow.aclose()
