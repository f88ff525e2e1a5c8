"""Whatever message is sent to whatever method, gRPC answers with the caller's mistake by name."""

# grpc's classes are generic for the type checker alone.
from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from buf.validate import validate_pb2
from tests.support.cluster import Cluster
from tests.support.random_messages import fill
from windlass.agents.v1 import agent_pb2, agents_service_pb2
from windlass.jobs.v1 import job_batch_pb2, job_pb2, jobs_service_pb2
from windlass.options.v1 import options_pb2
from windlass_agent.clock import SystemClock
from windlass_agent.identity import Identity, NodeKey
from windlass_server.wiring.calls import AGENTS_SERVICE, PUBLIC_SERVICES

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "MARKED"
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
}


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


METHODS = {
    path_of(method): method
    for name in (*PUBLIC_SERVICES, AGENTS_SERVICE)
    for method in descriptor_pool.Default().FindServiceByName(name).methods
}
# Streams of agents are opened by nodes alone.
CALLABLE = {path: method for path, method in METHODS.items() if not method.client_streaming}


Metadata = tuple[tuple[str, str], ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def as_whom(server: Cluster, tmp_path_factory) -> Callable[[str], Metadata]:
    """Who may call a method: the administrator, or a node that has just joined."""
    key = NodeKey.load_or_create(tmp_path_factory.mktemp("node") / "key")
    request = agents_service_pb2.JoinRequest(
        join_token=await server.join_token(),
        public_key=key.public_bytes,
        inventory=agent_pb2.Inventory(
            hostname="bad-input",
            cpu_millis=64_000,
            memory_bytes=1 << 40,
            isolation={"level": "RLIMITS"},
        ),
    )
    join = server.channel.unary_unary(
        f"/{AGENTS_SERVICE}/Join",
        request_serializer=agents_service_pb2.JoinRequest.SerializeToString,
        response_deserializer=agents_service_pb2.JoinResponse.FromString,
    )
    node = Identity((await join(request, timeout=20)).node_id, key, SystemClock())

    def metadata(method: str) -> Metadata:
        authz = METHODS[method].GetOptions().Extensions[options_pb2.authz]
        of_nodes = authz.principal == options_pb2.Authz.NODE
        return node.metadata() if of_nodes else server.metadata

    return metadata


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ended(server: Cluster) -> str:
    """A job that was cancelled before it ran."""
    job = await server.submit("true")
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    await server.jobs.CancelJob(request, metadata=server.metadata)
    return str(job.job_id)


def is_output(field: FieldDescriptor) -> bool:
    behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.OUTPUT_ONLY in behavior


def is_part(field: FieldDescriptor) -> bool:
    """Whether it is only a part of something, which is checked as a whole: not before there is that."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return rules.ignore == validate_pb2.IGNORE_ALWAYS


def is_checked_later(field: FieldDescriptor) -> bool:
    """Whether each element has an answer of its own, such as the jobs of a batch."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return bool(rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS)


def marked_in_map(
    message: Descriptor, name: str, values: Descriptor | None
) -> Iterator[tuple[str, Message]]:
    """The same for the map of a message, whose values may be messages."""

    def empty() -> tuple[Any, Any]:
        made: Any = message_factory.GetMessageClass(message)()
        return made, getattr(made, name)

    for path, value in marked(values) if values is not None else ():
        made, held = empty()
        held["key"].CopyFrom(value)
        yield f"{name}[key].{path}", made
    made, held = empty()
    if values is not None:
        held[MARK].SetInParent()
        yield f"{name}[", made
        return
    held["key"] = MARK
    yield f"{name}[key]", made
    made, held = empty()
    held[MARK] = "value"
    yield f"{name}[", made


def marked(message: Descriptor) -> Iterator[tuple[str, Message]]:
    """Every message with one string of the caller's set to MARK, and the path of that string."""
    for field in message.fields:
        if is_output(field) or is_part(field):
            continue
        made: Any = message_factory.GetMessageClass(message)()
        inner = field.message_type
        if field.type == FieldDescriptor.TYPE_STRING:
            if field.is_repeated:
                getattr(made, field.name).append(MARK)
                yield f"{field.name}[0]", made
            else:
                setattr(made, field.name, MARK)
                yield field.name, made
        elif inner is not None and inner.GetOptions().map_entry:
            yield from marked_in_map(
                message, field.name, inner.fields_by_name["value"].message_type
            )
        elif inner is not None and not inner.full_name.startswith("google."):
            for path, value in marked(inner):
                made = message_factory.GetMessageClass(message)()
                held = getattr(made, field.name)
                (held.add() if field.is_repeated else held).CopyFrom(value)
                index = "[0]" if field.is_repeated else ""
                yield f"{field.name}{index}.{path}", made


STRINGS = [
    pytest.param(method, field, message.SerializeToString(), id=f"{method}:{field}")
    for method, descriptor in CALLABLE.items()
    for field, message in marked(descriptor.input_type)
]


# The jobs of a batch are checked each by itself.
BATCH = "/windlass.jobs.v1.JobsService/BatchSubmitJobs"
IN_BATCHES = [one for one in STRINGS if one.values[0] == BATCH and "[0]." in str(one.values[1])]
WHOLE = [one for one in STRINGS if one not in IN_BATCHES]
# Streams that go on for as long as the caller likes.
ENDLESS = {
    "/windlass.access.v1.AccessService/StreamEvents",
    "/windlass.resources.v1.ResourcesService/StreamTelemetry",
}


async def status_of(
    server: Cluster, method: str, request: bytes, metadata: Any = None
) -> status_pb2.Status:
    """What a call ends with, OK too; a stream is read to its end, if it has one."""
    metadata = server.metadata if metadata is None else metadata
    call: Any
    try:
        if CALLABLE[method].server_streaming:
            timeout = 0.2 if method in ENDLESS else 20
            call = server.channel.unary_stream(method)(request, metadata=metadata, timeout=timeout)
            async for _ in call:
                pass
        else:
            await server.channel.unary_unary(method)(request, metadata=metadata, timeout=20)
    except aio.AioRpcError as error:
        if method in ENDLESS and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return status_pb2.Status()
        return rpc_status.from_call(error) or status_pb2.Status(code=error.code().value[0])
    return status_pb2.Status()


def code_of(status: status_pb2.Status) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == status.code)


