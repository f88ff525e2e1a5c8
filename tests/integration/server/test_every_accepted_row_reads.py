"""Whatever a submit accepts, every read of it succeeds afterwards and gives it back."""

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.gateway import PLANNED, windlass_descriptors
from tests.support.jobs_api import SERVICE, JobsApi
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.gateway.routes import Match
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Binding, Transcoder
from windlass_server.rpc.pipeline import CallFailed

M = TypeVar("M", bound=Message)

ROUTER = build_table(Transcoder(windlass_descriptors()), [SERVICE], PLANNED).router
REFUSALS = {code_pb2.INVALID_ARGUMENT, code_pb2.PERMISSION_DENIED, code_pb2.NOT_FOUND}
NASTY = [
    "\u0085",
    "\u2028",
    "\u202eabc",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "👩‍👩‍👧",
    "e\u0301",
    "' OR 1=1 --",
    "%_\\",
    '{"jobs":[]}',
    "\\u0000",
    "</script>",
    "${HOME}",
    "a=b=c",
    " ",
    "-1",
    "NaN",
]


def text(forbidden: str, most: int) -> st.SearchStrategy[str]:
    """Text without these characters, often of the sort that breaks things."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters=forbidden)
    nasty = st.lists(st.sampled_from(NASTY), max_size=3).map("".join)
    return st.one_of(nasty, st.text(characters, max_size=most))


CONTROLS = "".join(map(chr, [*range(32), 127]))
PLAIN, ARGUMENT = text(CONTROLS, 40), text("\0", 60)
WORD = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
GOOD_JOBS = st.fixed_dictionaries(
    {"command": st.builds(lambda a, b: [a or "a", *b], ARGUMENT, st.lists(ARGUMENT, max_size=3))},
    optional={
        "name": PLAIN,
        "queue": st.sampled_from(["", "default"]),
        "labels": st.dictionaries(WORD, PLAIN, max_size=3),
        "priority": st.integers(-1000, 1000),
        "environment": st.fixed_dictionaries(
            {},
            optional={
                "variables": st.dictionaries(st.sampled_from(["A", "_b", "C9"]), ARGUMENT),
                "working_directory": PLAIN.map(lambda path: f"/{path}"),
            },
        ),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "cpu_millis": st.integers(0, 10_000_000),
                "memory_bytes": st.integers(0, 1 << 50),
                "gpu_count": st.integers(0, 1024),
                "gpu_type": WORD,
            },
        ),
        "time_limit": st.fixed_dictionaries(
            {"seconds": st.integers(1, 31_535_999), "nanos": st.integers(0, 10**9 - 1)}
        ),
        "grace_period": st.fixed_dictionaries(
            {"seconds": st.integers(0, 3599), "nanos": st.integers(0, 10**9 - 1)}
        ),
        "min_isolation": st.sampled_from([0, 1, 2, 3]),
        "pool": st.just("default"),
    },
)
ANY, INT32 = text("", 140), st.integers(-(2**31), 2**31 - 1)
INT64 = st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1))
SPAN = st.builds(
    dict, seconds=st.one_of(st.integers(-2, 4000), INT64), nanos=st.one_of(st.just(-1), INT32)
)
# One of these replaces a good field: most are refused, and what is not must read like the rest.
BAD_FIELDS = st.one_of(
    st.builds(dict, name=ANY),
    st.builds(dict, queue=ANY),
    st.builds(dict, pool=st.one_of(ANY, WORD)),
    st.builds(dict, project=ANY),
    st.builds(dict, command=st.lists(ANY, max_size=2)),
    st.builds(dict, labels=st.dictionaries(ANY, ANY, min_size=1, max_size=2)),
    st.builds(dict, environment=st.builds(dict, variables=st.dictionaries(ANY, ANY, min_size=1))),
    st.builds(dict, environment=st.builds(dict, working_directory=ANY)),
    st.builds(dict, resources=st.builds(dict, gpu_type=ANY, memory_bytes=INT64)),
    st.builds(dict, time_limit=SPAN),
    st.builds(dict, grace_period=SPAN),
    st.builds(dict, priority=INT32),
    st.builds(dict, min_isolation=INT32),
)


# Each example finds the rows of all that came before it.
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(good={"command": ["true"]}, bad={"time_limit": {"seconds": 5, "nanos": -1}})
@example(good={"command": ["true"]}, bad={"grace_period": {"seconds": 1, "nanos": 2 * 10**9}})
@given(good=GOOD_JOBS, bad=st.one_of(st.just({}), BAD_FIELDS))
async def test_whatever_was_accepted_reads_in_every_way(
    api: JobsApi, good: dict[str, object], bad: dict[str, object]
):
    wanted = job_pb2.Job(**(good | bad))  # type: ignore[arg-type]
    submitted = await accepted(api, wanted)
    if submitted is None:
        assert bad, wanted
        return
    assert_contains(submitted, wanted)
    assert await get(api, submitted.job_id) == submitted
    for request in lists_of(submitted):
        assert submitted in await listed(api, request), request
    (event,) = await events(api, submitted.job_id)
    assert (event.job_id, event.reason) == (submitted.job_id, "SUBMITTED")


def assert_contains(job: job_pb2.Job, wanted: job_pb2.Job) -> None:
    """What the caller said is there as it was said; only what was left out was filled in."""
    filled = job_pb2.Job()
    filled.CopyFrom(job)
    filled.MergeFrom(job_pb2.Job(project=wanted.project, name=wanted.name, queue=wanted.queue))
    for name in ("cpu_millis", "memory_bytes"):
        if getattr(wanted.resources, name):
            setattr(filled.resources, name, getattr(wanted.resources, name))
    assert filled == job
    assert list(job.command) == list(wanted.command)
    assert (job.labels, job.environment) == (wanted.labels, wanted.environment)
    assert (job.priority, job.min_isolation) == (wanted.priority, wanted.min_isolation)
    assert job.pool == wanted.pool
    assert job.time_limit == wanted.time_limit
    assert not wanted.HasField("grace_period") or job.grace_period == wanted.grace_period
    assert job.resources.gpu_count == wanted.resources.gpu_count
    assert job.resources.gpu_type == wanted.resources.gpu_type


def lists_of(job: job_pb2.Job) -> list[pb.ListJobsRequest]:
    """A list by each filter, and by all of them, that the job must be in."""
    later = job.create_time.seconds + 1
    filters: list[dict[str, object]] = [
        {"project": job.project},
        {"status": [job.status]},
        {"queue": job.queue},
        {"user": job.user},
        {"name": job.name},
        {"labels": [f"{key}={value}" for key, value in job.labels.items()]},
        {"created_after": job.create_time, "created_before": {"seconds": later}},
    ]
    both = {name: value for each in filters for name, value in each.items()}
    return [
        pb.ListJobsRequest(page_size=1000, **each)  # type: ignore[arg-type]
        for each in ({}, *filters, both)
    ]


async def accepted(api: JobsApi, job: job_pb2.Job) -> job_pb2.Job | None:
    """The job when it was accepted; None when it was refused as the caller's mistake."""
    request = pb.SubmitJobRequest(job=job)
    try:
        return await both_ways(api, "SubmitJob", "POST", "", request, job_pb2.Job)
    except CallFailed as failed:
        if failed.status.code in REFUSALS:
            return None
        raise


