"""Batches of jobs on the wire."""

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message
from google.rpc import status_pb2

from windlass.jobs.v1 import job_batch_pb2, job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.reader import JobReader
from windlass_server.rpc.call import Call

_Result = job_batch_pb2.BatchSubmitJobsResponse.Result


@dataclass(frozen=True, slots=True)
class Single:
    """What is done with each job of a batch as with a call of its own.

    Attributes:
        check: raises InvalidInput for a message that does not keep to the rules in the protos.
        refusal: the status that a call would have for what was raised; with the id of the request.
    """

    check: Callable[[Message], None]
    refusal: Callable[[BaseException, str], status_pb2.Status]


class JobBatchesRpc:
    """The part of `windlass.jobs.v1.JobsService` that is about batches."""

    _batches: JobBatches
    _single: Single
    _reader: JobReader

    async def BatchSubmitJobs(
        self, request: job_batch_pb2.BatchSubmitJobsRequest, call: Call
    ) -> job_batch_pb2.BatchSubmitJobsResponse:
        answers = await self._batches.submit(
            call.caller, request.jobs, request_id=request.request_id, check=self._check
        )
        return job_batch_pb2.BatchSubmitJobsResponse(
            results=[
                _Result(error=self._single.refusal(answer, call.request_id))
                if isinstance(answer, Exception)
                else _Result(job=await self._reader.shown(answer))
                for answer in answers
            ]
        )

    def _check(self, job: job_pb2.Job) -> None:
        self._single.check(pb.SubmitJobRequest(job=job))
