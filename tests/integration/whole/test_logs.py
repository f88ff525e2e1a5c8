"""Logs of real jobs by REST: from a time on, only some lines, and on from each message."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from windlass.jobs.v1 import jobs_service_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRAINS = """
import sys, time
for step in range(1, 31):
    print(f"step {step} loss={1 / step:.3f}" if step % 10 == 0 else f"step {step}", flush=True)
print("no loss here", file=sys.stderr)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A server and an agent for all tests here."""
    async with running_cluster(tmp_path_factory.mktemp("logs")) as running:
        yield running


async def messages(site: Cluster, job_id: str, query: str) -> list[dict]:
    """The messages of a log as lines of JSON."""
    headers = {"accept": "application/x-ndjson"}
    async with site.rest() as rest:
        answer = await rest.get(f"/v1/jobs/{job_id}/logs?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def text(found: list[dict]) -> str:
    return "".join(one.get("chunk", {}).get("text", "") for one in found)


async def test_a_log_is_searched_on_the_server(site: Cluster):
    job = await site.submit("python3", "-c", TRAINS)
    followed = await messages(
        site,
        job.job_id,
        "rank=0&stream=STDOUT&tail=100&since=2020-01-01T00:00:00Z&follow=true&grep=loss",
    )
    assert text(followed) == "step 10 loss=0.100\nstep 20 loss=0.050\nstep 30 loss=0.033\n"
    assert "end" in followed[-1]
    assert text(await messages(site, job.job_id, "grep=LOSS&grep_ignore_case=true&tail=1")) == (
        "no loss here\n"
    )
    assert text(await messages(site, job.job_id, "grep=loss%3D0.0&grep_fixed=true&tail=2")) == (
        "step 20 loss=0.050\nstep 30 loss=0.033\n"
    )
    assert text(await messages(site, job.job_id, "grep=%5Estep+%5Cd%24&tail=2")) == (
        "step 8\nstep 9\n"
    )


async def test_each_message_of_a_search_can_be_gone_on_behind(site: Cluster):
    job = await site.submit("python3", "-c", TRAINS)
    await site.follow(job.job_id)
    found = await messages(site, job.job_id, "grep=loss")
    whole, read = text(found), ""
    for message in found:
        read += text([message])
        rest = await messages(site, job.job_id, f"grep=loss&cursor={message['cursor']}")
        assert read + text(rest) == whole


async def test_a_log_is_read_from_one_time_to_another(site: Cluster):
    job = await site.submit("python3", "-c", TRAINS)
    await site.follow(job.job_id)
    found = await messages(site, job.job_id, "")
    times = [one["chunk"]["time"] for one in found if "chunk" in one]
    assert text(await messages(site, job.job_id, f"since={times[0]}")) == text(found)
    assert text(await messages(site, job.job_id, f"until={times[0]}")) == ""
    later = (datetime.fromisoformat(times[-1]) + timedelta(seconds=1)).strftime("%FT%TZ")
    assert text(await messages(site, job.job_id, f"since={later}")) == ""
    assert text(await messages(site, job.job_id, f"until={later}")) == text(found)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("grep=(", "GREP_INVALID"),
        ("grep=(.{1000}){1000}", "GREP_INVALID"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "LOG_TIMES_INVALID"),
        ("cursor=run-00000000000000000000000000:0:0:9:9", "CURSOR_INVALID"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_reason(
    site: Cluster, query: str, reason: str
):
    job = await site.submit("true")
    async with site.rest() as rest:
        answer = await rest.get(f"/v1/jobs/{job.job_id}/logs?{query}")
    assert answer.status_code == 400
    details = answer.json()["details"]
    assert [one["reason"] for one in details if "reason" in one] == [reason]


FLOODS = """
import sys
block = b"x" * 1023 + b"\\n"
while True:
    sys.stdout.buffer.write(block * 1024)
"""


async def test_a_job_that_floods_its_log_is_bounded_and_hurts_nobody(
    tmp_path_factory: pytest.TempPathFactory,
):
    bounds = {"WINDLASS_AGENT_LOG_QUOTA": "64MiB", "WINDLASS_AGENT_LOG_RATE": "8MiB"}
    site = Cluster(tmp_path_factory.mktemp("flood"), environment={})
    try:
        await site.start_server()
        site.environment = bounds
        await site.start_agent()
        flood = await site.submit("python3", "-c", FLOODS)
        await site.wait_for_output(flood.job_id, "[windlass: ")
        async with asyncio.timeout(60):
            other = await site.submit("python3", "-c", TRAINS)
            followed = await messages(site, other.job_id, "follow=true&grep=loss%3D")
            assert text(followed).count("\n") == 3
            # What is printed while another floods is followed, and so is a word to the flood itself.
            cancel = jobs_service_pb2.CancelJobRequest(job_id=flood.job_id)
            await site.jobs.CancelJob(cancel, metadata=site.metadata)
            shown = await messages(site, flood.job_id, "follow=true&grep=windlass")
        assert shown[-1]["end"]["incomplete"] == []
        assert "bytes (" in text(shown)
        (log,) = (site.directory / "data" / "logs").glob(
            f"*/{await run_of(site, flood.job_id)}.log"
        )
        assert log.stat().st_size < 65 << 20
    finally:
        await site.stop()


async def run_of(site: Cluster, job_id: str) -> str:
    return str((await messages(site, job_id, "tail=1"))[0]["chunk"]["run_id"])


async def test_a_log_moves_into_the_object_store_and_nobody_notices(
    tmp_path_factory: pytest.TempPathFactory,
):
    environment = {"WINDLASS_LOG_ARCHIVE_SECONDS": "0"}
    site = Cluster(tmp_path_factory.mktemp("moves"), environment=environment)
    logs, objects = site.directory / "data" / "logs", site.directory / "data" / "objects" / "logs"
    try:
        await site.start_server()
        await site.start_agent()
        job = await site.submit("python3", "-c", TRAINS)
        before = await messages(site, job.job_id, "follow=true")
        async with asyncio.timeout(60):
            while [*logs.glob("*/run-*.log")]:
                assert text(await messages(site, job.job_id, "")) == text(before)
        (stored,) = objects.rglob("log.zst")
        assert stored.stat().st_size < 1000
        for _ in range(2):
            assert text(await messages(site, job.job_id, "")) == text(before)
            for message in before:
                rest = await messages(site, job.job_id, f"cursor={message['cursor']}")
                assert text(before).endswith(text(rest))
            assert text(await messages(site, job.job_id, "tail=1&grep=loss%3D")) == (
                "step 30 loss=0.033\n"
            )
            assert site.server is not None
            await site.server.kill()
            await site.start_server()
    finally:
        await site.stop()
