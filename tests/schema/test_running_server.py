"""Requests made from `/openapi.json`, good and bad, to a real server: schemathesis and our oracle."""

import asyncio
import json
import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.gateway import ROOT
from tests.support.openapi import closed, operations, validator

_SECONDS = 600
# Streams that go on for ever: whoever waits for their end waits for ever, too.
_ENDLESS = ("/v1/resources/telemetry",)
# What is good for them does not come by chance: a task that runs, an archive, an address in the public network.
_NEVER_GOOD = {"POST /v1/jobs/{job_id}/profile", "POST /v1/sources", "POST /v1/webhooks"}

Ids = dict[str, list[str]]


@dataclass
class Outcome:
    """What a run of schemathesis found.

    Attributes:
        report: its JSON report.
        output: what it printed.
        document: the OpenAPI document that it read.
        ids: values of path parameters that led to something.
        answers: answers to good and bad requests, by the template of their path and their status.
        surprises: lines of the server's log about errors that nobody foresaw.
    """

    report: dict[str, Any]
    output: str
    document: dict[str, Any]
    ids: dict[str, list[str]]
    answers: list[tuple[str, int, Any]]
    surprises: list[str]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return asyncio.run(_run(tmp_path_factory.mktemp("schema")))


async def _run(folder: Path) -> Outcome:
    """Look at a server that has one of everything, on a node that has gone."""
    async with running_cluster(folder) as cluster, cluster.rest() as rest:
        document = (await rest.get("/openapi.json")).json()
        ids = await _make_one_of_everything(cluster, rest)
        answers = await _answers(rest, document, ids)
        url = f"http://{cluster.http}/openapi.json"
        output = await _schemathesis(folder, url, cluster.token, ids)
        assert cluster.server is not None
        surprises = [line for line in cluster.server.lines if "unexpected error" in line]
    report = json.loads((folder / "report.json").read_text())
    return Outcome(report, output, document, ids, answers, surprises)


async def _make_one_of_everything(cluster: Cluster, rest: httpx.AsyncClient) -> Ids:
    """Make objects of each kind; a new kind belongs here, or only its 404 is looked at.

    Returns:
        The values of path parameters that lead to them, by name, and by `NAME in PATH` where only some do.
    """
    ran = await cluster.submit("echo", "hello")
    await cluster.follow(ran.job_id)
    small = {"cpu_millis": "10", "memory_bytes": "1048576", "gpu_count": 1}
    wanted = {"resources": small, "ttl": "3600s"}
    allocations = [
        (await rest.post("/v1/resources/allocate", json=wanted)).raise_for_status().json()
        for _ in range(3)
    ]
    names = ["one", "two", "three"]
    for name in names:
        cluster_body = {"cluster_id": name}
        (await rest.post("/v1/resources/clusters", json=cluster_body)).raise_for_status()
        pool_body = {"pool_id": name, "selector": {"zones": [name]}}
        (await rest.post("/v1/resources/pools", json=pool_body)).raise_for_status()
        (await rest.post("/v1/queues", json={"queue_id": name})).raise_for_status()
    nodes = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    price = {"resource": "GPU", "gpu_type": "H100", "amount": "2.5", "currency": "EUR"}
    (await rest.post("/v1/resources/prices", json=price)).raise_for_status()
    (await rest.post("/v1/projects", json={"project": "quiet"})).raise_for_status()
    quotas = [
        (
            await rest.post(
                "/v1/quotas", json={"project": "quiet", "user": name, "limit": {"running_jobs": 1}}
            )
        )
        .raise_for_status()
        .json()
        for name in names
    ]
    ends = (datetime.now(UTC) + timedelta(hours=8)).isoformat()  # noqa: TID251 - as the server's
    kept = {"end_time": ends, "resources": {"cpu_millis": "1"}}
    reservations = [
        (await rest.post("/v1/resources/reserve", json=kept)).raise_for_status().json()
        for _ in range(3)
    ]
    drain = (await rest.post("/v1/resources/nodes:drain", json={"selector": {"all": True}})).json()
    cancel = f"/v1/resources/drains/{drain['drain_id']}:cancel"
    (await rest.post(cancel, json={})).raise_for_status()
    # What is submitted from now on waits, and is never run.
    assert cluster.agent is not None
    await cluster.agent.kill()
    waiting = await cluster.submit("echo", "later")
    array = {"command": ["true"], "array": {"count": 3}}
    array_id = (await rest.post("/v1/jobs", json=array)).raise_for_status().json()["job_id"]
    return {
        "job_id": [ran.job_id, waiting.job_id],
        "job_id in /v1/jobs/{job_id}/array": [array_id],
        "node_id": [nodes[0]["node_id"]],
        "allocation_id": [each["allocation_id"] for each in allocations],
        "cluster_id": names,
        "reservation_id": [each["reservation_id"] for each in reservations],
        "drain_id": [drain["drain_id"]],
        "pool_id": names,
        "queue_id": names,
        "quota_id": [each["quota_id"] for each in quotas],
    }


