"""What is held is accounted for over REST, gRPC and the command line, and adds up everywhere."""

import asyncio
import csv
import io
import itertools
import signal
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc

USAGE = "/v1/resources/usage"


async def usage(rest: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await rest.get(USAGE, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def lasted(thing: dict[str, Any], start: str, end: str) -> Decimal:
    """Seconds, to the microsecond."""
    first, last = (datetime.fromisoformat(thing[name]) for name in (start, end))
    return Decimal((last - first) // timedelta(microseconds=1)) / 1_000_000


async def test_what_was_held_adds_up_to_what_allocations_say(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        wanted = {"resources": {"cpu_millis": 500, "memory_bytes": "3221225472", "gpu_count": 3}}
        made = (await rest.post("/v1/resources/allocate", json=wanted)).json()
        path = f"/v1/resources/allocations/{made['allocation_id']}"
        during = await usage(rest)
        released = (await rest.delete(path)).json()
        job = await any_cluster.submit("true", resources={"gpu_count": 2})
        _, end = await any_cluster.follow(job.job_id)
        assert end.exit_code == 0

        start = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - the server's clock is real
        stop = start + timedelta(days=2)
        window = {"start_time": start.isoformat(), "end_time": stop.isoformat()}
        found = await usage(rest, group_by=["project", "gpu_type", "kind"], **window)
        rows = {row["kind"]: row for row in found["rows"]}
        held = rows["ALLOCATION"]["held"]
        seconds = lasted(released, "create_time", "end_time")
        assert Decimal(held["gpu_seconds"]) == 3 * seconds
        assert Decimal(held["cpu_core_seconds"]) == seconds / 2
        assert Decimal(held["memory_gib_seconds"]) == 3 * seconds
        assert 0 < Decimal(during["total"]["held"]["gpu_seconds"]) < 3 * seconds
        assert {(row["project"], row["gpu_type"]) for row in found["rows"]} == {("default", "H100")}
        assert Decimal(rows["JOB"]["held"]["gpu_seconds"]) > 0

        for by in ([], ["user"], ["node_id"], ["holder_id", "queue"], ["label:team"]):
            again = await usage(rest, group_by=by, bucket="60s" if not by else "3600s", **window)
            for name in ("gpu_seconds", "cpu_core_seconds", "memory_gib_seconds"):
                parts = [Decimal(row["held"][name]) for row in again["rows"]]
                assert sum(parts) == Decimal(again["total"]["held"][name])
                assert again["total"]["held"] == found["total"]["held"]

        stub = resources_service_pb2_grpc.ResourcesServiceStub(any_cluster.channel)
        request = resources_service_pb2.GetUsageRequest(group_by=["project"])
        request.start_time.FromDatetime(start)
        answer = await stub.GetUsage(request, metadata=any_cluster.metadata)
        assert answer.total.held.gpu_seconds == found["total"]["held"]["gpu_seconds"]


async def test_the_rows_come_as_a_file_that_says_the_same(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        for count in (1, 2):
            wanted = {"resources": {"gpu_count": count}}
            made = (await rest.post("/v1/resources/allocate", json=wanted)).json()
            await rest.delete(f"/v1/resources/allocations/{made['allocation_id']}")
        query = {"group_by": ["holder_id", "gpu_type"], "bucket": "3600s"}
        answer = await rest.get(f"{USAGE}:export", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"].startswith('attachment; filename="usage-20')
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        said = await usage(rest, **query)
        assert len(rows) == len(said["rows"]) >= 2
        for row, one in zip(rows, said["rows"], strict=True):
            assert (row["holder_id"], row["gpu_type"]) == (one["holder_id"], "H100")
            assert row["gpu_seconds"] == one["held"]["gpu_seconds"]
        assert sum(Decimal(row["gpu_seconds"]) for row in rows) == Decimal(
            said["total"]["held"]["gpu_seconds"]
        )
        bad = await rest.get(f"{USAGE}:export", params={"group_by": "color"})
        assert (bad.status_code, bad.headers["content-type"]) == (400, "application/json")
        late = {"start_time": "2030-01-01T00:00:00Z"}
        assert (await rest.get(f"{USAGE}:export", params=late)).status_code == 400
    async with any_cluster.rest("") as rest:
        assert (await rest.get(f"{USAGE}:export")).status_code == 401


async def test_usage_costs_what_held_at_its_time(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        wanted = {"resources": {"cpu_millis": 1000, "memory_bytes": "1073741824", "gpu_count": 2}}
        made = (await rest.post("/v1/resources/allocate", json=wanted)).json()
        released = (await rest.delete(f"/v1/resources/allocations/{made['allocation_id']}")).json()
        assert (await usage(rest))["currency"] == ""
        past = {"currency": "EUR", "start_time": "2020-01-01T00:00:00Z"}
        for price in (
            {"resource": "GPU", "gpu_type": "H100", "amount": "3600.0"},
            {"resource": "CPU", "amount": "360"},
        ):
            answer = await rest.post("/v1/resources/prices", json=price | past)
            assert answer.status_code == 200, answer.text
        found = await usage(rest, group_by=["project", "gpu_type"])
        seconds = lasted(released, "create_time", "end_time")
        (row,) = found["rows"]
        assert Decimal(row["held"]["cost"]) == seconds * 2 + seconds / 10
        assert found["currency"] == "EUR"
        assert found["unpriced"] == [{"resource": "MEMORY", "gpu_type": ""}]
        (gpu, *_) = reversed((await rest.get("/v1/resources/prices")).json()["prices"])
        assert (gpu["amount"], gpu["resource"]) == ("3600", "GPU")
        gone = await rest.delete(f"/v1/resources/prices/{gpu['price_id']}")
        assert gone.json() == gpu
        assert Decimal((await usage(rest))["total"]["held"]["cost"]) == seconds / 10


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "-1"}, "price.amount"),
        ({"amount": "1e9"}, "price.amount"),
        ({"amount": "NaN"}, "price.amount"),
        ({"amount": "1."}, "price.amount"),
        ({"amount": "1,5"}, "price.amount"),
        ({"amount": "1000000000"}, "price.amount"),
        ({"amount": "0.0000000001"}, "price.amount"),
        ({"amount": "१"}, "price.amount"),
        ({"amount": ""}, "price.amount"),
        ({"amount": 2.5}, "price.amount"),
        ({"currency": "euro"}, "price.currency"),
        ({"currency": ""}, "price.currency"),
        ({"resource": "DISK"}, "price.resource"),
        ({"resource": 0}, "price.resource"),
        ({"resource": "CPU", "gpu_type": "H100"}, "price.gpu_type"),
        ({"gpu_type": "a\0"}, "price.gpu_type"),
        ({"start_time": "soon"}, "price.start_time"),
        ({"start_time": "10000-01-01T00:00:00Z"}, "price.start_time"),
    ],
)
async def test_bad_prices_are_refused_by_the_name_of_the_field(
    server: Cluster, change: dict[str, Any], field: str
):
    good = {"resource": "GPU", "amount": "1", "currency": "EUR"}
    async with server.rest() as rest:
        answer = await rest.post("/v1/resources/prices", json=good | change)
        assert (await rest.get("/v1/resources/prices")).json()["prices"] == []
    assert answer.status_code == 400, answer.text
    details = answer.json()["details"]
    assert field in [v["field"] for d in details for v in d.get("field_violations", [])]


async def test_whatever_price_is_accepted_reads_as_it_was_said(any_server: Cluster):
    async with any_server.rest() as rest:
        for number, (amount, start) in enumerate(
            itertools.product(
                ["0", "0.000000001", "999999999.999999999", "007.50"],
                ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-11-01T00:00:00Z"],
            )
        ):
            said = {
                "resource": "GPU",
                "gpu_type": f"t{number}",
                "amount": amount,
                "start_time": start,
            }
            set_ = await rest.post("/v1/resources/prices", json=said | {"currency": "EUR"})
            assert set_.status_code == 200, set_.text
            (read,) = (
                await rest.get("/v1/resources/prices", params={"gpu_type": f"T{number}"})
            ).json()["prices"]
            assert read == set_.json()
            assert (read["start_time"], Decimal(read["amount"])) == (start, Decimal(amount))
        assert (await usage(rest))["rows"] == []


async def test_what_is_used_is_measured_and_outlives_the_server(cluster: Cluster):
    async with cluster.rest() as rest:
        job = await cluster.submit(
            "sh", "-c", "while :; do :; done",
            resources={"gpu_count": 2, "cpu_millis": 1000, "memory_bytes": 1 << 28},
        )  # fmt: skip
        # Long enough to be seen as the holder, and to be measured for some seconds.
        while Decimal((await usage(rest))["total"]["held"]["gpu_seconds"]) < 2 * 7:
            seen = (await rest.get(f"/v1/jobs/{job.job_id}")).json()
            assert seen["status"] in ("QUEUED", "SCHEDULED", "RUNNING"), seen
        await rest.patch(f"/v1/jobs/{job.job_id}/status", json={"action": "CANCEL"})
        await cluster.follow(job.job_id)
    assert cluster.server is not None
    await cluster.server.kill(signal.SIGTERM)
    await cluster.start_server()
    async with cluster.rest() as rest:
        found = await usage(rest, group_by="gpu_type")
        (row,) = found["rows"]
    held, used = row["held"], {name: Decimal(value) for name, value in row["used"].items()}
    assert 4 < used["measured_gpu_seconds"] <= Decimal(held["gpu_seconds"])
    assert 0 < used["gpu_seconds"] <= used["measured_gpu_seconds"]
    assert used["energy_joules"] > used["energy_measured_gpu_seconds"]
    assert 0 < used["cpu_core_seconds"] <= Decimal(held["cpu_core_seconds"]) * 2
    assert 0 < used["memory_gib_seconds"] < used["measured_memory_gib_seconds"]
    assert found["total"]["used"] == row["used"]


async def test_the_command_line_shows_it(cluster: Cluster):
    async with cluster.rest() as rest:
        await rest.post("/v1/resources/allocate", json={"resources": {"gpu_count": 1}})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "windlass_client.cli.main", "usage",
        "--by", "project,gpu_type", "--since", "7d",
        "--server", cluster.grpc, "--token", cluster.token,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown = (await process.communicate())[0].decode().splitlines()
    assert process.returncode == 0
    assert [line.split()[:2] for line in shown[1:]] == [["default", "H100"], ["total", "0.00"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"group_by": "color"}, "group_by[0]"),
        ({"group_by": ["user", "user"]}, "group_by"),
        ({"group_by": "label:"}, "group_by[0]"),
        ({"group_by": "label:a b"}, "group_by[0]"),
        ({"group_by": "Project"}, "group_by[0]"),
        ({"group_by": ["label:" + "x" * 64]}, "group_by[0]"),
        ({"group_by": [f"label:{n}" for n in range(1000)]}, "group_by"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": "2026-11-02T00:00:00Z", "end_time": "2026-11-01T00:00:00Z"}, "start_time"),
        ({"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-01T00:00:00Z"}, "start_time"),
        ({"start_time": "9999-12-31T23:59:59Z"}, "start_time"),
        ({"bucket": "0s"}, "bucket"),
        ({"bucket": "-1s"}, "bucket"),
        ({"bucket": "1d"}, "bucket"),
        ({"bucket": "315576000001s"}, "bucket"),
        ({"bucket": "99999999999999999999s"}, "bucket"),
        ({"bucket": "1s"}, "bucket"),
        ({"start_time": "0001-01-01T00:00:00Z", "bucket": "1s"}, "bucket"),
        ({"project": "No Such"}, "project"),
        ({"user": "x" * 129}, "user"),
        ({"node_id": "a\0b"}, "node_id"),
        ({"labels": "team"}, "labels[0]"),
        ({"labels": [f"a=b{n}" for n in range(17)]}, "labels"),
        ({"color": "red"}, "color"),
    ],
)
async def test_bad_questions_are_refused_by_the_name_of_the_field(
    server: Cluster, query: dict[str, Any], field: str
):
    async with server.rest() as rest:
        answer = await rest.get(USAGE, params=query)
    assert answer.status_code == 400, answer.text
    details = answer.json()["details"]
    violations = [v["field"] for d in details for v in d.get("field_violations", [])]
    assert field in violations, answer.text


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59.999999999Z"},
        {"start_time": "0001-01-01T00:00:00Z", "bucket": "31536000s"},
        {"end_time": "1970-01-01T00:00:00Z"},
        {"user": "' OR 1=1 --", "node_id": "%", "queue": "_", "gpu_type": "💥"},
        {"labels": "team=' OR 1=1 --"},
        {
            "group_by": [
                "project",
                "user",
                "queue",
                "node_id",
                "pool_id",
                "gpu_type",
                "kind",
                "holder_id",
            ]
        },
    ],
)
async def test_odd_questions_are_answered(server: Cluster, query: dict[str, Any]):
    async with server.rest() as rest:
        found = await usage(rest, **query)
    assert found["rows"] == []
    assert found["total"]["held"]["gpu_seconds"] == "0"


async def test_who_may_ask(server: Cluster):
    viewer = await server.key_for("vera", "vision", "VIEWER")
    async with server.rest(viewer) as rest:
        price = {"resource": "GPU", "amount": "1", "currency": "EUR"}
        assert (await rest.get("/v1/resources/prices")).status_code == 200
        assert (await rest.post("/v1/resources/prices", json=price)).status_code == 403
        assert (await rest.delete("/v1/resources/prices/price-1")).status_code == 403
        assert (await usage(rest, group_by="project"))["rows"] == []
        assert (await rest.get(USAGE, params={"project": "vision"})).status_code == 200
        foreign = await rest.get(USAGE, params={"project": "default"})
        absent = await rest.get(USAGE, params={"project": "no-such"})
        assert (foreign.status_code, absent.status_code) == (403, 403)
    async with server.rest() as rest:
        assert (await rest.get(USAGE, params={"project": "no-such"})).status_code == 404
    async with server.rest("") as rest:
        assert (await rest.get(USAGE)).status_code == 401
