"""Profiles of jobs on the wire."""

from google.api import httpbody_pb2

from windlass.jobs.v1 import job_profile_pb2 as pb
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.gateway.filenames import attachment
from windlass_server.jobs.profiles import DEFAULT_SECONDS, JobProfiles, Wanted
from windlass_server.rpc.call import Call
from windlass_server.timestamps import duration_from_proto

_FILES = {
    ProfileFormat.FLAMEGRAPH: ("svg", "image/svg+xml"),
    ProfileFormat.SPEEDSCOPE: ("speedscope.json", "application/json"),
    ProfileFormat.RAW: ("txt", "text/plain; charset=utf-8"),
}


class ProfilesRpc:
    """The part of `windlass.jobs.v1.JobsService` that is about profiles."""

    _profiles: JobProfiles

    async def ProfileJob(self, request: pb.ProfileJobRequest, call: Call) -> httpbody_pb2.HttpBody:
        kind = request.format or ProfileFormat.FLAMEGRAPH
        wanted = Wanted(request.rank, _seconds(request), kind)
        data = await self._profiles.take(call.caller, request.job_id, wanted)
        ending, content_type = _FILES[kind]
        # To be saved and not shown: the drawing has scripts, and names that users chose.
        name = f"{request.job_id}-{request.rank}.{ending}"
        call.response_metadata |= {"content-disposition": attachment(name)}
        return httpbody_pb2.HttpBody(content_type=content_type, data=data)


def _seconds(request: pb.ProfileJobRequest) -> int:
    if not request.HasField("duration"):
        return DEFAULT_SECONDS
    return -(-duration_from_proto(request.duration) // MICROS_PER_SECOND)
