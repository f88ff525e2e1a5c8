"""`windlass gateway` as a process, in front of gRPC servers that know nothing of it."""

import asyncio
import contextlib
import json
import signal
import socket
from pathlib import Path

import grpc
import httpx
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from tests.support.certificates import self_signed
from tests.support.cluster import Process, running_cluster
from tests.support.contracts import HEALTH_RULES, health_contract
from tests.support.gateway import SAMPLE, compile_protos, windlass_descriptors
from tests.support.upstream import Upstream

SERVES = r"serves \d+ routes at (http://\S+), from"
SHELF = "/sample.v1.ShelfService/"
STOP_SECONDS = 5
METHODS = (
    *("GetThing", "PutThing", "TouchThing", "GetFile", "ReadFile", "GetBook", "GetTags", "Ping"),
)


@contextlib.asynccontextmanager
async def running_gateway(descriptors: Path, upstream: str, *flags: str):
    """A gateway's process and a client of it."""
    process = await Process.start(
        "-m",
        "windlass_server.gateway",
        *("--descriptors", str(descriptors), "--upstream", upstream, "--listen", "127.0.0.1:0"),
        *flags,
    )
    try:
        base = (await process.says(SERVES))[1]
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            yield process, client
    finally:
        await process.kill()


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.binpb"
    path.write_bytes(compile_protos(tmp_path, SAMPLE))
    return path


def echo_as(name):
    async def echo(request, context):
        await context.send_initial_metadata((("x-method", name),))
        return request

    return echo


@pytest.fixture
async def upstream():
    """The sample's service: it answers what it was asked."""
    server = Upstream()

    for name in METHODS:
        server.unary(SHELF + name, echo_as(name))
    await server.start()
    yield server
    await server.stop()


FORMS = [
    ("GET", "/v1/things/a%2Fb%20c", None, "GetThing", {"name": "a/b c"}),
    ("GET", "/v1/things/a:b", None, "GetThing", {"name": "a:b"}),
    ("GET", "/v1/numbers/-7", None, "GetThing", {"i64": "-7"}),
    ("GET", "/v1/enums/large", None, "GetThing", {"kind": "LARGE"}),
    ("GET", "/v1/times/2030-01-31T12:00:00Z", None, "GetThing", {"time": "2030-01-31T12:00:00Z"}),
    ("PUT", "/v1/things/a", {"text": "t"}, "PutThing", {"name": "a", "text": "t"}),
    ("PATCH", "/v1/things/a?text=t", {"i32": 1}, "PutThing", {"name": "a", "text": "t"}),
    ("POST", "/v1/things/a/tags", ["x", "y"], "PutThing", {"tags": ["x", "y"]}),
    ("POST", "/v1/things/a/text", "t", "PutThing", {"text": "t"}),
    ("POST", "/v1/things/a:touch", None, "TouchThing", {"name": "a"}),
    ("GET", "/v1/files", None, "GetFile", {"name": ""}),
    ("GET", "/v1/files/a/b%2Fc/d", None, "GetFile", {"name": "a/b%2Fc/d"}),
    ("GET", "/v1/files/a/b:read", None, "ReadFile", {"name": "a/b"}),
    ("GET", "/v1/shelves/1/books/2", None, "GetBook", {"name": "shelves/1/books/2"}),
    ("GET", "/v1/shelves/1/any/x/y", None, "GetBook", {"name": "shelves/1", "text": "y"}),
    ("TRACE", "/v1/every/a", None, "GetBook", {"name": "a"}),
    ("PURGE", "/v1/ping", None, "Ping", {}),
]


@pytest.mark.parametrize("http_server", ["granian", "uvicorn"])
async def test_every_form_of_template_reaches_a_foreign_server(sample, upstream, http_server):
    running = running_gateway(sample, upstream.address, "--http-server", http_server)
    async with running as (_, client):
        for method, path, body, rpc, expected in FORMS:
            content = None if body is None else json.dumps(body)
            answer = await client.request(method, path, content=content)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.headers["x-method"] == rpc
            assert expected.items() <= answer.json().items()
        nested = (await client.get("/v1/libraries/a/b?child.tags=1&child.tags=2")).json()["child"]
        assert (nested["name"], nested["tags"]) == ("libraries/a/b", ["1", "2"])
        assert (await client.get("/v1/things/a/tags?numbers=1")).json() == []


