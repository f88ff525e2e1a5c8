"""`/v1/events` over REST and gRPC, in real processes."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.cluster import Cluster
from windlass.access.v1 import access_service_pb2_grpc, event_pb2

EVENTS = "/v1/events"
JOB = {"command": ["true"], "resources": {"gpu_count": 1}}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def submitted(server: Cluster, name: str) -> str:
    async with server.rest() as rest:
        answer = await rest.post("/v1/jobs", json=JOB | {"name": name})
        return str(answer.json()["job_id"])


async def test_events_read_alike_over_rest_and_grpc(server: Cluster) -> None:
    job_id = await submitted(server, "seen")
    async with server.rest() as rest:
        answer = await rest.get(EVENTS, params={"object_id": job_id})
        assert answer.status_code == 200, answer.text
        *told, end = answer.json()
    assert [one["event"]["reason"] for one in told] == ["SUBMITTED"]
    assert end == {"cursor": end["cursor"], "end": {}}
    stub: Any = access_service_pb2_grpc.AccessServiceStub(server.channel)
    request = event_pb2.StreamEventsRequest(object_id=job_id)
    messages = [one async for one in stub.StreamEvents(request, metadata=server.metadata)]
    assert [one.event.sequence for one in messages[:-1]] == [
        int(one["event"]["sequence"]) for one in told
    ]
    assert messages[0].event.status == told[0]["event"]["status"] == "QUEUED"


async def test_a_follower_over_sse_goes_on_where_it_was_cut_off(server: Cluster) -> None:
    async def follow(after: str, reasons: int) -> list[tuple[str, str]]:
        """So many events, with the ids under which they came."""
        found: list[tuple[str, str]] = []
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        async with (
            server.rest() as rest,
            rest.stream(
                "GET",
                EVENTS,
                params={"follow": "true", "kind": "job", "tail": "0"},
                headers=headers,
            ) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            following.set()
            position = ""
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    position = line[3:].strip()
                if line.startswith("data:") and "event" in (told := json.loads(line[5:])):
                    found.append((position, told["event"]["object_id"]))
                    if len(found) == reasons:
                        return found
        return found

    following = asyncio.Event()
    first = asyncio.create_task(follow("", 1))
    await asyncio.wait_for(following.wait(), 20)
    one, two = await submitted(server, "one"), await submitted(server, "two")
    ((position, object_id),) = await asyncio.wait_for(first, 30)
    assert object_id == one
    three = await submitted(server, "three")
    rest = await asyncio.wait_for(follow(position, 2), 30)
    assert [object_id for _, object_id in rest] == [two, three]