async def _answers(rest: httpx.AsyncClient, document: Any, ids: Ids) -> Any:
    """What the server answers to every GET, once as it is meant and once with a bad parameter."""
    answers = []
    for method, path, operation in operations(document):
        if method == "GET" and path not in _ENDLESS:
            # Files are not looked into.
            is_json = "application/json" in operation["responses"]["200"]["content"]
            values = defaultdict(lambda: "none", {name: known[0] for name, known in ids.items()})
            for name in re.findall(r"{([\w.]+)}", path):
                values[name] = ids.get(f"{name} in {path}", [values[name]])[0]
            for query in ("", "?no_such=1") if is_json else ("?no_such=1",):
                got = await rest.get(path.format_map(values) + query)
                answers.append((path, got.status_code, got.json()))
    return answers


async def _schemathesis(folder: Path, url: str, token: str, ids: Ids) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(ROOT / "tests/schema/schemathesis.toml"),
        "run",
        url,
        "--header",
        f"Authorization: Bearer {token}",
        "--report-json-path",
        str(folder / "report.json"),
        "--no-color",
        *(word for path in _ENDLESS for word in ("--exclude-path", path)),
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
            "SCHEMA_KEY_ID": token.split("_")[1],
            "SCHEMA_IDS": json.dumps(ids),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed.decode(errors="replace")


@pytest.mark.timeout(_SECONDS + 60)
def test_no_request_is_answered_otherwise_than_the_contract_says(outcome):
    assert not outcome.report["failures"], outcome.output
    assert not outcome.report["errors"], outcome.output
    assert outcome.report["exit_code"] == 0, outcome.output


@pytest.mark.timeout(_SECONDS + 60)
def test_every_operation_was_tried_in_every_way(outcome):
    listed = len(list(operations(outcome.document))) - len(_ENDLESS)
    assert outcome.report["operations"]["tested"] == listed, outcome.output
    ran = {name: phase["status"] for name, phase in outcome.report["phases"].items()}
    assert ran == dict.fromkeys(("examples", "coverage", "fuzzing", "stateful"), "success")
    assert outcome.report["test_cases"]["generated"] > 50 * listed


@pytest.mark.timeout(_SECONDS + 60)
def test_good_requests_are_among_them_for_every_operation(outcome):
    served = {
        name: sum(phase["accepted"] + phase["conflicts"] for phase in phases.values())
        for name, phases in outcome.report["valid_rates"].items()
    }
    wanted = {
        f"{method} {path}"
        for method, path, _ in operations(outcome.document)
        if path not in _ENDLESS and set(re.findall(r"{([\w.]+)}", path)) <= {*outcome.ids, "key_id"}
    }
    assert len(wanted) > 20
    assert not {name for name in wanted - _NEVER_GOOD if not served.get(name)}, outcome.output


@pytest.mark.timeout(_SECONDS + 60)
def test_the_server_was_never_surprised(outcome):
    assert not outcome.surprises, "\n".join(outcome.surprises)


def test_answers_have_the_declared_schema_and_nothing_besides(outcome):
    document = closed(outcome.document)
    statuses = set()
    for path, status, answer in outcome.answers:
        responses = document["paths"][path]["get"]["responses"]
        response = responses.get(str(status), responses["default"])
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = response["content"]["application/json"]["schema"]
        errors = [error.message for error in validator(document, schema).iter_errors(answer)]
        assert not errors, f"{path} {status}: {answer}"
        statuses.add((path, status))
    assert {status for _, status in statuses} >= {200, 400}
    assert len(statuses) == len(outcome.answers)
