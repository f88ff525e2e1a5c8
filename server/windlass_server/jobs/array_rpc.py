"""Arrays of jobs on the wire."""

from windlass.jobs.v1 import job_array_indices_pb2 as pb
from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.array_indices import ArrayIndices
from windlass_server.jobs.array_message import page_message
from windlass_server.jobs.reader import JobReader
from windlass_server.rpc.call import Call


class JobArraysRpc:
    """The part of `windlass.jobs.v1.JobsService` that is about arrays."""

    _array_indices: ArrayIndices
    _reader: JobReader

    async def ListJobArrayIndices(
        self, request: pb.ListJobArrayIndicesRequest, call: Call
    ) -> pb.ListJobArrayIndicesResponse:
        page = await self._array_indices.list(
            call.caller,
            request.job_id,
            statuses=request.status,
            index=request.index if request.HasField("index") else None,
            size=request.page_size,
            token=request.page_token,
        )
        return page_message(page)

    async def UpdateJobArray(self, request: pb.UpdateJobArrayRequest, call: Call) -> job_pb2.Job:
        job = await self._array_indices.set_parallel(call.caller, request.job_id, request.parallel)
        return await self._reader.shown(job)
