import pytest

from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass_client import DeadlineExceeded, InvalidArgument, Unavailable
from windlass_client.connect import Manner
from windlass_client.jobs import FINAL, Status, _Watch, exit_code, parse_status
from windlass_client.logs import LogReader
from windlass_client.retries import RetryPolicy

Job = job_pb2.Job


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (Job(status=Job.SUCCEEDED, exit_code=0), 0),
        (Job(status=Job.FAILED, exit_code=3), 3),
        (Job(status=Job.FAILED, exit_signal=9), 137),
        (Job(status=Job.FAILED), 1),
        (Job(status=Job.CANCELLED), 1),
        (Job(status=Job.TIMED_OUT, exit_code=0), 1),
        (Job(status=Job.OUT_OF_MEMORY, exit_signal=9), 137),
    ],
)
def test_a_job_ends_the_way_a_shell_would_tell(job, code):
    assert exit_code(job) == code


def test_a_status_is_final_when_its_comment_says_so():
    assert {Status.Name(s) for s in FINAL} == {
        "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "OUT_OF_MEMORY", "DEADLINE_EXCEEDED",
    }  # fmt: skip


def test_a_status_is_read_in_any_case():
    assert parse_status("running") == Job.RUNNING
    with pytest.raises(InvalidArgument, match="QUEUED, SCHEDULED"):
        parse_status("STATUS_UNSPECIFIED")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_waiting_looks_ever_less_often_and_stops_at_a_final_status():
    seen = []
    watch = _Watch("job-1", None, Clock(), lambda job: seen.append(job.status))
    delays = [watch.see(Job(status=Job.RUNNING, etag="1")) for _ in range(20)]
    assert delays[0] == 0.05
    assert delays == sorted(delays)
    assert delays[-1] == 1.0
    assert watch.see(Job(status=Job.FAILED, etag="2")) is None
    assert seen == [Job.RUNNING, Job.FAILED]


def test_waiting_gives_up_at_its_time_limit():
    clock = Clock()
    watch = _Watch("job-1", 0.07, clock, None)
    assert watch.see(Job(job_id="job-1", status=Job.QUEUED)) == 0.05
    clock.now = 0.06
    assert watch.see(Job(job_id="job-1", status=Job.QUEUED)) == pytest.approx(0.01)
    clock.now = 0.08
    with pytest.raises(DeadlineExceeded, match="job-1 is still QUEUED"):
        watch.see(Job(job_id="job-1", status=Job.QUEUED))


def reader(clock: Clock, **request) -> LogReader:
    manner = Manner(retries=RetryPolicy(resume_for=10, random=lambda: 0.0), clock=clock)
    return LogReader(jobs_service_pb2.StreamJobLogsRequest(job_id="job-1", **request), manner)


def message(cursor: str, **content) -> job_pb2.JobLogMessage:
    return job_pb2.JobLogMessage(cursor=cursor, **content)


def test_a_log_is_reopened_behind_its_last_message_and_without_its_tail():
    reading = reader(Clock(), tail=2)
    assert reading.accept(message("7", chunk=job_pb2.LogChunk(text="x"))) is True
    assert reading.accept(message("9", heartbeat=job_pb2.LogHeartbeat())) is False
    again = reading.request()
    assert again.cursor == "9"
    assert not again.HasField("tail")


def test_a_log_that_broke_before_its_first_message_is_reopened_with_its_tail():
    reading = reader(Clock(), tail=2)
    reading.broken(Unavailable("gone"))
    assert reading.request().tail == 2


def test_reopening_a_log_is_given_up_when_nothing_comes_for_too_long():
    clock = Clock()
    reading = reader(clock)
    clock.now = 9.0
    reading.accept(message("1", chunk=job_pb2.LogChunk(text="x")))
    clock.now = 18.0
    reading.broken(Unavailable("gone"))
    clock.now = 19.0
    with pytest.raises(Unavailable, match="gone"):
        reading.broken(Unavailable("gone"))


def test_an_error_in_the_stream_is_a_break():
    reading = reader(Clock())
    with pytest.raises(Unavailable, match="lost") as broken:
        reading.accept(message("3", error=job_pb2.LogError(reason="LOG_LOST", message="lost")))
    assert broken.value.reason == "LOG_LOST"
    assert reading.request().cursor == "3"
