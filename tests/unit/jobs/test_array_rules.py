"""Indices of arrays as sets of numbers, and how many of them get a job when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.jobs.v1 import job_array_pb2
from windlass_server.errors import InvalidInput
from windlass_server.jobs import array_rules
from windlass_server.jobs.array_rules import Indices, to_create
from windlass_server.jobs.array_spec import complete, indices_of
from windlass_server.jobs.states import Status

SOME = st.sets(st.integers(0, 60), min_size=1)


@given(SOME)
def test_indices_are_the_same_in_words(some: set[int]):
    indices = Indices.of([*some])
    assert [*indices] == sorted(some)
    assert [*Indices.parse(indices.text)] == sorted(some)
    assert (len(indices), indices.last) == (len(some), max(some))


@given(SOME, st.integers(0, 70), st.integers(0, 70))
def test_a_part_of_them_is_that_part_of_their_list(some: set[int], skipped: int, most: int):
    indices, listed = Indices.of([*some]), sorted(some)
    assert indices.behind(skipped, most) == listed[skipped : skipped + most]
    assert indices.before(skipped) == len([one for one in listed if one < skipped])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1))
def test_spans_may_overlap_and_be_in_any_order(spans: list[tuple[int, int]]):
    text = ",".join(f"{low}-{low + more}" for low, more in spans)
    wanted = {one for low, more in spans for one in range(low, low + more + 1)}
    assert [*Indices.parse(text)] == sorted(wanted)


@pytest.mark.parametrize(
    ("asked", "count", "text", "size"),
    [
        ({"count": 5}, 5, "", 5),
        ({"indices": "7"}, 8, "7", 1),
        ({"count": 9, "indices": "3-4,1,2"}, 9, "1-4", 4),
        ({"count": 3, "indices": "2,0,1"}, 3, "", 3),
        ({"indices": "0-99999"}, 100_000, "", 100_000),
    ],
)
def test_what_an_array_leaves_out_is_filled_in(asked, count, text, size):
    array = job_array_pb2.JobArray(**asked)
    complete(array)
    assert (array.count, array.indices, len(indices_of(array))) == (count, text, size)


@pytest.mark.parametrize("asked", [{"indices": "2-1"}, {"count": 2, "indices": "0,2"}])
def test_indices_that_cannot_be_are_refused(asked):
    with pytest.raises(InvalidInput):
        complete(job_array_pb2.JobArray(**asked))


def counts(**some: int) -> dict[Status, int]:
    return {status: some.get(status.name.lower(), 0) for status in Status}


@pytest.mark.parametrize(
    ("there", "left", "parallel", "more"),
    [
        (counts(), 5, 0, 5),
        (counts(), 5_000, 0, array_rules.WINDOW),
        (counts(queued=400), 5_000, 0, array_rules.WINDOW - 400),
        (counts(running=4_000), 5_000, 0, array_rules.WINDOW),
        (counts(), 50, 3, 3),
        (counts(queued=1, scheduled=1), 50, 3, 1),
        (counts(running=2, suspended=1), 50, 3, 0),
        (counts(running=5), 50, 3, 0),
        (counts(succeeded=5, failed=1, running=2), 50, 3, 1),
        (counts(succeeded=5), 0, 3, 0),
        (counts(), 90_000, 80_000, array_rules.WINDOW),
    ],
)
def test_so_many_more_indices_get_a_job(there, left, parallel, more):
    assert to_create(there, left=left, parallel=parallel) == more
