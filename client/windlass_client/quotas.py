"""How much projects and users may have."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from windlass.access.v1 import access_service_pb2, access_service_pb2_grpc, quota_pb2
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_bytes, parse_cpu_millis, parse_gpu_millis

Quota = quota_pb2.Quota
QuotaAmounts = quota_pb2.QuotaAmounts
QuotaLimits = quota_pb2.QuotaLimits

_Stub = access_service_pb2_grpc.AccessServiceStub
LIST = unary(_Stub, lambda stub: stub.ListQuotas, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetQuota, idempotent=True)
EVENTS = unary(_Stub, lambda stub: stub.ListQuotaEvents, idempotent=True)
# Sent once: a repeat would be told that it exists, was changed, or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreateQuota, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdateQuota, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteQuota, idempotent=False)

# How people call what is counted, and how they write it.
_AMOUNTS: dict[str, tuple[str, Callable[[str], int]]] = {
    "gpus": ("gpu_millis", parse_gpu_millis),
    "cpus": ("cpu_millis", parse_cpu_millis),
    "memory": ("memory_bytes", parse_bytes),
}
# What fits into the field of a request.
_MOST_JOBS = 2**31 - 1
_JOBS = {"running": "running_jobs", "queued": "queued_jobs"}
_ARTIFACTS = {"artifacts": ("artifact_bytes", parse_bytes)}


def parse_amounts(texts: Iterable[str]) -> QuotaAmounts:
    """Amounts such as `gpus=8`, `cpus=64` and `memory=256GiB`, also several in one text with commas."""
    return QuotaAmounts(**_parsed(texts, _AMOUNTS))


def parse_limits(texts: Iterable[str]) -> QuotaLimits:
    """As `parse_amounts`, and `running=20` and `queued=500` jobs, and `artifacts=1TiB`."""
    jobs = {name: (field, _count) for name, field in _JOBS.items()}
    return QuotaLimits(**_parsed(texts, _AMOUNTS | jobs | _ARTIFACTS))


class QuotaCalls(Group):
    """Requests about quotas."""

    @listing
    def list(
        self, *, project: str = "", user: str = "", gpu_type: str = "", page_size: int = 0
    ) -> Pages[access_service_pb2.ListQuotasRequest, access_service_pb2.ListQuotasResponse, Quota]:
        """Iterate over the quotas with what is had of them, oldest first.

        Args:
            project: only of this project; of all that you have a role in by default.
            user: only of this user.
            gpu_type: only of this type of GPU.
            page_size: how many are fetched at once.
        """
        request = access_service_pb2.ListQuotasRequest(
            project=project, user=user, gpu_type=gpu_type, page_size=page_size
        )
        return Pages(LIST, request, lambda page: page.quotas)

    @operation
    def get(self, quota_id: str) -> Call[access_service_pb2.GetQuotaRequest, Quota]:
        """Read a quota. Raises NotFound."""
        return Call(GET, access_service_pb2.GetQuotaRequest(quota_id=quota_id))

    @operation
    def create(
        self,
        project: str,
        *,
        user: str = "",
        gpu_type: str = "",
        cohort: str = "",
        guaranteed: QuotaAmounts | None = None,
        borrowing_limit: QuotaAmounts | None = None,
        limit: QuotaLimits | None = None,
        max_priority: int | None = None,
    ) -> Call[access_service_pb2.CreateQuotaRequest, Quota]:
        """Make a quota, which counts what its owner has already.

        Args:
            project: whose it is.
            user: only of this user's work there; such a quota has a limit alone.
            gpu_type: only of GPUs of this type.
            cohort: with whom the project lends and borrows.
            guaranteed: what the project can count on.
            borrowing_limit: how much it may have beyond that of what others leave idle; any by default.
            limit: the most in all.
            max_priority: the highest that its jobs can be given; any by default.

        Raises:
            AlreadyExists: there is one of that project, user and type.
            InvalidArgument: it makes no sense, such as a limit below the guarantee.
            NotFound: there is no such project.
        """
        quota = Quota(
            project=project,
            user=user,
            gpu_type=gpu_type,
            cohort=cohort,
            guaranteed=guaranteed,
            borrowing_limit=borrowing_limit,
            limit=limit,
            max_priority=max_priority,
        )
        return Call(CREATE, access_service_pb2.CreateQuotaRequest(quota=quota))

    @operation
    def update(
        self, quota: Quota, fields: Sequence[str]
    ) -> Call[access_service_pb2.UpdateQuotaRequest, Quota]:
        """Change what a quota allows; what is held beyond that stays, and nothing new starts.

        Args:
            quota: its id, what shall be different, and its etag if nobody else may have been first.
            fields: of `cohort`, `guaranteed`, `borrowing_limit`, `limit` and `max_priority` those to change.

        Raises:
            NotFound: there is none of that id.
            InvalidArgument: it makes no sense.
            Aborted: it is not as the etag says.
        """
        request = access_service_pb2.UpdateQuotaRequest(quota=quota)
        request.update_mask.paths.extend(fields)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, quota_id: str, *, etag: str = ""
    ) -> Call[access_service_pb2.DeleteQuotaRequest, Quota]:
        """Remove a quota; answers it as it was. Raises NotFound, and Aborted by the etag."""
        return Call(DELETE, access_service_pb2.DeleteQuotaRequest(quota_id=quota_id, etag=etag))

    @listing
    def events(
        self, quota_id: str, *, page_size: int = 0
    ) -> Pages[
        access_service_pb2.ListQuotaEventsRequest,
        access_service_pb2.ListQuotaEventsResponse,
        quota_pb2.QuotaEvent,
    ]:
        """Iterate over who changed what of a quota, oldest first; also of one that is gone. Raises NotFound."""
        request = access_service_pb2.ListQuotaEventsRequest(quota_id=quota_id, page_size=page_size)
        return Pages(EVENTS, request, lambda page: page.events)


class Quotas(QuotaCalls, SyncGroup):
    """Quotas, blocking."""


class AsyncQuotas(QuotaCalls, AsyncGroup):
    """Quotas for asyncio."""


def _parsed(
    texts: Iterable[str], known: Mapping[str, tuple[str, Callable[[str], int]]]
) -> dict[str, int]:
    """The amounts by their fields; `none` is no amount."""
    found: dict[str, int] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, separator, amount = part.partition("=")
        if part == "none":
            continue
        if not separator or name not in known:
            names = ", ".join(f"{one}=…" for one in known)
            raise InvalidArgument(f"{part!r} is not one of {names}, none", reason="BAD_AMOUNT")
        field, parse = known[name]
        found[field] = parse(amount)
    return found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f"{text!r} is not a number of jobs", reason="BAD_COUNT")
    if int(text) > _MOST_JOBS:
        message = f"{text} jobs are more than can be counted: {_MOST_JOBS}"
        raise InvalidArgument(message, reason="BAD_COUNT")
    return int(text)
