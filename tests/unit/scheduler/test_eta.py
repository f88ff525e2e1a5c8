"""When a job that waits is said to start."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.test_backfill import HALF, MINUTE, N1, NOW, job, runs, world
from tests.unit.scheduler.worlds import a_job
from windlass_server.scheduler.eta import FORESEEN, Eta
from windlass_server.scheduler.outlook import outlook
from windlass_server.scheduler.snapshot import Demand, Running, RunTime, Snapshot


def eta_of(job_id: str, snapshot: Snapshot) -> Eta | None:
    """In minutes from now."""
    found = outlook(snapshot, job_id).eta
    if found is None or found.p50 is None or found.p90 is None:
        return found
    return Eta((found.p50 - NOW) // MINUTE, (found.p90 - NOW) // MINUTE)


def unsure(running: Running, likely: int) -> Running:
    return replace(running, likely_end=NOW + likely * MINUTE)


def learned(demand: Demand, p50: int, p90: int) -> Demand:
    return replace(demand, expected_run=RunTime(p50 * MINUTE, p90 * MINUTE))


@pytest.mark.parametrize(
    ("jobs", "running", "expected"),
    [
        ([job("big", gpus=8)], HALF, Eta(30, 30)),
        ([job("big", gpus=8)], [unsure(HALF[0], 10)], Eta(10, 30)),
        (
            [learned(job("a", gpus=8), 5, 60), job("big", gpus=8)],
            [unsure(HALF[0], 10)],
            Eta(15, 90),
        ),
        # Its limit is the worst of it; half of such jobs were over sooner.
        (
            [learned(job("a", gpus=8, minutes=50), 5, 20), job("big", gpus=8)],
            HALF,
            Eta(35, 80),
        ),
        # By what is likely it has room at once: the one before it waits for longer than it runs.
        (
            [job("a", gpus=8, minutes=9), learned(job("big", gpus=4), 20, 40)],
            HALF,
            Eta(0, 39),
        ),
    ],
)
def test_it_starts_by_what_is_likely_and_by_what_is_expected(
    jobs: list[Demand], running: list[Running], expected: Eta
):
    assert eta_of("big", world(jobs, [N1], running)) == expected


def test_it_is_said_when_nobody_knows():
    forever = world([job("big", gpus=8)], [N1], [runs(N1, 0)])
    found = eta_of("big", forever)
    assert found is not None
    assert found.unknown == "what it waits for, or what comes before it, may run for ever"
    behind = world([job("big", gpus=8, minutes=9), job("next", gpus=8)], [N1], [runs(N1, 0)])
    after = eta_of("next", behind)
    assert after is not None
    assert (after.p50, after.p90) == (None, None)


def test_so_many_are_foreseen_and_the_next_is_told_that():
    jobs = [job(f"job-{number:03}", gpus=8, minutes=1) for number in range(FORESEEN + 1)]
    last = f"job-{FORESEEN - 1:03}"
    assert eta_of(last, world(jobs, [N1], HALF)) == Eta(30 + FORESEEN - 1, 30 + FORESEEN - 1)
    found = eta_of(jobs[-1].job_id, world(jobs, [N1], HALF))
    assert found is not None
    assert found.unknown.startswith("more than 100 jobs")


@pytest.mark.parametrize(
    "asked",
    [
        job("now", gpus=1),
        job("never", gpus=16),
        replace(a_job("held", gpus=8), start_after=NOW + MINUTE),
    ],
)
def test_nothing_is_said_of_what_starts_now_or_never_or_is_held(asked: Demand):
    assert eta_of(asked.job_id, world([asked], [N1], HALF)) is None
