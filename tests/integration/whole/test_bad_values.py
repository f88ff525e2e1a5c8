"""Numbers, times, bytes and tokens that nothing can be done with are the caller's mistake, by name."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "9223372036854775808", "-9223372036854775809"]
NUMBERS += ['"NaN"', '"9223372036854775808"', '"1e400"', '"0x10"', '"1_000"', '" 1"', '""', "1.5"]
NUMBERS += ["-1", "1" * 5000, "true", "[]", "{}", '"٣"']
NUMERIC_FIELDS = ["cpu_millis", "memory_bytes", "gpu_count"]
SPANS = ["NaN", "1e400", '"NaN s"', '"1"', '"1.1234567890s"', '"9223372036854775808s"', '"-0.5s"']
SPANS += ['"31536001s"', '{"seconds":1}', "1", '"\\u0000s"', '""']
TEXTS = {"a NUL": "%00", "what is not UTF-8": "%C3%28", "a surrogate": "%ED%A0%80", "half": "%4"}
TEXT_PARAMETERS = [
    *(f"/v1/jobs?{name}=" for name in ("project", "queue", "user", "name", "labels", "page_token")),
    *(f"/v1/jobs?{name}=" for name in ("created_after", "created_before", "status", "page_size")),
    "/v1/jobs/x/events?page_token=",
    "/v1/jobs/x/logs?cursor=",
    "/v1/jobs/x/logs?stream=",
    "/v1/jobs/x/logs?since=",
    "/v1/jobs/x/logs?grep=",
    "/v1/resources/nodes?gpu_type=",
    "/v1/resources/nodes?page_token=",
    "/v1/resources/nodes/x/events?page_token=",
    "/v1/projects?page_token=",
    "/v1/apiKeys?page_token=",
]
SIZES = ["-1", "2147483648", "9223372036854775808", "1e400", "NaN", "1.5", "x", "", "+1"]
TIMES = ["NaN", "0", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2024-13-01T00:00:00Z"]
LISTS = ["/v1/jobs", "/v1/jobs/x/events", "/v1/resources/nodes", "/v1/projects", "/v1/apiKeys"]
LISTS += ["/v1/resources/nodes/x/events"]


def violated(answer: Any) -> set[str]:
    details = answer.json()["details"]
    return {one["field"] for detail in details for one in detail.get("field_violations", ())}


@pytest.mark.parametrize("field", NUMERIC_FIELDS)
async def test_a_number_that_is_none_or_out_of_range_is_refused(server: Cluster, field: str):
    async with server.rest() as rest:
        for number in NUMBERS:
            body = f'{{"command":["true"],"resources":{{"{field}":{number}}}}}'
            answer = await rest.post("/v1/jobs", content=body, headers=JSON)
            assert answer.status_code == 400, (number, answer.text)
            # A text that is no JSON has no fields.
            assert violated(answer) in ({f"job.resources.{field}"}, set()), (number, answer.text)


@pytest.mark.parametrize("field", ["time_limit", "grace_period"])
async def test_a_span_of_time_that_is_none_is_refused(server: Cluster, field: str):
    async with server.rest() as rest:
        for span in SPANS:
            body = f'{{"command":["true"],"{field}":{span}}}'
            answer = await rest.post("/v1/jobs", content=body, headers=JSON)
            assert answer.status_code == 400, (span, answer.text)


@pytest.mark.parametrize(
    "span",
    [
        {"seconds": 5, "nanos": -1},
        {"seconds": 5, "nanos": 2_000_000_000},
        {"seconds": 2**63 - 1, "nanos": 2**31 - 1},
        {"seconds": -(2**63)},
    ],
    ids=["of two signs", "with too many nanos", "the longest", "the shortest"],
)
async def test_a_span_that_json_cannot_say_is_refused_over_grpc_and_lists_stay_whole(
    server: Cluster, span: dict[str, int]
):
    for field in ("time_limit", "grace_period"):
        with pytest.raises(aio.AioRpcError) as refused:
            await server.submit("true", **{field: span})
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"job.{field}" in (refused.value.details() or "")
    async with server.rest() as rest:
        assert (await rest.get("/v1/jobs?page_size=1000")).status_code == 200


@pytest.mark.parametrize("parameter", TEXT_PARAMETERS)
async def test_text_that_is_none_is_refused_in_every_parameter(server: Cluster, parameter: str):
    async with server.rest() as rest:
        for words, text in TEXTS.items():
            answer = await rest.get(parameter + text)
            assert answer.status_code == 400, (words, answer.text)


@pytest.mark.parametrize("path", LISTS)
async def test_a_page_size_that_is_none_is_refused(server: Cluster, path: str):
    async with server.rest() as rest:
        for size in SIZES:
            answer = await rest.get(f"{path}?page_size={size}")
            assert answer.status_code == 400, (size, answer.text)
            assert violated(answer) == {"page_size"}, (size, answer.text)


async def test_a_time_that_is_none_is_refused_over_rest_and_grpc(server: Cluster):
    async with server.rest() as rest:
        for time in TIMES:
            answer = await rest.get(f"/v1/jobs?created_after={time}")
            assert (answer.status_code, violated(answer)) == (400, {"created_after"}), answer.text
    for seconds in (2**63 - 1, -(2**63), 253_402_300_800):
        request = jobs_service_pb2.ListJobsRequest(created_before={"seconds": seconds})
        with pytest.raises(aio.AioRpcError) as refused:
            await server.jobs.ListJobs(request, metadata=server.metadata)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "created_before" in (refused.value.details() or "")


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/jobs/\xff",
        b"/v1/jobs/\x00",
        b"/v1/jobs/\xed\xa0\x80",
        b"/v1/jobs?name=\xff",
        b"*",
        b"x",
    ],
    ids=["not UTF-8", "NUL", "a surrogate", "not UTF-8 in the query", "a star", "no path"],
)
async def test_raw_bytes_in_a_request_line_are_refused(server: Cluster, target: bytes):
    host, _, port = server.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = server.token.encode()
    head = b"Host: x\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    writer.write(b"GET " + target + b" HTTP/1.1\r\n" + head)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), answer


async def test_a_token_of_one_list_is_good_in_no_other(server: Cluster):
    async with server.rest() as rest:
        (await rest.post("/v1/queues", json={"queue_id": "tokens"})).raise_for_status()
    jobs = [await server.submit("true", queue="tokens", labels={"n": str(n)}) for n in range(3)]
    cancel = jobs_service_pb2.CancelJobRequest(job_id=jobs[0].job_id)
    await server.jobs.CancelJob(cancel, metadata=server.metadata)
    mine, other = (f"/v1/jobs/{job.job_id}/events" for job in jobs[:2])
    async with server.rest() as rest:
        for name in ("tokens-a", "tokens-b"):
            await rest.post("/v1/projects", json={"project": name})
        lists = ["/v1/jobs?queue=tokens", "/v1/projects?", f"{mine}?"]
        tokens = {
            path: (await rest.get(f"{path}&page_size=1")).json()["next_page_token"]
            for path in lists
        }
        assert all(tokens.values())
        for path in (*lists, "/v1/jobs?", f"{other}?", "/v1/apiKeys?", "/v1/resources/nodes?"):
            for origin, token in tokens.items():
                answer = await rest.get(f"{path}&page_token={token}")
                assert answer.status_code == (200 if path == origin else 400), (path, origin)


@pytest.mark.parametrize(
    "values",
    [[], ["Bearer x"], ["Basic eDp5"], ["Bearer"], ["Bearer a b"], ["Bearer " + "x" * 9000]],
    ids=["none", "nonsense", "basic", "no credential", "two words", "huge"],
)
async def test_a_bad_credential_is_refused_over_grpc(server: Cluster, values: list[str]):
    await refused_as_unknown(server, values)


async def test_two_credentials_are_refused_over_grpc_though_both_are_good(server: Cluster):
    await refused_as_unknown(server, [f"Bearer {server.token}"] * 2)


async def refused_as_unknown(server: Cluster, values: list[str]) -> None:
    metadata = tuple(("authorization", value) for value in values)
    request = jobs_service_pb2.GetJobRequest(job_id="x")
    with pytest.raises(aio.AioRpcError) as refused:
        await server.jobs.GetJob(request, metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_used_request_id_is_refused_for_another_job_over_rest(server: Cluster):
    async with server.rest() as rest:
        url = "/v1/jobs?request_id=rest-1"
        first, same = [(await rest.post(url, json={"command": ["true"]})).json() for _ in range(2)]
        assert first["job_id"] == same["job_id"]
        other = await rest.post(url, json={"command": ["false"]})
    assert (other.status_code, other.json()["details"][0]["reason"]) == (409, "REQUEST_ID_REUSED")


async def test_a_foreign_job_is_as_absent_to_the_custom_verb(server: Cluster):
    job = await server.submit("true")
    outsider = await server.key_for("mallory", "elsewhere", "ADMIN")
    absent = "job-" + "0" * 26
    async with server.rest(outsider) as rest:
        foreign = await rest.post(f"/v1/jobs/{job.job_id}:cancel", json={})
        missing = await rest.post(f"/v1/jobs/{absent}:cancel", json={})
    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace(job.job_id, absent) == missing.text
    assert (await server.get(job.job_id)).status == job_pb2.Job.QUEUED
