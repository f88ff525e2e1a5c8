"""`/metrics` as Prometheus itself sees it."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cluster import Cluster, Process
from windlass_server.resources.exposition import GPUS, HEALTH

_NEEDS = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs Debian's package prometheus"
)
_CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: windlass
    authorization: {{credentials_file: {token}}}
    static_configs: [targets: ["{address}"]]
"""


def configured(folder: Path, cluster: Cluster) -> Path:
    """Prometheus' configuration."""
    token = cluster.directory / "data" / "admin.token"
    file = folder / "prometheus.yml"
    file.write_text(_CONFIGURATION.format(token=token, address=cluster.http))
    return file


@asynccontextmanager
async def prometheus(folder: Path, cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus that scrapes the server, and a client of its API."""
    configuration = configured(folder, cluster)
    process = await Process.start_program(
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        "--web.listen-address=127.0.0.1:0",
    )
    try:
        found = await process.says(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
        async with httpx.AsyncClient(base_url=f"http://{found[1]}", timeout=30) as client:
            yield client
    finally:
        await process.kill(signal.SIGTERM)


async def query(client: httpx.AsyncClient, text: str, at_least: int = 1) -> list[dict[str, Any]]:
    """The result of an instant query, when it has so many series."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get("/api/v1/query", params={"query": text})
            if answer.status_code == 200:
                result: list[dict[str, Any]] = answer.json()["data"]["result"]
                if len(result) >= at_least:
                    return result
            await asyncio.sleep(0.1)


@_NEEDS
async def test_prometheus_scrapes_gpus_with_the_jobs_that_hold_them(
    cluster: Cluster, tmp_path: Path
):
    job = await cluster.submit("sleep", "600", resources={"gpu_count": 2})
    async with prometheus(tmp_path, cluster) as client:
        (up,) = await query(client, "up == 1")
        assert up["metric"]["instance"] == cluster.http
        power = await query(client, "DCGM_FI_DEV_POWER_USAGE", at_least=8)
        assert {one["metric"]["gpu"] for one in power} == set(map(str, range(8)))
        assert all(0 < float(one["value"][1]) < 1000 for one in power)
        held = await query(client, f'DCGM_FI_DEV_GPU_UTIL{{job_id="{job.job_id}"}}', at_least=2)
        for one in held:
            metric = one["metric"]
            assert metric["UUID"].startswith("SIM-")
            assert metric["device"] == f"nvidia{metric['gpu']}"
            assert metric["modelName"]
            assert metric["Hostname"]
            assert metric["project"] == "default"
        (nodes,) = await query(client, 'windlass_nodes{status="READY"}')
        assert nodes["value"][1] == "1"
        calls = 'windlass_requests_total{method=~".*/ExportMetrics",code="OK"}'
        (scrapes,) = await query(client, calls)
        assert float(scrapes["value"][1]) >= 1


@_NEEDS
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_scraped_is_as_prometheus_wants_it(shared: Cluster):
    text = await scraped(shared)
    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await promtool.communicate(text.encode())
    # dcgm-exporter's own names.
    complaints = {line for line in told.decode().splitlines() if "camelCase" not in line}
    counters = {family.name for family in (*GPUS, *HEALTH) if family.kind == "counter"}
    suffixes = {f'{name} counter metrics should have "_total" suffix' for name in counters}
    named = "DCGM_FI_DEV_PCIE_REPLAY_COUNTER metric name should not include type 'counter'"
    assert complaints <= {*suffixes, named}


async def scraped(cluster: Cluster) -> str:
    """`/metrics`, when it has what a node measures."""
    async with asyncio.timeout(60), cluster.rest() as rest:
        while True:
            answer = await rest.get("/metrics")
            assert answer.status_code == 200, answer.text
            if "DCGM_FI_DEV_GPU_TEMP{" in answer.text:
                assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
                return answer.text


async def test_each_metric_is_written_once_and_gone_with_its_node(cluster: Cluster):
    families = list(text_string_to_metric_families(await scraped(cluster)))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    by_name = {family.name: family for family in families}
    used, free = (by_name[f"DCGM_FI_DEV_FB_{what}"].samples for what in ("USED", "FREE"))
    assert {one.value + other.value for one, other in zip(used, free, strict=True)} == {81559.0}
    assert by_name["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].type == "counter"
    assert {one.value for one in by_name["windlass_gpu_health"].samples} == {1.0}
    assert {one.value for one in by_name["DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"].samples} == {0.0}
    assert cluster.agent is not None
    await cluster.agent.kill()
    async with asyncio.timeout(60), cluster.rest() as rest:
        while "DCGM_FI_DEV_GPU_TEMP{" in (text := (await rest.get("/metrics")).text):
            pass
    assert 'windlass_nodes{status="UNREACHABLE"} 1' in text


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_see_the_metrics(shared: Cluster):
    async with shared.rest("") as nobody:
        assert (await nobody.get("/metrics")).status_code == 401
    job = await shared.submit("sleep", "600", resources={"gpu_count": 2})
    async with asyncio.timeout(60):
        while job.job_id not in (text := await scraped(shared)):
            pass
    assert 'project="default"' in text
    # Whoever may not see a job is not told what holds a GPU either.
    async with shared.rest(await shared.key_for("eve", "vision", "ADMIN")) as eve:
        answer = await eve.get("/metrics")
        assert answer.status_code == 200
        assert "DCGM_FI_DEV_GPU_TEMP{" in answer.text
        assert job.job_id not in answer.text
        assert "project=" not in answer.text
        assert (await eve.get("/metrics?a=1")).status_code == 400


async def test_metrics_are_open_where_the_operator_says_so(tmp_path: Path):
    cluster = Cluster(tmp_path, environment={"WINDLASS_PUBLIC_METRICS": "true"})
    try:
        await cluster.start_server()
        async with cluster.rest("") as nobody:
            answer = await nobody.get("/metrics")
            assert answer.status_code == 200
            assert "windlass_build_info" in answer.text
            assert (await nobody.get("/v1/system/info")).status_code == 401
    finally:
        await cluster.stop()
