"""The life cycle of a job holds for every status and every event."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.jobs.v1 import job_pb2
from windlass_server.errors import WrongState
from windlass_server.jobs.states import ARRAY_TRANSITIONS, FINAL, TRANSITIONS, Event, Status, after


def test_statuses_are_those_of_the_contract():
    contract = dict(job_pb2.Job.Status.items())
    del contract["STATUS_UNSPECIFIED"]
    assert {status.name: status.value for status in Status} == contract


@pytest.mark.parametrize(("status", "event"), [*itertools.product(FINAL, Event)])
def test_a_final_status_never_changes(status, event):
    with contextlib.suppress(WrongState):
        assert after(status, event, "job-1") == status


@pytest.mark.parametrize(("status", "event"), [*itertools.product(Status, Event)])
def test_what_the_table_does_not_allow_is_refused(status, event):
    if (status, event) in TRANSITIONS:
        assert after(status, event, "job-1") is TRANSITIONS[status, event]
    else:
        with pytest.raises(WrongState) as refused:
            after(status, event, "job-1")
        assert refused.value.reason == "JOB_WRONG_STATE"


@pytest.mark.parametrize("status", [*Status])
def test_every_status_can_be_reached_and_left_unless_final(status):
    reached = status is Status.QUEUED or status in TRANSITIONS.values()
    left = any(
        source is status and target is not status for (source, _), target in TRANSITIONS.items()
    )
    assert reached
    assert left == (status not in FINAL)


@pytest.mark.parametrize(("status", "event"), [*itertools.product(Status, Event)])
def test_of_an_array_what_its_table_does_not_allow_is_refused(status, event):
    if (status, event) in ARRAY_TRANSITIONS:
        assert after(status, event, "job-1", array=True) is ARRAY_TRANSITIONS[status, event]
    else:
        with pytest.raises(WrongState) as refused:
            after(status, event, "job-1", array=True)
        assert refused.value.reason == "JOB_WRONG_STATE"


def test_an_array_has_no_place_and_leaves_no_final_status():
    sources = {source for source, _ in ARRAY_TRANSITIONS}
    assert not {Status.SCHEDULED, Status.SUSPENDING, Status.SUSPENDED} & sources
    for (source, event), target in ARRAY_TRANSITIONS.items():
        assert source not in FINAL or target is source
        # Its indices end first.
        assert event is not Event.CANCEL or target not in FINAL or source is target


@given(st.lists(st.sampled_from(Event)))
def test_no_history_leaves_a_final_status_or_runs_before_it_is_placed(events):
    status, placed = Status.QUEUED, False
    for event in events:
        before = status
        try:
            status = after(status, event, "job-1")
        except WrongState:
            continue
        assert before not in FINAL or status is before
        placed = event is Event.PLACE or (placed and status is not Status.QUEUED)
        assert placed or status not in {Status.SCHEDULED, Status.RUNNING, Status.SUCCEEDED}
