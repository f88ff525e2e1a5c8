"""Arrays of jobs: their indices, and how many of those run at once."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windlass.jobs.v1 import (
    job_array_indices_pb2,
    job_array_pb2,
    job_pb2,
    jobs_service_pb2_grpc,
)
from windlass_client.calls import Call, Group, Pages, listing, operation, unary
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    Status = job_pb2.Job.Status

JobArray = job_array_pb2.JobArray

_Stub = jobs_service_pb2_grpc.JobsServiceStub
INDICES = unary(_Stub, lambda stub: stub.ListJobArrayIndices, idempotent=True)
UPDATE = unary(_Stub, lambda stub: stub.UpdateJobArray, idempotent=True)
_SPANS = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")


def parse_array(text: str, parallel: int = 0) -> job_array_pb2.JobArray:
    """The array that a text says: `1000` for the indices 0 to 999, or those of `0-9,17`. Raises InvalidArgument."""
    if text.isascii() and text.isdecimal():
        return JobArray(count=int(text[:9]), parallel=parallel)
    if not _SPANS.fullmatch(text):
        message = f"{text!r} is neither a count, such as 1000, nor indices, such as 0-9,17"
        raise InvalidArgument(message, reason="BAD_ARRAY")
    return JobArray(indices=text, parallel=parallel)


class ArrayCalls(Group):
    """Requests about arrays."""

    @listing
    def array_indices(
        self,
        job_id: str,
        *,
        status: "Sequence[Status]" = (),
        index: int | None = None,
        page_size: int = 0,
    ) -> Pages[
        job_array_indices_pb2.ListJobArrayIndicesRequest,
        job_array_indices_pb2.ListJobArrayIndicesResponse,
        job_array_indices_pb2.ArrayIndex,
    ]:
        """Iterate over the indices of an array, the smallest first.

        Args:
            job_id: the array.
            status: only indices in one of these statuses.
            index: only this one.
            page_size: indices of one request.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it is no array.
        """
        request = job_array_indices_pb2.ListJobArrayIndicesRequest(
            job_id=job_id, status=status, index=index, page_size=page_size
        )
        return Pages(INDICES, request, lambda page: page.indices)

    @operation
    def set_array_parallel(
        self, job_id: str, parallel: int
    ) -> Call[job_array_indices_pb2.UpdateJobArrayRequest, job_pb2.Job]:
        """Change how many indices of an array may be under way at once; 0: as many as there is room for.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it is no array, or has ended.
        """
        request = job_array_indices_pb2.UpdateJobArrayRequest(job_id=job_id, parallel=parallel)
        return Call(UPDATE, request)
