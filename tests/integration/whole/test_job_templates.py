"""Templates of jobs over REST and gRPC, in real processes."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from tests.support.transcripts import follow
from windlass.jobs.v1 import job_templates_service_pb2, job_templates_service_pb2_grpc

TEMPLATES = "/v1/projects/default/jobTemplates"


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_template_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    stub: Any = job_templates_service_pb2_grpc.JobTemplatesServiceStub(server.channel)
    wanted = {
        "name": "train",
        "parameters": [{"name": "n", "type": "INTEGER", "default": 1, "minimum": 0}],
        "job": {"command": ["train", "{{ n }}"], "nodes": "{{n}}"},
    }
    async with server.rest() as rest:
        made = await rest.post(TEMPLATES, json=wanted)
        assert made.status_code == 200, made.text
        assert made.json()["job"] == wanted["job"]
        assert (made.json()["project"], made.json()["version"]) == ("default", 1)
        path = f"{TEMPLATES}/train"
        assert (await rest.get(path)).json() == made.json()
        request = job_templates_service_pb2.GetJobTemplateRequest(project="default", name="train")
        read = await stub.GetJobTemplate(request, metadata=server.metadata)
        assert read.parameters[0].default.number_value == 1
        again = await rest.post(TEMPLATES, json=wanted)
        assert (again.status_code, reason(again)) == (409, "JOB_TEMPLATE_EXISTS")
        changed = await rest.patch(path, json={"description": "two", "etag": "1"})
        assert (changed.json()["version"], changed.json()["job"]) == (2, wanted["job"])
        stale = await rest.patch(path, json={"description": "three", "etag": "1"})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
        use = {"name": "train", "version": 1, "parameters": {"n": "2"}}
        job = (await rest.post("/v1/jobs", json={"template": use})).json()
        assert (job["command"], job["nodes"]) == (["train", "2"], 2)
        assert job["template"] == use | {"parameters": {"n": 2}}
        read_again = (await rest.get(f"/v1/jobs/{job['job_id']}")).json()
        assert read_again["template"] == job["template"]
        dry = await rest.post("/v1/jobs?validate_only=true", json={"template": {"name": "train"}})
        assert (dry.json()["command"], dry.json()["template"]["version"]) == (["train", "1"], 2)
        said = {"template": {"name": "train"}, "annotations": {"a": "b"}}
        first = await rest.post("/v1/jobs?request_id=r", json=said)
        pages = (await rest.get(f"{path}/versions")).json()["versions"]
        assert [one["version"] for one in pages] == [2, 1]
        assert (await rest.delete(path)).json()["version"] == 2
        assert (await rest.get(path)).status_code == 404
        again = await rest.post("/v1/jobs?request_id=r", json=said)
        assert again.json()["job_id"] == first.json()["job_id"]
        other = await rest.post("/v1/jobs?request_id=r", json=said | {"priority": 1})
        assert (other.status_code, reason(other)) == (409, "REQUEST_ID_REUSED")


def a_template(**said: Any) -> dict[str, Any]:
    return {"name": "x", "job": {"command": ["true"]}} | said


def with_parameter(**said: Any) -> dict[str, Any]:
    parameter = {"name": "p", "type": "STRING"} | said
    return a_template(parameters=[parameter], job={"command": ["{{p}}"]})


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    *(
        ("POST", TEMPLATES, body, 400, why)
        for body, why in (
            ({}, "INVALID_FIELDS"),
            ({"name": "x"}, "JOB_COMMAND_OR_SCRIPT"),
            (a_template(name="A b"), "INVALID_FIELDS"),
            (a_template(name="x" * 64), "INVALID_FIELDS"),
            (a_template(job=[]), "INVALID_FIELD_VALUE"),
            (a_template(job={"command": []}), "JOB_COMMAND_OR_SCRIPT"),
            (a_template(job={"command": ["a"], "bogus": 1}), "TEMPLATE_JOB_INVALID"),
            (a_template(job={"command": ["a"], "project": "p"}), "TEMPLATE_JOB_INVALID"),
            (a_template(job={"command": ["a"], "name": "a\n"}), "STRING_PATTERN"),
            (a_template(job={"command": ["{{ a.b }}"]}), "BAD_PLACEHOLDER"),
            (a_template(job={"command": ["{{ a }}"]}), "UNKNOWN_PARAMETER"),
            (a_template(parameters=[{"name": "p", "type": "STRING"}]), "UNUSED_PARAMETER"),
            (a_template(parameters=[{"name": "p", "type": "STRING"}] * 2), "INVALID_FIELDS"),
            (with_parameter(type="CODE"), "INVALID_FIELD_VALUE"),
            (with_parameter(type=0), "INVALID_FIELDS"),
            (with_parameter(name="a b"), "INVALID_FIELDS"),
            (with_parameter(default={"a": 1}), "BAD_PARAMETER"),
            (with_parameter(pattern="("), "BAD_PARAMETER"),
            (with_parameter(choices=["a"]), "BAD_PARAMETER"),
            (with_parameter(minimum="NaN"), "INVALID_FIELDS"),
            (with_parameter(max_length=-1), "INVALID_FIELDS"),
        )
    ),
    ("POST", "/v1/projects/nobodys/jobTemplates", a_template(), 404, "PROJECT_NOT_FOUND"),
    ("GET", "/v1/projects/nobodys/jobTemplates", {}, 404, "PROJECT_NOT_FOUND"),
    ("GET", f"{TEMPLATES}?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{TEMPLATES}?page_token=abc", {}, 400, "PAGE_TOKEN_INVALID"),
    ("GET", f"{TEMPLATES}/no", {}, 404, "JOB_TEMPLATE_NOT_FOUND"),
    ("GET", f"{TEMPLATES}/no?version=-1", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{TEMPLATES}/%00", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{TEMPLATES}/no/versions", {}, 404, "JOB_TEMPLATE_NOT_FOUND"),
    ("PATCH", f"{TEMPLATES}/no", {"description": "a"}, 404, "JOB_TEMPLATE_NOT_FOUND"),
    ("DELETE", f"{TEMPLATES}/no", {}, 404, "JOB_TEMPLATE_NOT_FOUND"),
    ("POST", "/v1/jobs", {"template": {"name": "no"}}, 404, "JOB_TEMPLATE_NOT_FOUND"),
    ("POST", "/v1/jobs", {"template": {}}, 400, "INVALID_FIELDS"),
    ("POST", "/v1/jobs", {"template": {"name": "a\0"}}, 400, "INVALID_FIELDS"),
    ("POST", "/v1/jobs", {"template": {"name": "a", "parameters": []}}, 400, "INVALID_FIELD_VALUE"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("verb", "path", "body", "status", "why"), BAD)
async def test_bad_input_is_refused_by_name(
    server: Cluster, verb: str, path: str, body: dict[str, Any], status: int, why: str
):
    given = {"json": body} if verb in ("POST", "PATCH") else {}
    async with server.rest() as rest:
        answer = await rest.request(verb, path, **given)
        assert (answer.status_code, reason(answer)) == (status, why), answer.text
        assert (await rest.get(TEMPLATES)).json()["templates"] == []


async def test_the_page_says_what_the_commands_print(cluster: Cluster, tmp_path: Path):
    assert await follow("templates.md", cluster, tmp_path) >= 10
