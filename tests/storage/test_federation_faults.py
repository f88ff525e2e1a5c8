"""Jobs at another cluster, whatever happens on the way: a seeded simulation on both engines.

Links are cut, answers are lost, servers are killed and started again, people cancel, keys are changed.
In the end every job has run once at most, is here as it is there, and its log is here, whole.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.cluster_session import CUT, World
from tests.support.fake_remote import DONE
from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.states import Status
from windlass_server.resources.remote_policy import ORIGIN_LABEL
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

Job = job_pb2.Job
STEPS = 120


class Trouble:
    """Things that happen to a cluster, to the link with it, and to the jobs there."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = Random(seed)
        self.jobs: list[str] = []
        self._servers = 0

    async def something(self) -> None:
        """One thing; the work goes on in between."""
        happenings: list[Callable[[], Awaitable[None]]] = [
            *[self._work] * 6,
            *[self._submit] * 2,
            *[self._cancel] * 3,
            *[self._go_on_there] * 3,
            self._cut,
            *[self._lose_answers] * 3,
            *[self._mend] * 3,
            self._kill_the_server,
            self._change_the_key,
            self._let_time_pass,
        ]
        await self.random.choice(happenings)()

    async def settle(self) -> None:
        """No more trouble: let everything come to its end."""
        await self._mend()
        for _ in range(400):
            await self._go_on_there()
            await self._work()
            self.world.clock.advance(1)
            if not await self.world.runs.open_at("west"):
                return
        raise AssertionError(await self.world.runs.open_at("west"))

    async def _work(self) -> None:
        await self.world.cycle()
        for _ in range(self.random.randrange(20)):
            await asyncio.sleep(0)

    async def _submit(self) -> None:
        if len(self.jobs) < 16:
            self.jobs.append(await self.world.hand_over())

    async def _cancel(self) -> None:
        for job_id in self.random.sample(self.jobs, min(1, len(self.jobs))):
            job = await self.world.scheduled.job(job_id)
            if job.status in (Status.SCHEDULED, Status.RUNNING):
                await self.world.stop(job_id)

    async def _go_on_there(self) -> None:
        """A job there goes a step further, prints, is queued again, or ends."""
        there = [job for job in self.world.remote.jobs.values() if job.status not in DONE]
        if not there:
            return
        job = self.random.choice(there)
        if job.status == Job.CANCELLING:
            job.status = Job.CANCELLED
        elif job.status in (Job.QUEUED, Job.SCHEDULED):
            job.status = self.random.choice([Job.SCHEDULED, Job.RUNNING, Job.RUNNING])
        else:
            output = self.world.remote.output.setdefault(job.job_id, [])
            output += [f"{len(output) + number}\n" for number in range(self.random.randrange(4))]
            job.status = self.random.choice([Job.RUNNING, Job.RUNNING, Job.SUCCEEDED, Job.QUEUED])
        job.status_reason = Job.Status.Name(job.status)
        job.etag += "x"

    async def _cut(self) -> None:
        self.world.remote.fails["every"] = CUT

    async def _lose_answers(self) -> None:
        self.world.remote.loses[self.random.choice(["submit", "cancel"])] = CUT

    async def _mend(self) -> None:
        self.world.remote.fails.clear()
        self.world.remote.loses.clear()

    async def _kill_the_server(self) -> None:
        """Its followers die with it; what they had not noted, nobody knows."""
        for task in self.world.session._followers.values():
            task.cancel()
        await asyncio.gather(*self.world.session._followers.values(), return_exceptions=True)
        self.world.clock.advance(self.random.choice([0, 20]))
        self._servers += 1
        self.world.session = self.world.another(f"server-{self._servers}")

    async def _change_the_key(self) -> None:
        self.world.remote.user = self.random.choice(["guest", "another"])

    async def _let_time_pass(self) -> None:
        self.world.clock.advance(self.random.choice([1, 5, 60]))


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    made = await World.start(database, tmp_path)
    yield made
    await made.session.close()
    await made.scheduled.logs.close()


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_job_ran_once_at_most_and_reads_as_it_was(
    world: World, seed: int
):
    trouble = Trouble(world, seed)
    for _ in range(STEPS):
        await trouble.something()
    await trouble.settle()
    there = {job.labels[ORIGIN_LABEL]: job for job in world.remote.jobs.values()}
    assert len(there) == len(world.remote.jobs), "a run was submitted twice"
    for job_id in trouble.jobs:
        run = await world.run(job_id)
        status = Status((await world.scheduled.job(job_id)).status)
        job = there.get(run.run_id)
        if job is None:
            assert status in (Status.QUEUED, Status.CANCELLED)
            continue
        assert Job.Status.Name(job.status) == status.name
        assert await world.text(job_id) == "".join(world.remote.output.get(job.job_id, []))
