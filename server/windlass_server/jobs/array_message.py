"""Indices of arrays from rows to messages."""

from windlass.jobs.v1 import job_array_indices_pb2 as pb
from windlass_server.jobs.array_indices import IndexPage, status_without
from windlass_server.jobs.messages import array_status
from windlass_server.jobs.states import Status
from windlass_server.storage.tables import JobRow
from windlass_server.timestamps import to_proto

PENDING = "ARRAY_INDEX_PENDING"
"""Why an index waits that has no job yet."""


def page_message(page: IndexPage) -> pb.ListJobArrayIndicesResponse:
    """A page of an array's indices."""
    status = status_without(page.job)
    waits = status is Status.QUEUED
    reason = PENDING if waits else page.job.status_reason
    message = "it gets its job when those before it have moved on" if waits else ""
    return pb.ListJobArrayIndicesResponse(
        indices=[
            *map(_with_job, page.jobs),
            *(
                pb.ArrayIndex(
                    index=index,
                    status=int(status),  # type: ignore[arg-type]
                    status_reason=reason,
                    status_message=message or page.job.status_message,
                )
                for index in page.without
            ),
        ],
        next_page_token=page.token,
        array_status=array_status(page.job, page.array),
    )


def _with_job(row: JobRow) -> pb.ArrayIndex:
    return pb.ArrayIndex(
        index=row.array_index or 0,
        job_id=row.job_id,
        status=row.status,  # type: ignore[arg-type]
        status_reason=row.status_reason,
        status_message=row.status_message,
        exit_code=row.exit_code,
        exit_signal=row.exit_signal,
        attempt=row.attempt,
        node_id=row.node_id,
        start_time=None if row.started_at is None else to_proto(row.started_at),
        end_time=None if row.ended_at is None else to_proto(row.ended_at),
    )
