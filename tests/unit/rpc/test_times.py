"""Durations and timestamps that are none are found wherever they are."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass_server.errors import InvalidInput
from windlass_server.rpc.times import malformed_times
from windlass_server.rpc.validation import Validation


@pytest.mark.parametrize(
    "limit",
    [
        Duration(seconds=5, nanos=-1),
        Duration(seconds=5, nanos=2_000_000_000),
        Duration(seconds=2**63 - 1, nanos=2**31 - 1),
        Duration(seconds=-(2**63), nanos=-(2**31)),
    ],
    ids=["of two signs", "with too many nanos", "the longest int64", "the shortest int64"],
)
def test_a_duration_that_is_none_is_named(limit: Duration):
    job = job_pb2.Job(command=["true"], time_limit=limit)
    request = jobs_service_pb2.SubmitJobRequest(job=job)
    assert {one.field for one in malformed_times(request)} == {"job.time_limit"}
    with pytest.raises(InvalidInput) as refused:
        Validation().check(request)
    assert {one.field for one in refused.value.violations} == {"job.time_limit"}


def test_a_timestamp_that_is_none_is_named():
    request = jobs_service_pb2.ListJobsRequest(created_after=Timestamp(seconds=2**63 - 1))
    assert [one.field for one in malformed_times(request)] == ["created_after"]


def test_times_in_repeated_messages_are_named_by_index():
    hello = agent_pb2.Hello()
    hello.runs.add()
    hello.runs.add().start_time.nanos = -1
    assert [one.field for one in malformed_times(hello)] == ["runs[1].start_time"]


def test_good_times_and_absent_ones_pass():
    job = job_pb2.Job(command=["true"], time_limit=Duration(seconds=1, nanos=999_999_999))
    assert malformed_times(jobs_service_pb2.SubmitJobRequest(job=job)) == []
    assert malformed_times(jobs_service_pb2.SubmitJobRequest()) == []