async def get(api: JobsApi, job_id: str) -> job_pb2.Job:
    request = pb.GetJobRequest(job_id=job_id)
    return await both_ways(api, "GetJob", "GET", "/x", request, job_pb2.Job)


async def listed(api: JobsApi, request: pb.ListJobsRequest) -> list[job_pb2.Job]:
    return list((await both_ways(api, "ListJobs", "GET", "", request, pb.ListJobsResponse)).jobs)


async def events(api: JobsApi, job_id: str) -> list[job_pb2.JobEvent]:
    request = pb.ListJobEventsRequest(job_id=job_id)
    answer = pb.ListJobEventsResponse
    return list((await both_ways(api, "ListJobEvents", "GET", "/x/events", request, answer)).events)


async def both_ways(
    api: JobsApi, method: str, verb: str, path: str, request: Message, answer: type[M]
) -> M:
    """The answer over gRPC, after a look that REST's JSON of it says the same."""
    reply = await api.call_bytes(method, request.SerializeToString())
    route = ROUTER.match(verb, f"/v1/jobs{path}")
    assert isinstance(route, Match)
    assert isinstance(route.target, Binding)
    text = route.target.response(reply).decode()
    message = answer.FromString(reply)
    assert json_format.Parse(text, answer()) == message
    return message