async def test_json_looks_as_it_is_told_to(sample, upstream):
    path = "/v1/things/a?u64=5&oddSpelling=x"
    async with running_gateway(sample, upstream.address) as (_, client):
        told = (await client.get(path)).json()
        assert (told["spelled_oddly"], told["u64"], told["text"]) == ("x", "5", "")
        assert "field_violations" in (await client.get("/v1/things/a?i32=x")).text
    flags = ("--json-names", "json", "--omit-defaults")
    async with running_gateway(sample, upstream.address, *flags) as (_, client):
        assert (await client.get(path)).json() == {"name": "a", "u64": "5", "oddSpelling": "x"}
        assert "fieldViolations" in (await client.get("/v1/things/a?i32=x")).text
        assert (await client.get("/v1/things/a/tags")).json() == []


async def test_only_the_named_services_are_served(tmp_path, upstream):
    path = tmp_path / "windlass.binpb"
    path.write_bytes(windlass_descriptors())
    flags = ("--services", "windlass.jobs.v1.JobsService")
    async with running_gateway(path, upstream.address, *flags) as (_, client):
        assert (
            await client.get("/v1/jobs")
        ).status_code == 501  # there, and unknown to this server
        assert (await client.get("/v1/resources/nodes")).status_code == 404


async def test_streams_pass_and_a_client_that_leaves_cancels_them(sample, upstream):
    cancelled = asyncio.Event()

    async def watch(_request, _context):
        try:
            yield b"\x0a\x011"
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    upstream.stream(SHELF + "WatchThings", watch)
    async with running_gateway(sample, upstream.address) as (_, client):
        accept = {"accept": "text/event-stream"}
        async with client.stream("GET", "/v1/watch/a", headers=accept) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    assert json.loads(line[5:])["cursor"] == "1"
                    break
        await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_client_that_leaves_cancels_a_call_of_one_message(sample, upstream):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_request, _context):
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    for path, rpc in (("/v1/things/a", "GetThing"), ("/v1/things/a:touch", "TouchThing")):
        upstream.unary(SHELF + rpc, hang)
        async with running_gateway(sample, upstream.address) as (_, client):
            method = "POST" if rpc == "TouchThing" else "GET"
            asking = asyncio.create_task(client.request(method, path))
            await asyncio.wait_for(begun.wait(), 10)
            asking.cancel()
            await asyncio.wait_for(cancelled.wait(), 10)
        begun.clear()
        cancelled.clear()


async def test_deadlines_end_every_shape_with_504(sample, upstream):
    async def hang(*_):
        await asyncio.Event().wait()

    async def hang_stream(*_):
        await hang()
        yield b""

    upstream.unary(SHELF + "GetThing", hang)
    upstream.stream(SHELF + "WatchThings", hang_stream)
    async with running_gateway(sample, upstream.address, "--timeout", "0.3") as (_, client):
        for path, headers in (
            ("/v1/things/a", {}),
            ("/v1/things/a", {"grpc-timeout": "100m"}),
            ("/v1/watch/a", {"x-request-timeout": "0.2"}),
        ):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (504, 4)


async def test_an_upstream_that_goes_and_comes_is_told_and_found(sample, upstream):
    flags = ("--health-path", "/-/health")
    async with running_gateway(sample, upstream.address, *flags) as (_, client):
        assert (await client.get("/-/health")).json() == {"status": "SERVING"}
        await upstream.stop()
        answer = await client.get("/v1/things/a")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["details"][0]["reason"] == "UPSTREAM_UNAVAILABLE"
        assert (await client.get("/-/health")).status_code == 503
        await upstream.start()
        async with asyncio.timeout(20):
            while (await client.get("/v1/things/a")).status_code != 200:
                pass
        assert (await client.get("/-/health")).status_code == 200


