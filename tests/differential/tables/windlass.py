"""Calls of windlass's own API, against one server on which two jobs have run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JOBS, RESOURCES = "windlass.jobs.v1.JobsService", "windlass.resources.v1.ResourcesService"
ACCESS, SYSTEM = "windlass.access.v1.AccessService", "windlass.system.v1.SystemService"
# Callers by the names of their keys.
ADMIN, VIEWER, NOBODY, STRANGER = "admin", "viewer", "", "wlk_wrong"
EVENTS = (("accept", "text/event-stream"),)
LINES = (("accept", "application/x-ndjson"),)


@dataclass(frozen=True)
class Row:
    """One call; `{job}`, `{other}` and `{node}` in it stand for ids.

    Attributes:
        name: `windlass/what-it-is`.
        line: method and target.
        rpc: the same call by gRPC: the method and the JSON of its request; empty for what only HTTP has.
        status: of HTTP.
        caller: whose credential is sent.
        body: JSON of the request's body.
        changing: names of fields that change while the test runs, anywhere in the answer.
    """

    name: str
    line: str
    rpc: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    caller: str = ADMIN
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    changing: tuple[str, ...] = ()


def get(
    name: str, target: str, rpc: str, request: Any = None, status: int = 200, **more: Any
) -> Row:
    return Row(f"windlass/{name}", f"GET {target}", rpc, request or {}, status, **more)


def send(
    name: str, line: str, body: Any, rpc: str, request: Any, status: int = 200, **more: Any
) -> Row:
    return Row(f"windlass/{name}", line, rpc, request, status, body=body, **more)


def refuse(name: str, line: str, status: int, **more: Any) -> Row:
    """What HTTP alone answers."""
    return Row(f"windlass/{name}", line, status=status, **more)


JOB = {
    "project": "default",
    "name": "once",
    "command": ["true"],
    "resources": {"cpu_millis": 100, "memory_bytes": "1048576"},
}
BAD_JOB = {**JOB, "name": "x" * 300, "command": [], "resources": {"cpu_millis": -1}}
LIST = {"project": "default"}
OF_NODES = ("last_seen_time", "sample_time", "devices", "gpus", "health", "status_message", "usage")

ROWS = [
    get("job", "/v1/jobs/{job}", f"{JOBS}/GetJob", {"job_id": "{job}"}),
    get("jobs", "/v1/jobs?project=default", f"{JOBS}/ListJobs", LIST),
    get("jobs-by-status", "/v1/jobs?project=default&status=succeeded&pageSize=1", f"{JOBS}/ListJobs",
        {**LIST, "status": ["SUCCEEDED"], "page_size": 1}),
    get("events", "/v1/jobs/{job}/events", f"{JOBS}/ListJobEvents", {"job_id": "{job}"}),
    get("log", "/v1/jobs/{job}/logs", f"{JOBS}/StreamJobLogs", {"job_id": "{job}"}),
    get("log-as-lines", "/v1/jobs/{job}/logs", f"{JOBS}/StreamJobLogs", {"job_id": "{job}"},
        headers=LINES),
    get("log-as-events", "/v1/jobs/{job}/logs?follow=true", f"{JOBS}/StreamJobLogs",
        {"job_id": "{job}", "follow": True}, headers=EVENTS),
    get("log-tail", "/v1/jobs/{job}/logs?tail=1&stream=STDOUT", f"{JOBS}/StreamJobLogs",
        {"job_id": "{job}", "tail": 1, "stream": "STDOUT"}),
    get("log-of-no-job", "/v1/jobs/job-none/logs", f"{JOBS}/StreamJobLogs", {"job_id": "job-none"},
        404, headers=EVENTS),
    get("nodes", "/v1/resources/nodes", f"{RESOURCES}/ListNodes", changing=OF_NODES),
    get("node", "/v1/resources/nodes/{node}", f"{RESOURCES}/GetNode", {"node_id": "{node}"},
        changing=OF_NODES),
    get("no-node", "/v1/resources/nodes/node-none", f"{RESOURCES}/GetNode",
        {"node_id": "node-none"}, 404),
    get("node-events", "/v1/resources/nodes/{node}/events?page_size=1", f"{RESOURCES}/ListNodeEvents",
        {"node_id": "{node}", "page_size": 1}),
    get("caller", "/v1/auth/caller", f"{ACCESS}/GetCaller"),
    get("projects", "/v1/projects", f"{ACCESS}/ListProjects"),
    get("no-secret", "/v1/projects/default/secrets/none", f"{ACCESS}/GetSecret",
        {"project": "default", "name": "none"}, 404),
    get("secrets", "/v1/projects/default/secrets", f"{ACCESS}/ListSecrets", {"project": "default"}),
    send("bad-secret", "PUT /v1/projects/default/secrets/-x-", {"value": ""}, f"{ACCESS}/PutSecret",
         {"project": "default", "name": "-x-"}, 400),
    get("keys", "/v1/apiKeys", f"{ACCESS}/ListApiKeys", changing=("last_used_time",)),
    get("info", "/v1/system/info", f"{SYSTEM}/GetSystemInfo"),
    get("health", "/v1/system/health", f"{SYSTEM}/GetHealth", caller=NOBODY),
    get("healthz", "/healthz", f"{SYSTEM}/GetHealth", caller=NOBODY),
    get("job-in-full", "/v1/jobs/{job}?view=full", f"{JOBS}/GetJob",
        {"job_id": "{job}", "view": "FULL"}),
    get("jobs-in-full", "/v1/jobs?project=default&view=FULL", f"{JOBS}/ListJobs",
        {**LIST, "view": "FULL"}),
    get("no-job", "/v1/jobs/job-none", f"{JOBS}/GetJob", {"job_id": "job-none"}, 404),
    get("foreign-project", "/v1/jobs?project=nowhere", f"{JOBS}/ListJobs", {"project": "nowhere"}, 403,
        caller=VIEWER),
    get("bad-page-token", "/v1/jobs?project=default&page_token=x", f"{JOBS}/ListJobs",
        {**LIST, "page_token": "x"}, 400),
    get("page-too-small", "/v1/jobs?project=default&page_size=-1", f"{JOBS}/ListJobs",
        {**LIST, "page_size": -1}, 400),
    send("submitted-once", "POST /v1/jobs?request_id=differential-1", JOB, f"{JOBS}/SubmitJob",
         {"job": JOB, "request_id": "differential-1"},
         changing=("status", "status_reason", "status_message", "placement", "etag", "version",
                   "schedule_time", "start_time", "end_time", "exit_code", "isolation", "run_id",
                   "attempt", "node_id", "update_time", "effective_priority", "priority_message")),
    send("another-job-of-that-id", "POST /v1/jobs?request_id=differential-1", {**JOB, "name": "2"},
         f"{JOBS}/SubmitJob", {"job": {**JOB, "name": "2"}, "request_id": "differential-1"}, 409),
    send("bad-job", "POST /v1/jobs", BAD_JOB, f"{JOBS}/SubmitJob", {"job": BAD_JOB}, 400),
    send("batch-of-bad-jobs", "POST /v1/jobs:batch", {"jobs": [BAD_JOB, {}]},
         f"{JOBS}/BatchSubmitJobs", {"jobs": [BAD_JOB, {}]}),
    send("batch-of-none", "POST /v1/jobs:batch", {"jobs": []}, f"{JOBS}/BatchSubmitJobs",
         {"jobs": []}, 400),
    send("no-such-resources", "POST /v1/jobs",
         {**JOB, "resources": {**JOB["resources"], "gpu_count": 4096, "gpu_type": "H100"}},
         f"{JOBS}/SubmitJob",
         {"job": {**JOB, "resources": {**JOB["resources"], "gpu_count": 4096, "gpu_type": "H100"}}},
         400),
    send("cancel-what-has-ended", "POST /v1/jobs/{job}:cancel", {}, f"{JOBS}/CancelJob",
         {"job_id": "{job}"}, 400),
    send("cancel-by-status", "PATCH /v1/jobs/{job}/status", {"action": "CANCEL", "reason": "typo"},
         f"{JOBS}/UpdateJobStatus", {"job_id": "{job}", "action": "CANCEL", "reason": "typo"}, 400),
    send("cancel-no-job", "POST /v1/jobs/job-none:cancel", {}, f"{JOBS}/CancelJob",
         {"job_id": "job-none"}, 404),
    get("indices-of-no-array", "/v1/jobs/{job}/array", f"{JOBS}/ListJobArrayIndices",
        {"job_id": "{job}"}, 400),
    get("indices-of-no-job", "/v1/jobs/job-none/array", f"{JOBS}/ListJobArrayIndices",
        {"job_id": "job-none"}, 404),
    send("parallel-of-no-array", "PATCH /v1/jobs/{job}/array", {"parallel": 2},
         f"{JOBS}/UpdateJobArray", {"job_id": "{job}", "parallel": 2}, 400),
    send("parallel-of-nothing", "PATCH /v1/jobs/{job}/array", {}, f"{JOBS}/UpdateJobArray",
         {"job_id": "{job}"}, 400),
    send("no-action", "PATCH /v1/jobs/{job}/status", {}, f"{JOBS}/UpdateJobStatus",
         {"job_id": "{job}"}, 400),
    get("without-a-credential", "/v1/jobs/{job}", f"{JOBS}/GetJob", {"job_id": "{job}"}, 401,
        caller=NOBODY),
    get("with-a-wrong-credential", "/v1/jobs/{job}", f"{JOBS}/GetJob", {"job_id": "{job}"}, 401,
        caller=STRANGER),
    get("log-without-a-credential", "/v1/jobs/{job}/logs", f"{JOBS}/StreamJobLogs",
        {"job_id": "{job}"}, 401, caller=NOBODY, headers=EVENTS),
    get("as-a-viewer", "/v1/jobs/{job}", f"{JOBS}/GetJob", {"job_id": "{job}"}, caller=VIEWER),
    send("submit-as-a-viewer", "POST /v1/jobs", JOB, f"{JOBS}/SubmitJob", {"job": JOB}, 403,
         caller=VIEWER),
    get("keys-as-a-viewer", "/v1/apiKeys", f"{ACCESS}/ListApiKeys", {}, 403, caller=VIEWER),
    refuse("planned", "{planned}", 501),
    refuse("nowhere", "GET /v1/nowhere", 404),
    refuse("another-method", "DELETE /v1/jobs/{job}", 405),
    refuse("unknown-parameter", "GET /v1/jobs?nonsense=1", 400),
    refuse("path-in-the-query", "GET /v1/jobs/{job}?job_id={other}", 400),
    refuse("malformed-json", "POST /v1/jobs", 400, body="{"),
    refuse("nowhere-without-a-credential", "GET /v1/nowhere", 401, caller=NOBODY),
    refuse("another-method-without-a-credential", "DELETE /v1/jobs/{job}", 401, caller=NOBODY),
    refuse("malformed-without-a-credential", "GET /v1/jobs/{job}?job_id=x", 401, caller=NOBODY),
]  # fmt: skip


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """The value with ids in the place of their names."""
    text = json.dumps(value)
    for name, each in ids.items():
        text = text.replace(f"{{{name}}}", each)
    return json.loads(text)
