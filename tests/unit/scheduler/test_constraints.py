"""What is kept for others is told from what is not there."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.scheduler.test_backfill import BIG, HALF, MINUTE, N1, NOW, job, runs, world
from windlass_server.scheduler.outlook import outlook
from windlass_server.scheduler.snapshot import Demand, Kept, Moment, Running, Snapshot

# When the job is to start that waits for what runs until then.
START = "2027-01-15T08:30:00Z"


def in_the_way(snapshot: Snapshot) -> list[tuple[str, int, str]]:
    """What keeps the last job of a queue from its nodes, on how many of them, and in what words."""
    found = outlook(snapshot, snapshot.queue[-1].job_id)
    return [(one.refusal, one.now, one.message) for one in found.constraints]


@pytest.mark.parametrize(
    ("jobs", "running", "message"),
    [
        ([BIG], HALF, f"on node n1 8 H100 are kept for big, which is to start there at {START}"),
        (
            [BIG],
            [runs(N1, 0, 1, 2, 3)],
            "on node n1 8 H100 are kept for big, which is to start there, nobody knows when",
        ),
        (
            [replace(BIG, gpu_count=0, cpu_millis=N1.cpu_millis, priority=1)],
            [runs(N1, until=30, cpu=1000)],
            f"on node n1 32 cores and 1 GiB of memory are kept for big, which is to start there at {START}",
        ),
    ],
)  # fmt: skip
def test_nodes_that_keep_what_they_have_for_a_job_say_for_whom_and_until_when(
    jobs: Sequence[Demand], running: Sequence[Running], message: str
):
    later = job("later", gpus=2)
    assert in_the_way(world([*jobs, later], [N1], running)) == [
        ("WOULD_DELAY_EARLIER_JOB", 1, message)
    ]


@pytest.mark.parametrize(
    ("begins", "since"),
    [(NOW - MINUTE, ""), (NOW + 30 * MINUTE, f" from {START} on")],
)
def test_nodes_that_keep_what_they_have_for_a_reservation_say_for_which_and_until_when(
    begins: int, since: str
):
    kept = Kept("resv-1", "vision", frozenset(), 0, 0, 8, "h100", until=NOW + 90 * MINUTE)
    moment = Moment(N1.node_id, begins, N1.cpu_millis, N1.memory_bytes, {"h100": 8}, (kept,))
    assert in_the_way(world([job("later", gpus=2)], [N1], moments=[moment])) == [
        (
            "RESERVED",
            1,
            f"on node n1 8 H100 are kept for reservation resv-1{since}, until 2027-01-15T09:30:00Z",
        )
    ]


def test_what_is_not_there_is_told_as_before_also_where_something_is_kept():
    found = in_the_way(world([BIG, job("later", gpus=5)], [N1], HALF))
    assert found == [("INSUFFICIENT_GPUS", 1, "")]