async def test_it_starts_before_its_upstream(sample, upstream):
    await upstream.stop()
    async with running_gateway(sample, upstream.address) as (_, client):
        assert (await client.get("/v1/things/a")).status_code == 503
        assert (await client.get("/v1/things/a?i32=x")).status_code == 400


@pytest.fixture
async def health():
    """gRPC's own health service in a server of its own."""
    server = aio.server()
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await servicer.set("db", health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


async def test_the_health_service_is_served_by_rules_beside_its_contract(tmp_path, health):
    servicer, address = health
    rules = tmp_path / "health.yaml"
    rules.write_text(HEALTH_RULES)
    flags = ("--http-rules", str(rules), "--health-path", "/healthz")
    async with running_gateway(health_contract(tmp_path), address, *flags) as (_, client):
        assert (await client.get("/v1/health/db")).json() == {"status": "SERVING"}
        assert (await client.get("/v1/health?service=db")).json() == {"status": "SERVING"}
        unknown = await client.get("/v1/health/nope")
        assert (unknown.status_code, unknown.json()["code"]) == (404, 5)
        assert (await client.get("/healthz")).status_code == 200
        watching = client.stream(
            "GET", "/v1/health/db:watch", headers={"accept": "text/event-stream"}
        )
        async with watching as answer:
            lines = answer.aiter_lines()
            seen = [json.loads((await data(lines))[5:])["status"]]
            await servicer.set("db", health_pb2.HealthCheckResponse.NOT_SERVING)
            await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            seen.append(json.loads((await data(lines))[5:])["status"])
        assert seen == ["SERVING", "NOT_SERVING"]
        unhealthy = await client.get("/healthz")
        assert (unhealthy.status_code, unhealthy.json()) == (503, {"status": "NOT_SERVING"})


async def data(lines):
    async for line in lines:
        if line.startswith("data:"):
            return line
    raise AssertionError("the stream ended")


async def test_tls_to_the_upstream_is_checked(tmp_path, sample):
    key, certificate = self_signed()
    server = aio.server()
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials(((key, certificate),)))
    await server.start()
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(certificate)
    where = f"localhost:{port}"
    try:
        async with running_gateway(sample, where, "--upstream-ca", str(trusted)) as (_, client):
            # It has no such method: the call came through.
            assert (await client.get("/v1/things/a")).status_code == 501
        async with running_gateway(sample, where, "--upstream-tls") as (_, client):
            assert (await client.get("/v1/things/a")).status_code == 503
        async with running_gateway(sample, where) as (_, client):
            assert (await client.get("/v1/things/a")).status_code == 503
    finally:
        await server.stop(None)


async def test_a_gateway_that_is_told_to_stop_ends_open_streams(sample, upstream):
    async def watch(_request, _context):
        yield b"\x0a\x011"
        await asyncio.Event().wait()

    upstream.stream(SHELF + "WatchThings", watch)
    async with running_gateway(sample, upstream.address) as (process, client):
        accept = {"accept": "text/event-stream"}
        async with client.stream("GET", "/v1/watch/a", headers=accept) as answer:
            lines = answer.aiter_lines()
            await data(lines)
            async with asyncio.timeout(STOP_SECONDS):
                assert await process.kill(signal.SIGTERM) == 0
            rest = [line async for line in lines]
        assert any("SERVER_STOPPING" in line for line in rest)
        assert "has stopped" in process.lines[-1]


async def test_logs_can_be_json(sample, upstream):
    async with running_gateway(sample, upstream.address, "--log-format", "json") as (process, _):
        said = json.loads(process.lines[0])
        assert said["level"] == "info"
        assert "serves" in said["event"]


