"""The jobs that both sides of the benchmark without a database answer with."""

from google.protobuf.timestamp_pb2 import Timestamp

from tests.benchmarks.job import JOB
from tests.benchmarks.seed import job_message
from windlass.jobs.v1 import job_pb2, jobs_service_pb2


def _job(number: int) -> job_pb2.Job:
    job = job_message(JOB)
    job.job_id = f"job-01hzy2k8d6w0q3v5n7m9p{number:05}"
    job.queue = "default"
    job.grace_period.FromSeconds(10)
    job.status = job_pb2.Job.RUNNING
    job.status_reason = "STARTED"
    job.status_message = "the command runs on node node-01hzy2k8d6w0q3v5n7m9p00001"
    job.user = "ada"
    job.create_time.CopyFrom(Timestamp(seconds=1_790_000_000 + number, nanos=123_456_000))
    job.start_time.CopyFrom(Timestamp(seconds=1_790_000_100 + number, nanos=654_321_000))
    job.attempt = 1
    return job


JOBS = [_job(number) for number in range(50)]
PAGE = jobs_service_pb2.ListJobsResponse(jobs=JOBS, next_page_token="bmV4dA==")
