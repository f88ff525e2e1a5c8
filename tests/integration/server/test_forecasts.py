"""Why a job waits, and what a submission would get, by the planner itself."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from sqlalchemy import select
from sqlmodel import SQLModel

from tests.support.jobs_api import JobsApi
from tests.support.nodes import an_inventory, node_columns
from windlass.jobs.v1 import job_forecast_pb2, job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.resources.price_book import Resource
from windlass_server.rpc.pipeline import CallFailed
from windlass_server.storage.guard import acting_as
from windlass_server.storage.transaction import Transaction

Forecast = job_forecast_pb2.Forecast


async def add_node(api: JobsApi, *, gpus: int) -> str:
    inventory = an_inventory(gpus=gpus)
    columns = node_columns(
        name="n1",
        inventory=inventory.SerializeToString(),
        cpu_millis=inventory.cpu_millis,
        memory_bytes=inventory.memory_bytes,
    )
    with acting_as("test"):
        await api.database.write(lambda tx: tx.nodes.add(columns))
    return str(columns["node_id"])


async def submit(api: JobsApi, *, dry: bool = False, **fields: object) -> job_pb2.Job:
    job = job_pb2.Job(command=["train"], **fields)  # type: ignore[arg-type]
    request = pb.SubmitJobRequest(job=job, validate_only=dry)
    return await api.call("SubmitJob", request, job_pb2.Job)


async def explain(api: JobsApi, job_id: str) -> pb.ExplainJobResponse:
    request = pb.ExplainJobRequest(job_id=job_id)
    return await api.call("ExplainJob", request, pb.ExplainJobResponse)


def everything(tx: Transaction) -> dict[str, list[object]]:
    """All rows of all tables."""
    tables = SQLModel.metadata.sorted_tables
    return {table.name: sorted(map(repr, tx.connection.execute(select(table)))) for table in tables}


async def test_a_dry_run_says_where_the_job_would_start_and_writes_nothing(api: JobsApi):
    node_id = await add_node(api, gpus=2)
    with acting_as("test"):
        before = await api.database.read(everything)
    job = await submit(api, dry=True, resources={"gpu_count": 2})
    with acting_as("test"):
        assert await api.database.read(everything) == before
    assert before["nodes"]
    assert not job.job_id
    assert job.forecast.verdict == Forecast.STARTS_NOW
    (place,) = job.forecast.placements
    assert (place.node_id, place.node_name, len(place.gpu_uuids)) == (node_id, "n1", 2)
    assert api.queued == []


async def test_a_dry_run_stands_behind_those_that_wait(api: JobsApi):
    await add_node(api, gpus=2)
    await submit(api, resources={"gpu_count": 2})
    behind = (await submit(api, dry=True, resources={"gpu_count": 1})).forecast
    assert (behind.verdict, behind.reason) == (Forecast.WAITS, "WAITING_BEHIND_EARLIER_JOBS")
    assert behind.jobs_ahead == 1
    assert [(each.field, each.enough) for each in behind.changes] == [("priority", "1")]
    assert "may run for ever" in behind.start_unknown
    assert not behind.HasField("start_time_p90")


async def test_a_dry_run_says_when_it_would_start(api: JobsApi):
    await add_node(api, gpus=2)
    hour = Duration(seconds=3600)
    ahead = await submit(api, resources={"gpu_count": 2}, time_limit=hour)
    forecast = (await submit(api, dry=True, resources={"gpu_count": 1})).forecast
    assert forecast.start_unknown == ""
    for found in (forecast.start_time_p50, forecast.start_time_p90):
        assert found.seconds - ahead.create_time.seconds in range(3600, 3700)


async def test_a_job_that_waits_for_another_is_explained_before_and_after_its_submission(
    api: JobsApi,
):
    await add_node(api, gpus=2)
    first = await submit(api)
    awaited = [job_pb2.Dependency(job_id=first.job_id, type=job_pb2.Dependency.AFTER_OK)]
    asked = await submit(api, dry=True, dependencies=awaited)
    follower = await submit(api, dependencies=awaited)
    assert api.queued == [first.job_id]
    later = (await explain(api, follower.job_id)).forecast
    for found in (asked.forecast, later):
        assert (found.verdict, found.reason) == (Forecast.WAITS, "DEPENDENCY")
        assert found.message == f"waits for {first.job_id} to succeed"
        assert not found.changes


async def test_a_waiting_job_is_explained_with_the_priority_by_which_it_is_served(api: JobsApi):
    awaited = await submit(api, priority=5, resources={"gpu_count": 1})
    behind = [job_pb2.Dependency(job_id=awaited.job_id, type=job_pb2.Dependency.AFTER_OK)]
    dry = (await submit(api, dry=True, priority=30, dependencies=behind)).forecast
    assert (dry.effective_priority, dry.priority_message) == (30, "")
    found = (await explain(api, awaited.job_id)).forecast
    assert (found.effective_priority, found.priority_message) == (5, "")


async def test_a_waiting_job_is_explained_with_counts_and_the_smallest_change(api: JobsApi):
    await submit(api, resources={"gpu_count": 1})  # is accepted while no node is known
    big = await submit(api, resources={"gpu_count": 8})
    await add_node(api, gpus=2)
    answer = await explain(api, big.job_id)
    assert (answer.job_id, answer.status) == (big.job_id, job_pb2.Job.QUEUED)
    found = answer.forecast
    assert (found.verdict, found.reason) == (Forecast.NEVER, "INSUFFICIENT_GPUS")
    assert (found.nodes, found.jobs_ahead) == (1, 1)
    (constraint,) = found.constraints
    assert (constraint.constraint, constraint.field) == (
        "INSUFFICIENT_GPUS",
        "resources.gpu_count",
    )
    assert (constraint.nodes_when_empty, constraint.nodes_now) == (1, 1)
    assert [(each.field, each.asked, each.enough) for each in found.changes] == [
        ("resources.gpu_count", "8", "1")
    ]


async def test_a_job_that_does_not_wait_is_told_so(api: JobsApi):
    job = await submit(api)
    cancelled = await api.call("CancelJob", pb.CancelJobRequest(job_id=job.job_id), job_pb2.Job)
    found = (await explain(api, job.job_id)).forecast
    assert found.verdict == Forecast.NOT_WAITING
    assert found.reason == cancelled.status_reason == "CANCEL_REQUESTED"


async def test_a_job_deeper_in_the_queue_than_a_cycle_looks_keeps_its_reason(
    api: JobsApi, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("windlass_server.jobs.world.QUEUE_DEPTH", 0)
    job = await submit(api)
    found = (await explain(api, job.job_id)).forecast
    assert (found.verdict, found.reason) == (Forecast.WAITS, job.status_reason)


async def test_the_cost_is_by_the_prices_of_now_and_of_the_type_that_would_be_given(api: JobsApi):
    await add_node(api, gpus=2)
    whole = {Resource.GPU: 2_000_000_000, Resource.CPU: 500_000_000, Resource.MEMORY: 0}
    rows = [
        {
            "price_id": f"price-{resource}",
            "resource": int(resource),
            "gpu_type": "",
            "gpu_key": "",
            "amount": amount,
            "currency": "EUR",
            "start_at": 0,
            "user": "ada",
            "created_at": 0,
        }
        for resource, amount in whole.items()
    ]
    with acting_as("test"):
        for row in rows:
            await api.database.write(lambda tx, row=row: tx.prices.set(row))  # type: ignore[misc]
    resources = {"gpu_count": 2, "cpu_millis": 2000, "memory_bytes": 0}
    job = await submit(api, dry=True, resources=resources, time_limit={"seconds": 3590})
    assert job.forecast.cost.currency == "EUR"
    assert job.forecast.cost.per_hour == job.forecast.cost.at_most == "5"
    assert not (await submit(api, dry=True, resources=resources)).forecast.cost.at_most


async def test_a_foreign_or_absent_job_is_not_explained(api: JobsApi):
    with pytest.raises(CallFailed) as refused:
        await explain(api, "job-none")
    assert refused.value.status.code == code_pb2.NOT_FOUND
