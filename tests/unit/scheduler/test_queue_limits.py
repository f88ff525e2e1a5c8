"""Queues in a plan: what is paused starts nothing, and no more have a place than may."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.queue_limits import Bounds, QueueState
from windlass_server.scheduler.snapshot import Demand, Snapshot


def jobs(*users: str, queue: str = "nightly") -> list[Demand]:
    return [
        replace(a_job(f"job-{number}"), queue=queue, user=user) for number, user in enumerate(users)
    ]


def a_world(queue: list[Demand], **state: Any) -> Snapshot:
    return Snapshot(tuple(queue), (a_node(gpus=8),), queues=(QueueState("nightly", **state),))


PLANS: list[tuple[dict[str, Any], list[str], str]] = [
    ({"bounds": Bounds(2)}, ["job-0", "job-2"], "queue nightly has 2 running jobs of the 2 that it allows"),
    ({"bounds": Bounds(2), "jobs": {"cy": 1}}, ["job-0"], "queue nightly has 2 running jobs of the 2 that it allows"),
    ({"bounds": Bounds(0)}, [], "queue nightly has 0 running jobs of the 0 that it allows"),
    ({"bounds": Bounds(1), "jobs": {"cy": 9}}, [], "queue nightly has 9 running jobs of the 1 that it allows"),
    ({"bounds": Bounds(per_user=1)}, ["job-0", "job-2"], "user ann has 1 running job in queue nightly of the 1 that it allows each user"),
    ({"bounds": Bounds(per_user=1), "jobs": {"ann": 1}}, ["job-2"], "user ann has 1 running job in queue nightly of the 1 that it allows each user"),
    ({"bounds": Bounds()}, ["job-0", "job-1", "job-2"], ""),
]  # fmt: skip


@pytest.mark.parametrize(("state", "placed", "message"), PLANS)
def test_a_plan_counts_what_has_a_place_and_what_it_gives_away(
    state: dict[str, Any], placed: list[str], message: str
):
    result = plan(a_world(jobs("ann", "ann", "bob"), **state))
    assert sorted(one.job_id for one in result.placements) == placed
    assert all(one.reason == "QUEUE_LIMIT" for one in result.waiting)
    assert [one.message for one in result.waiting][-1:] == ([message] if message else [])


def test_of_a_paused_queue_nothing_starts_and_others_go_on():
    others = [replace(one, job_id="other", order="z") for one in jobs("ann", queue="day")]
    result = plan(a_world([*jobs("ann", "bob"), *others], paused=True))
    assert [one.job_id for one in result.placements] == ["other"]
    assert {(one.reason, one.message) for one in result.waiting} == {
        ("QUEUE_PAUSED", "queue nightly is paused")
    }


def test_what_its_queue_holds_is_told_no_change_of_its_own_and_no_start():
    found = outlook(a_world(jobs("ann"), paused=True), "job-0")
    assert (found.verdict, found.reason) == (Verdict.WAITS, "QUEUE_PAUSED")
    assert (found.changes, found.eta) == ((), None)
