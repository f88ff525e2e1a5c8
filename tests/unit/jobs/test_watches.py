"""A job that is followed is looked at once for all, whoever tells of its changes or not."""

import asyncio
from contextlib import ExitStack

import pytest

from tests.support.jobs import job_columns
from windlass_server.errors import Unavailable
from windlass_server.hub import EventHub
from windlass_server.jobs import watches as module
from windlass_server.jobs.states import Status
from windlass_server.jobs.watches import Seen, Watches
from windlass_server.objects.logs import LogStore
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import JobRow


class Looked:
    """A job that counts who looks at it, and can fail."""

    def __init__(self):
        self.job = row(JobRow, job_columns(status=int(Status.RUNNING)))
        self.looks = 0
        self.looked = asyncio.Event()
        self.failure = None

    async def of_job(self, job_id):
        assert job_id == self.job.job_id
        self.looks += 1
        self.looked.set()
        if self.failure is not None:
            raise self.failure
        return self.job, []

    def seen(self):
        return Seen(self.job, [])

    async def next_looks(self, count):
        for _ in range(count):
            self.looked.clear()
            await self.looked.wait()

    def change(self, status):
        self.job = changed(self.job, status=int(status), version=self.job.version + 1)


@pytest.fixture
def looked():
    return Looked()


@pytest.fixture
def hub():
    return EventHub()


@pytest.fixture
async def watches(tmp_path, looked, hub):
    logs = LogStore(tmp_path, hub)
    yield Watches(looked, logs, hub)
    await logs.close()


@pytest.fixture
def often(monkeypatch):
    """Look often, also when nobody tells."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)


@pytest.mark.usefixtures("often")
async def test_idle_followers_look_together_and_are_left_alone(watches, looked):
    with ExitStack() as stack:
        watch = {stack.enter_context(watches.follow(looked.seen())) for _ in range(100)}.pop()
        await looked.next_looks(1)
        await looked.next_looks(5)
        assert looked.looks < 20
        assert watch.number == 1


@pytest.mark.usefixtures("often")
async def test_a_change_that_nobody_tells_of_is_seen(watches, looked):
    with watches.follow(looked.seen()) as watch:
        await watch.call_after(0)
        looked.change(Status.SUCCEEDED)
        async with asyncio.timeout(5):
            await watch.call_after(1)
        assert watch.seen.job.status == Status.SUCCEEDED


async def test_who_is_told_looks_at_once(watches, looked, hub):
    with watches.follow(looked.seen()) as watch:
        await watch.call_after(0)
        looked.change(Status.SUCCEEDED)
        hub.tell([looked.job.job_id])
        async with asyncio.timeout(0.5):
            await watch.call_after(1)
        assert watch.seen.job.status == Status.SUCCEEDED


async def test_what_a_newcomer_has_seen_others_learn_and_nothing_older(watches, looked):
    older = looked.seen()
    with watches.follow(older) as watch:
        await watch.call_after(0)
        looked.change(Status.SUCCEEDED)
        with watches.follow(looked.seen()):
            async with asyncio.timeout(0.5):
                await watch.call_after(1)
            with watches.follow(older):
                assert watch.seen.job.status == Status.SUCCEEDED
                assert watch.number == 2


async def test_all_hear_that_a_look_failed_and_who_comes_later_looks_anew(watches, looked, hub):
    with watches.follow(looked.seen()) as one, watches.follow(looked.seen()) as other:
        await asyncio.gather(one.call_after(0), other.call_after(0))
        looked.failure = Unavailable("gone", reason="DATABASE_UNAVAILABLE")
        hub.tell([looked.job.job_id])
        async with asyncio.timeout(0.5):
            await asyncio.gather(one.call_after(1), other.call_after(1))
        traces = set()
        for watch in (one, other):
            with pytest.raises(Unavailable) as failed:
                _ = watch.seen
            traces.add(len(failed.traceback))
        assert len(traces) == 1
        looked.failure = None
        await asyncio.sleep(0)
        with watches.follow(looked.seen()) as later:
            await later.call_after(0)
            assert later.seen.job is looked.job


async def test_nobody_looks_when_the_last_follower_has_left(watches, looked, hub):
    with watches.follow(looked.seen()) as watch:
        await watch.call_after(0)
        with watches.follow(looked.seen()):
            pass
        hub.tell([looked.job.job_id])
        await watch.call_after(1)
    await asyncio.sleep(0)
    assert watches._kept == {}
    assert hub._listeners == {}