async def refused(*flags):
    """What a gateway says that is expected to end at once with 2."""
    process = await Process.start("-m", "windlass_server.gateway", *map(str, flags))
    code = await process.ended()
    assert (code, len(process.lines)) == (2, 1), process.lines
    assert process.lines[0].startswith("windlass gateway: ")
    return process.lines[0]


async def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, sample):
    to = ("--upstream", "127.0.0.1:1")
    listen = ("--listen", "127.0.0.1:0")
    assert "cannot read" in await refused("--descriptors", tmp_path / "nope", *to)
    assert "is not a descriptor set" in await refused("--descriptors", __file__, *to)
    assert "a.B" in await refused("--descriptors", sample, *to, "--services", "a.B")
    clash = ("--descriptors", sample, *to, *listen, "--health-path", "/v1/things/a")
    assert "/v1/things/a" in await refused(*clash)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        assert "in use" in await refused("--descriptors", sample, *to, "--listen", where)


async def test_ambiguous_rules_are_refused_by_both_names(tmp_path, sample):
    rules = tmp_path / "rules.yaml"
    selector = "sample.v1.ShelfService.Ping"
    rules.write_text(
        f"http: {{rules: [{{selector: {selector}, get: '/v1/things/{{name}}/tags'}}]}}"
    )
    to = ("--upstream", "127.0.0.1:1")
    # Ping has no field `name`, which is said first, unless its path has no variables.
    assert "has no field name" in await refused("--descriptors", sample, *to, "--http-rules", rules)
    rules.write_text(f"http: {{rules: [{{selector: {selector}, get: '/v1/things/*/tags'}}]}}")
    said = await refused("--descriptors", sample, *to, "--http-rules", rules)
    assert "ShelfService/Ping" in said
    assert "ShelfService/GetTags" in said


async def test_it_is_a_command_of_windlass(sample):
    process = await Process.start(
        "-m", "windlass_client.cli.main", "gateway", "--descriptors", str(sample), "--routes"
    )
    assert await process.ended() == 0
    assert (
        "GET /v1/files/{name=**}:read -> served by sample.v1.ShelfService/ReadFile" in process.lines
    )


async def test_it_needs_nothing_of_the_server_and_of_its_contract(sample):
    """So that it can be installed and scaled by itself, in front of anything."""
    program = (
        "import sys\n"
        "from windlass_server.gateway.__main__ import main\n"
        f"main(['--descriptors', {str(sample)!r}, '--routes'])\n"
        "print('loaded', *sorted(sys.modules))\n"
    )
    process = await Process.start("-c", program)
    assert await process.ended() == 0
    loaded = process.lines[-1].split()[1:]
    ours = [name for name in loaded if name.split(".")[0] in ("windlass", "windlass_server")]
    assert "windlass_server.gateway.upstream" in ours
    ours.remove("windlass_server.turns")  # which knows of nothing but the event loop
    assert all(f"{name}.".startswith("windlass_server.gateway.") for name in ours[1:]), ours
    assert not {"sqlalchemy", "sqlmodel", "pydantic", "protovalidate", "numpy"} & set(loaded)


async def test_it_serves_windlass_as_the_server_itself_does(tmp_path):
    descriptors = tmp_path / "windlass.binpb"
    descriptors.write_bytes(windlass_descriptors())
    async with running_cluster(tmp_path, agent=False) as cluster:
        job = await cluster.submit("sleep", "600")
        async with (
            running_gateway(descriptors, cluster.grpc) as (_, through),
            cluster.rest() as direct,
        ):
            for path in (
                f"/v1/jobs/{job.job_id}",
                "/v1/jobs?project=default",
                "/v1/jobs/job-nope",
                "/v1/jobs?page_size=-1",
                "/v1/jobs?nope=1",
                "/healthz",
            ):
                headers = dict(direct.headers) | {"x-request-id": "r-1"}
                one = await direct.get(path, headers=headers)
                other = await through.get(path, headers=headers)
                assert (other.status_code, other.json()) == (one.status_code, one.json()), path
            assert (await through.get("/v1/jobs")).status_code == 401