def violated(status: status_pb2.Status) -> set[str]:
    bad = error_details_pb2.BadRequest()
    found = [detail for detail in status.details if detail.Unpack(bad)]
    return {violation.field for violation in bad.field_violations} if found else set()


async def test_the_walk_finds_the_strings_that_callers_give():
    found = {(one.values[0].rpartition("/")[2], one.values[1]) for one in STRINGS}
    assert len(found) > 35
    assert {
        ("SubmitJob", "job.labels[key]"),
        ("SubmitJob", "job.command[0]"),
        ("SubmitJob", "request_id"),
        ("ListJobs", "labels[0]"),
        ("ListNodes", "page_token"),
        ("Join", "join_token"),
    } <= found


@pytest.mark.parametrize(("method", "field", "request_bytes"), IN_BATCHES)
async def test_nul_in_a_job_of_a_batch_is_refused_for_that_job_by_the_name_of_its_field(
    server: Cluster, method: str, field: str, request_bytes: bytes
):
    request = request_bytes.replace(MARK.encode(), b"a\0b\0c\0")
    answer = await server.channel.unary_unary(method)(request, metadata=server.metadata, timeout=20)
    (result,) = job_batch_pb2.BatchSubmitJobsResponse.FromString(answer).results
    assert code_of(result.error) is grpc.StatusCode.INVALID_ARGUMENT, result
    wanted = field.replace("jobs[0].", "job.")
    assert any(one.startswith(wanted) for one in violated(result.error)), result


@pytest.mark.parametrize(("method", "field", "request_bytes"), WHOLE)
async def test_nul_in_any_string_is_refused_by_the_name_of_its_field(
    server: Cluster,
    as_whom: Callable[[str], Metadata],
    method: str,
    field: str,
    request_bytes: bytes,
):
    request = request_bytes.replace(MARK.encode(), b"a\0b\0c\0")
    status = await status_of(server, method, request, as_whom(method))
    assert code_of(status) is grpc.StatusCode.INVALID_ARGUMENT, status
    assert any(one.startswith(field) for one in violated(status)), status


@pytest.mark.parametrize(("method", "field", "request_bytes"), STRINGS)
async def test_a_string_that_is_not_utf_8_makes_the_message_none(
    server: Cluster,
    as_whom: Callable[[str], Metadata],
    method: str,
    field: str,
    request_bytes: bytes,
):
    # A lone surrogate as WTF-8 has it, twice.
    request = request_bytes.replace(MARK.encode(), b"\xed\xa0\x80" * 2)
    status = await status_of(server, method, request, as_whom(method))
    assert code_of(status) is grpc.StatusCode.INVALID_ARGUMENT, status
    assert "MALFORMED_MESSAGE" in str(status)


