"""A golden walk: each life that a job can have, with the event of each step, as `tests/golden/life_cycle.txt` says.

`WINDLASS_GOLDEN=1` writes that file; read the difference before it is committed.
"""

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import SECOND, Waiting
from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.retrying import Retry
from windlass_server.jobs.states import FINAL, TRANSITIONS, Event, Status
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

GOLDEN = Path(__file__).parents[1] / "golden" / "life_cycle.txt"


async def submit(waiting: Waiting, **fields: object) -> str:
    spec = job_pb2.Job(project="default", command=["train"], **fields)  # type: ignore[arg-type]
    return (await waiting.jobs.submit(ADA, spec)).job_id


async def end(waiting: Waiting, job_id: str, cause: str, **how: int) -> None:
    await waiting.world.report(job_id, "EXITED", cause=cause, **how)


async def succeeds(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.succeed(job_id)
    return job_id


async def fails_and_is_retried(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.fail(job_id)
    await waiting.retries.retry(ADA, Retry(job_id, reason="flaky disk"))
    return job_id


async def is_cancelled_while_it_waits(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.cancel(job_id)
    return job_id


async def is_cancelled_and_then_killed(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await waiting.jobs.cancel(ADA, job_id, reason="typo")
    await waiting.jobs.cancel(ADA, job_id, reason="at last", force=True)
    await end(waiting, job_id, "STOPPED")
    return job_id


async def runs_out_of_time(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await end(waiting, job_id, "TIME_LIMIT", exit_signal=9)
    return job_id


async def runs_out_of_memory(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await end(waiting, job_id, "OUT_OF_MEMORY", exit_signal=9)
    return job_id


async def loses_its_node_and_asks_to_be_run_again(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await end(waiting, job_id, "LOST")
    waiting.clock.advance(60)
    await waiting.run(job_id)
    await end(waiting, job_id, "COMPLETED", exit_code=85)
    await waiting.succeed(job_id)
    return job_id


async def fails_by_its_retry_policy_at_last(waiting: Waiting) -> str:
    backoff = {"initial": {"seconds": 10}, "jitter": 0}
    job_id = await submit(waiting, retry={"max_attempts": 2, "backoff": backoff})
    await waiting.fail(job_id)
    waiting.clock.advance(10)
    await waiting.settle()
    await waiting.fail(job_id)
    return job_id


async def is_held_and_released(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.holds.hold(ADA, job_id, reason="no data yet")
    await waiting.holds.release(ADA, job_id, reason="")
    await waiting.succeed(job_id)
    return job_id


async def is_suspended_and_resumed(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await waiting.suspensions.suspend(ADA, job_id, reason="demo")
    await end(waiting, job_id, "STOPPED")
    await waiting.suspensions.resume(ADA, job_id, reason="")
    await waiting.succeed(job_id)
    return job_id


async def is_suspended_for_good(waiting: Waiting) -> str:
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await waiting.suspensions.suspend(ADA, job_id, reason="")
    await end(waiting, job_id, "STOPPED")
    await waiting.cancel(job_id)
    return job_id


async def waits_for_what_never_comes(waiting: Waiting) -> str:
    first = await submit(waiting)
    job_id = await waiting.submit(("AFTER_OK", first))
    await waiting.cancel(first)
    await waiting.settle()
    return job_id


async def misses_its_deadline_while_it_waits(waiting: Waiting) -> str:
    at = {"seconds": waiting.clock.now() // SECOND + 60}
    job_id = await submit(waiting, deadline=at)
    waiting.clock.advance(60)
    await waiting.settle()
    return job_id


async def misses_its_deadline_while_it_runs(waiting: Waiting) -> str:
    at = {"seconds": waiting.clock.now() // SECOND + 60}
    job_id = await submit(waiting, deadline=at)
    await waiting.run(job_id)
    waiting.clock.advance(60)
    await waiting.settle()
    await end(waiting, job_id, "STOPPED")
    return job_id


LIVES: list[Callable[[Waiting], Awaitable[str]]] = [
    succeeds,
    fails_and_is_retried,
    is_cancelled_while_it_waits,
    is_cancelled_and_then_killed,
    runs_out_of_time,
    runs_out_of_memory,
    loses_its_node_and_asks_to_be_run_again,
    fails_by_its_retry_policy_at_last,
    is_held_and_released,
    is_suspended_and_resumed,
    is_suspended_for_good,
    waits_for_what_never_comes,
    misses_its_deadline_while_it_waits,
    misses_its_deadline_while_it_runs,
]


async def walk(waiting: Waiting) -> str:
    text = ""
    for life in LIVES:
        job_id = await life(waiting)
        text += f"{life.__name__.replace('_', ' ')}\n"
        for event in await waiting.events(job_id):
            actor, message = _without_ids(event.actor), _without_ids(event.message)
            status = Status(event.status).name
            text += f"  {status:17} {event.reason:19} {actor:19} {message}\n"
        text += "\n"
    return text


def _without_ids(line: str) -> str:
    line = re.sub(r"\b(job|node|run)-[0-9a-z]{26}\b", r"\1-…", line)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)


async def test_each_life_of_a_job_has_the_events_that_it_should(database: Database, tmp_path: Path):
    found = await walk(await Waiting.start(database, tmp_path))
    if os.environ.get("WINDLASS_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


async def test_the_walk_reaches_every_status(database: Database, tmp_path: Path):
    found = await walk(await Waiting.start(database, tmp_path))
    assert {status.name for status in Status} - set(found.split()) == set()
    ends = {status for (_, event), status in TRANSITIONS.items() if event is not Event.RETRY}
    assert ends >= FINAL
