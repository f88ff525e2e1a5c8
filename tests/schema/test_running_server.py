"""Requests made from `/openapi.json`, good and bad, to a real server: schemathesis and our oracle."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import running_cluster
from tests.support.gateway import ROOT
from tests.support.openapi import closed, operations, validator

_SECONDS = 240


@dataclass
class Outcome:
    """What a run of schemathesis found.

    Attributes:
        report: its JSON report.
        output: what it printed.
        document: the OpenAPI document that it read.
        answers: answers to good and bad requests, by the template of their path and their status.
        surprises: lines of the server's log about errors that nobody foresaw.
    """

    report: dict[str, Any]
    output: str
    document: dict[str, Any]
    answers: list[tuple[str, int, Any]]
    surprises: list[str]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return asyncio.run(_run(tmp_path_factory.mktemp("schema")))


async def _run(folder: Path) -> Outcome:
    """Look at a server that has a node, a job that ran and one that waits."""
    async with running_cluster(folder) as cluster:
        ran = await cluster.submit("echo", "hello")
        await cluster.follow(ran.job_id)
        # What is submitted from now on waits, and is never run.
        assert cluster.agent is not None
        await cluster.agent.kill()
        async with cluster.rest() as rest:
            document = (await rest.get("/openapi.json")).json()
            nodes = (await rest.get("/v1/resources/nodes")).json()["nodes"]
            waiting = await cluster.submit("echo", "later")
            ids = {"job_id": ran.job_id, "node_id": nodes[0]["node_id"]}
            answers = await _answers(rest, document, ids)
        output = await _schemathesis(
            folder,
            f"http://{cluster.http}/openapi.json",
            cluster.token,
            SCHEMA_NODE_IDS=nodes[0]["node_id"],
            SCHEMA_JOB_IDS=f"{ran.job_id},{waiting.job_id}",
        )
        assert cluster.server is not None
        surprises = [line for line in cluster.server.lines if "unexpected error" in line]
    report = json.loads((folder / "report.json").read_text())
    return Outcome(report, output, document, answers, surprises)


async def _answers(rest: httpx.AsyncClient, document: Any, ids: dict[str, str]) -> Any:
    """What the server answers to every GET, once as it is meant and once with a bad parameter."""
    answers = []
    for method, path, _ in operations(document):
        if method == "GET":
            for query in ("", "?no_such=1"):
                got = await rest.get(path.format(**ids) + query)
                answers.append((path, got.status_code, got.json()))
    return answers


async def _schemathesis(folder: Path, url: str, token: str, **environment: str) -> str:
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
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
            "SCHEMA_KEY_ID": token.split("_")[1],
        }
        | environment,
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
    listed = len(list(operations(outcome.document)))
    assert outcome.report["operations"]["tested"] == listed, outcome.output
    ran = {name: phase["status"] for name, phase in outcome.report["phases"].items()}
    assert ran == dict.fromkeys(("examples", "coverage", "fuzzing", "stateful"), "success")
    assert outcome.report["test_cases"]["generated"] > 50 * listed


@pytest.mark.timeout(_SECONDS + 60)
def test_good_requests_are_among_them_for_every_operation(outcome):
    accepted = {
        name: sum(phase["accepted"] for phase in phases.values())
        for name, phases in outcome.report["valid_rates"].items()
    }
    listed = {f"{method} {path}" for method, path, _ in operations(outcome.document)}
    assert {name for name, count in accepted.items() if count} == listed, outcome.output


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
    assert {status for _, status in statuses} == {200, 400}
    assert len(statuses) == len(outcome.answers)