@pytest.mark.parametrize("method", CALLABLE)
async def test_random_messages_get_an_answer_or_a_refusal(
    server: Cluster, as_whom: Callable[[str], Metadata], method: str
):
    random = Random(7)
    request_class = message_factory.GetMessageClass(CALLABLE[method].input_type)
    for _ in range(30):
        request = request_class()
        fill(request, random)
        if isinstance(request, jobs_service_pb2.StreamJobLogsRequest):
            request.follow = False
        status = await status_of(server, method, request.SerializeToString(), as_whom(method))
        assert status.code == 0 or code_of(status) in REFUSALS, (request, status)


@pytest.mark.parametrize("method", METHODS)
async def test_without_a_credential_no_method_but_the_public_ones_answers(
    server: Cluster, method: str
):
    with_one = {"CreateToken": "UNAUTHENTICATED", "Join": "INVALID_ARGUMENT", "GetHealth": "OK"}
    wanted = with_one.get(method.rpartition("/")[2], "UNAUTHENTICATED")
    if method in CALLABLE:
        status = await status_of(server, method, b"", metadata=())
        assert code_of(status).name == wanted
        return
    # Nothing is written: to a call that has ended, grpc's client would say INTERNAL of it.
    stream = server.channel.stream_stream(method)()
    assert await stream.code() is grpc.StatusCode.UNAUTHENTICATED


OVERRIDES = [
    pytest.param(field, message.SerializeToString(), id=field)
    for field, message in marked(job_pb2.Job.DESCRIPTOR)
    # Refused as a whole: a retry is of the job that was made.
    if not field.startswith("template.")
]


@pytest.mark.parametrize(("field", "overrides"), OVERRIDES)
async def test_nul_in_what_a_retry_is_to_have_otherwise_is_refused(
    server: Cluster, ended: str, field: str, overrides: bytes
):
    request = jobs_service_pb2.UpdateJobStatusRequest(job_id=ended, action="RETRY")
    request.overrides.MergeFromString(overrides.replace(MARK.encode(), b"a\0b\0c\0"))
    method = "/windlass.jobs.v1.JobsService/UpdateJobStatus"
    status = await status_of(server, method, request.SerializeToString())
    assert code_of(status) is grpc.StatusCode.INVALID_ARGUMENT, status
    assert any(one.startswith(f"overrides.{field}") for one in violated(status)), status


async def test_a_message_beyond_the_limit_is_refused_with_the_limit(server: Cluster):
    request = jobs_service_pb2.SubmitJobRequest(job=job_pb2.Job(command=["x" * 5_000_000]))
    method = "/windlass.jobs.v1.JobsService/SubmitJob"
    status = await status_of(server, method, request.SerializeToString())
    assert code_of(status) is grpc.StatusCode.INVALID_ARGUMENT
    assert "REQUEST_TOO_LARGE" in str(status)


@pytest.mark.parametrize(
    "job",
    [
        job_pb2.Job(command=["a\0"] * 4096),
        job_pb2.Job(command=["a"], labels={"\u20ac" * 1_000_000: ""}),
        job_pb2.Job(
            command=["a"], labels={f"{number}" + "\u20ac" * 100: "\0" for number in range(2000)}
        ),
    ],
    ids=["arguments", "a long key", "keys"],
)
async def test_of_very_many_or_very_long_violations_a_client_gets_what_it_can_take(
    server: Cluster, job: job_pb2.Job
):
    request = jobs_service_pb2.SubmitJobRequest(job=job)
    method = "/windlass.jobs.v1.JobsService/SubmitJob"
    status = await status_of(server, method, request.SerializeToString())
    assert code_of(status) is grpc.StatusCode.INVALID_ARGUMENT
    assert violated(status), status


async def test_a_message_beyond_what_the_transport_takes_is_refused(server: Cluster):
    with pytest.raises(aio.AioRpcError) as refused:
        await server.submit("x" * 10_000_000)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["GetJob", "CancelJob", "ListJobEvents", "StreamJobLogs"])
async def test_a_foreign_job_is_the_same_as_none_to_the_byte(server: Cluster, method: str):
    job = await server.submit("true")
    outsider = await server.key_for(f"eve-{method.lower()}", "theirs", "ADMIN")
    metadata = (("authorization", f"Bearer {outsider}"),)
    path = f"/windlass.jobs.v1.JobsService/{method}"
    request_class = message_factory.GetMessageClass(CALLABLE[path].input_type)
    absent = "job-" + "0" * 26
    foreign, missing = [
        await status_of(server, path, request_class(job_id=job_id).SerializeToString(), metadata)
        for job_id in (job.job_id, absent)
    ]
    assert code_of(foreign) is grpc.StatusCode.NOT_FOUND
    same = foreign.SerializeToString(deterministic=True).replace(
        job.job_id.encode(), absent.encode()
    )
    assert same == missing.SerializeToString(deterministic=True)
