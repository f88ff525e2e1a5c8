"""The archives that jobs bring along, on the wire."""

from collections.abc import AsyncIterator

from windlass.jobs.v1 import source_pb2 as pb
from windlass_server.errors import InvalidInput
from windlass_server.jobs.sources import SourcesService
from windlass_server.rpc.call import Call
from windlass_server.storage.tables import SourceRow
from windlass_server.timestamps import to_proto


class SourcesRpc:
    """The part of `windlass.jobs.v1.JobsService` that is about archives."""

    _sources: SourcesService

    async def UploadSource(
        self, requests: AsyncIterator[pb.UploadSourceRequest], call: Call
    ) -> pb.SourceArchive:
        first = await anext(requests, None)
        if first is None:
            raise InvalidInput("the first message says what is coming", reason="START_EXPECTED")
        row = await self._sources.upload(
            call.caller, first.project, _data(first, requests), sha256=first.sha256
        )
        return source_message(row)

    async def ListSources(
        self, request: pb.ListSourcesRequest, call: Call
    ) -> pb.ListSourcesResponse:
        rows, token = await self._sources.list(
            call.caller,
            request.project,
            sha256=request.sha256,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListSourcesResponse(
            sources=[source_message(row) for row in rows], next_page_token=token
        )

    async def GetSource(self, request: pb.GetSourceRequest, call: Call) -> pb.SourceArchive:
        return source_message(await self._sources.get(call.caller, request.source_id))

    async def DeleteSource(self, request: pb.DeleteSourceRequest, call: Call) -> pb.SourceArchive:
        return source_message(await self._sources.delete(call.caller, request.source_id))


def source_message(row: SourceRow) -> pb.SourceArchive:
    """An archive; one that has been removed as it was."""
    return pb.SourceArchive(
        source_id=row.source_id,
        project=row.project,
        sha256=row.sha256 or "",
        size_bytes=row.size_bytes,
        user=row.user,
        create_time=to_proto(row.created_at),
        use_time=to_proto(row.used_at),
    )


async def _data(
    first: pb.UploadSourceRequest, requests: AsyncIterator[pb.UploadSourceRequest]
) -> AsyncIterator[bytes]:
    yield first.content.data
    async for request in requests:
        if request.project or request.sha256:
            raise InvalidInput("a file has one first message", reason="START_REPEATED")
        yield request.content.data
