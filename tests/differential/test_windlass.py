"""windlass's own API: its gateway, Envoy before its gRPC port, and plain gRPC.

The server, an agent and Envoy are real processes; Envoy runs what `windlass envoy-config` prints.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.rpc import status_pb2
from grpc import aio

from tests.differential.backend import Types
from tests.differential.differences import load
from tests.differential.lab import HTTP_STATUSES
from tests.differential.outcome import Outcome, read
from tests.differential.raw_http import send
from tests.differential.tables.windlass import ADMIN, JOB, NOBODY, ROWS, VIEWER, Row, filled
from tests.differential.test_sample import explained
from tests.support.cluster import Cluster, running_cluster
from tests.support.envoy import running_envoy
from tests.support.gateway import PLANNED, WINDLASS_SERVICES, windlass_descriptors
from windlass_server.gateway.envoy.__main__ import main
from windlass_server.gateway.http_rules import read_rules
from windlass_server.gateway.transcoder import Transcoder

REQUEST_ID = "differential"
LISTED = load()


@dataclass
class Fronts:
    """The three ways to one server.

    Attributes:
        ids: what the names in the table stand for.
        keys: the callers' credentials.
    """

    cluster: Cluster
    envoy: str
    types: Types
    ids: Mapping[str, str]
    keys: Mapping[str, str]

    async def http(self, address: str, row: Row) -> Outcome:
        """What comes of the call at a front end."""
        method, _, target = filled(row.line, self.ids).partition(" ")
        headers = [*row.headers, *self._metadata(row)]
        body = None
        if row.body is not None:
            text = row.body if isinstance(row.body, str) else json.dumps(filled(row.body, self.ids))
            body = text.encode()
            headers.append(("content-type", "application/json"))
        reply = await send(address, method, target, tuple(headers), body)
        stream = row.rpc.endswith("StreamJobLogs")
        outcome = read(reply, ("x-request-id",), "stream" if stream else "json")
        return settled(outcome, row)

    async def grpc(self, row: Row) -> Outcome:
        """What plain gRPC answers, as HTTP has to tell it."""
        method = self.types.methods[f"/{row.rpc}"]
        request = self.types.read(method.input_type.full_name, filled(row.request, self.ids))
        shape = "unary_stream" if method.server_streaming else "unary_unary"
        call = getattr(self.cluster.channel, shape)(
            f"/{row.rpc}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.types.message(method.output_type.full_name).FromString,
        )(request, metadata=self._metadata(row))
        try:
            if method.server_streaming:
                items = [self.types.written(each) async for each in call]
                return settled(streamed(items, row), row)
            return settled(Outcome(body=self.types.written(await call)), row)
        except aio.AioRpcError as error:
            return settled(self._failed(error), row)

    def _failed(self, error: aio.AioRpcError) -> Outcome:
        metadata = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
        body = json_format.MessageToDict(
            status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        outcome = Outcome(status=HTTP_STATUSES[status.code], body=body, code=status.code)
        for each in body["details"]:
            outcome.reason = each.get("reason", outcome.reason)
            violations = each.get("field_violations", ())
            outcome.fields = outcome.fields or tuple(sorted(one["field"] for one in violations))
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            outcome.headers["www-authenticate"] = "Bearer"
        return outcome

    def _metadata(self, row: Row) -> tuple[tuple[str, str], ...]:
        key = self.keys.get(row.caller, row.caller)
        credential = (("authorization", f"Bearer {key}"),) if key else ()
        return (("x-request-id", REQUEST_ID), *credential)


def streamed(items: list[Any], row: Row) -> Outcome:
    accept = dict(row.headers).get("accept", "application/json")
    outcome = Outcome(media_type=accept, body=items, end="end")
    outcome.headers["cache-control"] = "no-store"
    if accept == "text/event-stream":
        outcome.ids = tuple(item["cursor"] for item in items)
    return outcome


def settled(outcome: Outcome, row: Row) -> Outcome:
    """The outcome without what changes from one call to the next."""
    own = row.rpc == "" and outcome.status >= 400
    headers = {"x-request-id": REQUEST_ID, **outcome.headers}
    return replace(
        outcome, body=None if own else without(outcome.body, row.changing), headers=headers
    )


def without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [without(each, names) for each in value]
    if isinstance(value, dict):
        return {name: without(each, names) for name, each in value.items() if name not in names}
    return value


def planned_line() -> str:
    """A request of a path that is promised and not served yet."""
    registry = Transcoder(windlass_descriptors()).registry
    rules = read_rules(registry, WINDLASS_SERVICES, PLANNED)
    rule = next(rule for rule in rules if rule.method is None)
    return f"{rule.http_method} {re.sub(r'{.*?}', 'x', rule.path)}"


def calls_of_nothing() -> Iterator[Row]:
    """Each call that is served, of objects that there are not, and with nothing in its body.

    Files come and go in several messages, and what has no end would not end here: those have tests of
    their own.
    """
    registry = Transcoder(windlass_descriptors()).registry
    for rule in read_rules(registry, WINDLASS_SERVICES, PLANNED):
        if rule.method is None or rule.method.method_kind != "unary":
            continue
        if rule.rpc.endswith("/Allocate"):
            continue  # what one front end is given is not there for the next
        request: dict[str, Any] = {rule.body: {}} if rule.body not in ("", "*") else {}
        for name in re.findall(r"{([^}=]+)", rule.path):
            *parents, last = name.split(".")
            inner = request
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = "none"
        line = f"{rule.http_method} {re.sub(r'{[^}]*}', 'none', rule.path)}"
        yield Row(line, line, rule.rpc, request, body={} if rule.body else None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fronts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fronts]:
    directory: Path = tmp_path_factory.mktemp("windlass")
    async with running_cluster(directory) as cluster:
        first = await cluster.submit("sh", "-c", "echo out; echo err >&2", name="first")
        other = await cluster.submit("true", name="other")
        await asyncio.gather(cluster.follow(first.job_id), cluster.follow(other.job_id))
        viewer = await cluster.key_for("vera", "default", "VIEWER")
        placed = await cluster.get(first.job_id)
        config = directory / "windlass.json"
        flags = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", str(config))
        assert main(["--upstream", cluster.grpc, *flags]) == 0
        async with running_envoy(json.loads(config.read_text()), directory) as envoy:
            yield Fronts(
                cluster,
                envoy,
                Types(windlass_descriptors()),
                {
                    "job": first.job_id,
                    "other": other.job_id,
                    "node": placed.placement.node_id,
                    "planned": planned_line(),
                },
                {ADMIN: cluster.token, VIEWER: viewer, NOBODY: ""},
            )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_the_same_call_has_the_same_answer_everywhere(fronts: Fronts, row: Row):
    gateway = await fronts.http(fronts.cluster.http, row)
    assert gateway.status == row.status
    if row.rpc:
        expected = await fronts.grpc(row)
        assert not gateway.aspects(expected), explained(gateway, expected)
    envoy = await fronts.http(fronts.envoy, row)
    differing, required = envoy.aspects(gateway), LISTED.required(row.name)
    unlisted = differing - required - LISTED.allowed(row.name)
    assert not unlisted, f"not in differences.toml: {unlisted}\n{explained(envoy, gateway)}"
    assert required <= differing, f"in differences.toml, but no more: {required - differing}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", [*calls_of_nothing()], ids=lambda row: row.name)
async def test_every_call_of_what_is_not_there_is_answered_alike(fronts: Fronts, row: Row):
    gateway = outlined(await fronts.http(fronts.cluster.http, row))
    expected = outlined(await fronts.grpc(row))
    assert not gateway.aspects(expected), explained(gateway, expected)
    envoy = outlined(await fronts.http(fronts.envoy, row))
    assert not envoy.aspects(gateway), explained(envoy, gateway)


def outlined(outcome: Outcome) -> Outcome:
    """Of an answer the names of its fields: what is made by a call is another one each time."""
    body = outcome.body
    if outcome.status < 400 and isinstance(body, dict):
        body = sorted(body)
    return replace(outcome, body=body)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_is_submitted_and_cancelled_alike(fronts: Fronts):
    """Each front end gets a job of its own, which waits for ever and is cancelled."""
    changing = ("job_id", "create_time", "end_time", "etag", "update_time")
    body = {**JOB, "command": ["sleep", "1000"]}
    answers = []
    for address in (fronts.cluster.http, fronts.envoy):
        submit = Row("", "POST /v1/jobs", body=body)
        made = await fronts.http(address, submit)
        cancel = Row("", f"POST /v1/jobs/{made.body['job_id']}:cancel", body={"reason": "enough"})
        ended = await fronts.http(address, cancel)
        answers.append((made.status, without(made.body, changing), ended.status))
        assert ended.body["job_id"] == made.body["job_id"]
        assert ended.body["status"] in ("CANCELLED", "CANCELLING", "RUNNING", "SCHEDULED")
    assert answers[0] == answers[1]


@pytest.mark.asyncio(loop_scope="module")
async def test_artifacts_are_uploaded_and_downloaded_alike(fronts: Fronts):
    job_id, content = fronts.ids["job"], b"\x00weights\xff" * 50_000
    walks = [
        await artifact_walk(fronts, address, f"/v1/jobs/{job_id}/artifacts", content)
        for address in (fronts.cluster.http, fronts.envoy)
    ]
    assert walks[0] == walks[1]
    assert walks[0]["downloaded"] == walks[0]["downloaded in parts"] == content
    assert walks[0]["gone"] == 404


async def artifact_walk(
    fronts: Fronts, address: str, path: str, content: bytes
) -> Mapping[str, object]:
    """What a front end answers to who uploads a file, at once and in parts, reads it and removes it."""
    authorization = ("authorization", f"Bearer {fronts.keys[ADMIN]}")
    octets = (authorization, ("content-type", "application/octet-stream"))
    own = ("artifact_id", "create_time", "finish_time", "version")
    seen: dict[str, object] = {}

    async def told(name: str, method: str, target: str, body: bytes | None = None) -> Any:
        reply = await send(address, method, target, octets if body else (authorization,), body)
        answer = json.loads(reply.content)
        seen[name] = reply.status, without(answer, own)
        return answer

    async def downloaded(name: str, artifact_id: str) -> None:
        reply = await send(address, "GET", f"{path}/{artifact_id}:download", (authorization,))
        seen[name] = reply.content
        seen[f"{name} as"] = reply.headers["content-type"]

    made = await told("uploaded", "POST", f"{path}?name=model.bin&type=MODEL", content)
    await downloaded("downloaded", made["artifact_id"])
    begin = Row("", f"POST {path}:begin", body={"name": "parts.bin", "type": "MODEL"})
    begun = (await fronts.http(address, begin)).body["artifact_id"]
    half = len(content) // 2
    await told("first half", "PUT", f"{path}/{begun}?offset=0", content[:half])
    await told("second half", "PUT", f"{path}/{begun}?offset={half}", content[half:])
    finish = Row("", f"POST {path}/{begun}:finish", body={})
    seen["finished"] = without((await fronts.http(address, finish)).body, own)
    await downloaded("downloaded in parts", begun)
    more = await send(address, "PUT", f"{path}/{begun}?offset=0", octets, b"more")
    seen["refused"] = more.status, json.loads(more.content)["details"][0]["reason"]
    await told("listed", "GET", path)
    for artifact_id in (made["artifact_id"], begun):
        await told(f"removed {artifact_id == begun}", "DELETE", f"{path}/{artifact_id}")
    seen["gone"] = (await send(address, "GET", f"{path}/{begun}", (authorization,))).status
    return seen
