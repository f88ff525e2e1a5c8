"""Profiles of tasks that run."""

from datetime import timedelta
from typing import Any, cast

from windlass.jobs.v1 import job_metrics_pb2, job_profile_pb2, jobs_service_pb2_grpc
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_client.calls import unary
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

PROFILE = unary(
    jobs_service_pb2_grpc.JobsServiceStub, lambda stub: stub.ProfileJob, idempotent=False
)
PATIENCE_SECONDS = 120.0
"""How long a profile may take, with the way to and from its node."""


def profile_request(
    job_id: str,
    rank: int,
    duration: timedelta | float | str,
    format: str,  # noqa: A002
) -> job_profile_pb2.ProfileJobRequest:
    """The request for a profile. Raises InvalidArgument."""
    kind = enum_value(ProfileFormat.Kind, format, "format")
    request = job_profile_pb2.ProfileJobRequest(job_id=job_id, rank=rank, format=kind)
    request.duration.FromTimedelta(parse_duration(duration))
    return request


def aggregate_of(name: str) -> "job_metrics_pb2.GetJobMetricsRequest.Aggregate":
    """How ranks become one, by its name in any case; empty: not at all. Raises InvalidArgument."""
    kind = job_metrics_pb2.GetJobMetricsRequest.Aggregate
    return cast(
        "job_metrics_pb2.GetJobMetricsRequest.Aggregate", enum_value(kind, name, "aggregate")
    )


def enum_value(kind: Any, name: str, what: str) -> Any:
    """The value of an enum by its name in any case; its first for an empty one. Raises InvalidArgument."""
    known = kind.keys()[1:]
    if name and name.upper() not in known:
        message = f"{name!r} is not a {what}; there are {', '.join(known)}"
        raise InvalidArgument(message, reason=f"BAD_{what.upper()}")
    return kind.Value(name.upper()) if name else 0
