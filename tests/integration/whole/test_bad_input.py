"""Whatever is sent, the answer is a clear 4xx, over REST and over gRPC, and nothing breaks."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOLDEN = Path(__file__).parents[2] / "golden" / "paths.txt"
JSON = {"content-type": "application/json"}


def spec(**fields: Any) -> str:
    return json.dumps({"command": ["true"]} | fields)


BODIES: dict[str, tuple[str | bytes, int, set[str]]] = {
    "no command": ("{}", 400, {"job"}),
    "a command and a script": (spec(script="true"), 400, {"job"}),
    "a source that is none": (spec(source={}), 400, {"job.source.content"}),
    "a repository that is no URL": (
        spec(source={"git": {"repository": "ext::sh -c x", "commit": "x"}}),
        400,
        {"job.source.git.repository", "job.source.git.commit"},
    ),
    "requirements that are none": (
        spec(python={"requirements": ["-r x", "numpy", "a b"]}),
        400,
        {"job.python.requirements[0]", "job.python.requirements[2]"},
    ),
    "an empty program": (spec(command=[""]), 400, {"job.command"}),
    "a command that is text": (spec(command="true"), 400, {"job.command"}),
    "every wrong field at once": (
        spec(project="A B", name="a\n", command=[""], priority=5000, resources={"gpu_count": -1}),
        400,
        {"job.project", "job.name", "job.command", "job.priority", "job.resources.gpu_count"},
    ),
    "wrong types and broken rules at once": (
        spec(
            project="A B",
            name=7,
            priority=5000,
            labels={"a": "\0"},
            resources={"gpu_count": "x", "cpu_millis": -1},
            bogus=1,
        ),
        400,
        {
            *("job.project", "job.name", "job.priority", "job.labels[a]", "job.bogus"),
            *("job.resources.gpu_count", "job.resources.cpu_millis"),
        },
    ),
    "NaN": ('{"command":["true"],"priority":NaN}', 400, set()),
    "1e400": ('{"command":["true"],"priority":1e400}', 400, set()),
    "2^63 as text": (
        spec(resources={"memory_bytes": "9223372036854775808"}),
        400,
        {"job.resources.memory_bytes"},
    ),
    "2^63 as a number": (
        spec(resources={"cpu_millis": 9223372036854775808}),
        400,
        {"job.resources.cpu_millis"},
    ),
    "NUL in the command": (spec(command=["a\0b"]), 400, {"job.command[0]"}),
    "NUL in the name": (spec(name="a\0"), 400, {"job.name"}),
    "NUL in a label": (spec(labels={"a": "\0"}), 400, {"job.labels[a]"}),
    "NUL in a variable": (
        spec(environment={"variables": {"A": "b\0"}}),
        400,
        {"job.environment.variables[A]"},
    ),
    "a variable of ours": (
        spec(environment={"variables": {"WINDLASS_X": "y"}}),
        400,
        {"job.environment.variables[WINDLASS_X]"},
    ),
    "secrets that are none": (
        spec(
            environment={
                "variables": {"BOTH": "x"},
                "secrets": {
                    "EMPTY": {},
                    "VERSION": {"name": "a", "version": -1},
                    "NAME": {"name": "../a"},
                    "WINDLASS_X": {"name": "a"},
                    "1A": {"name": "a"},
                    "BOTH": {"name": "a"},
                },
            }
        ),
        400,
        {
            *("job.environment.secrets[EMPTY].name", "job.environment.secrets[VERSION].version"),
            *("job.environment.secrets[NAME].name", "job.environment.secrets[WINDLASS_X]"),
            *("job.environment.secrets[1A]", "job.environment"),
        },
    ),
    "a secret that is text": (
        spec(environment={"secrets": {"A": "hunter2"}}),
        400,
        {"job.environment.secrets[A]"},
    ),
    "a lone surrogate": ('{"command":["\\ud800"]}', 400, {"job.command[0]"}),
    "invalid UTF-8": (b'{"command":["\xff"]}', 400, set()),
    "a key twice": ('{"command":["a"],"command":["b"]}', 400, set()),
    "nesting without end": ('{"command":' + "[" * 5000 + "]" * 5000 + "}", 400, set()),
    "an unknown field": (spec(bogus=1), 400, {"job.bogus"}),
    "an unknown enum": (spec(min_isolation="NOPE"), 400, {"job.min_isolation"}),
    "a word that is neither true nor false": (spec(preemptible="maybe"), 400, {"job.preemptible"}),
    "a negative duration": (spec(time_limit="-1s"), 400, {"job.time_limit"}),
    "a duration in hours": (spec(time_limit="1h"), 400, {"job.time_limit"}),
    "one GPU type and several": (
        spec(resources={"gpu_count": 1, "gpu_type": "L4"}, gpu_types=["H100"]),
        400,
        {"job"},
    ),
    "a GPU type twice": (spec(gpu_types=["L4", "L4"]), 400, {"job.gpu_types"}),
    "a GPU type without a name": (spec(gpu_types=["L4", ""]), 400, {"job.gpu_types[1]"}),
    "17 GPU types": (spec(gpu_types=[f"T{n}" for n in range(17)]), 400, {"job.gpu_types"}),
    "a whole node with a shared GPU": (
        spec(exclusive_node=True, resources={"gpu_millis": 500}),
        400,
        {"job"},
    ),
    "a whole node with a part of a GPU": (
        spec(exclusive_node=True, resources={"gpu_count": 1, "mig_profile": "1g.10gb"}),
        400,
        {"job"},
    ),
    "a whole node with so much of a GPU": (
        spec(exclusive_node=True, resources={"gpu_count": 1, "gpu_memory_bytes": "1073741824"}),
        400,
        {"job"},
    ),
    "an array of nothing": (spec(array={}), 400, {"job.array"}),
    "an array of too many": (spec(array={"count": 100_001}), 400, {"job.array.count"}),
    "an array of less than nothing": (spec(array={"count": -1}), 400, {"job.array.count"}),
    "an array of a fraction": (spec(array={"count": 1.5}), 400, {"job.array.count"}),
    "less than no indices at once": (
        spec(array={"count": 1, "parallel": -1}),
        400,
        {"job.array.parallel"},
    ),
    "indices that are words": (spec(array={"indices": "all"}), 400, {"job.array.indices"}),
    "indices beyond the count": (
        spec(array={"count": 2, "indices": "2"}),
        400,
        {"job.array.indices"},
    ),
    "indices that end before they begin": (
        spec(array={"indices": "3-1"}),
        400,
        {"job.array.indices"},
    ),
    "an index variable of one's own": (
        spec(
            array={"count": 2},
            environment={"variables": {"WINDLASS_ARRAY_INDEX": "7"}},
        ),
        400,
        {"job.environment.variables[WINDLASS_ARRAY_INDEX]"},
    ),
    "an array of an enormous command": (
        spec(array={"count": 100_000}, command=["x" * 100_000]),
        400,
        {"job.array"},
    ),
    "a rule for no label": (
        spec(constraints={"node_labels": [{"operator": "EXISTS"}]}),
        400,
        {"job.constraints.node_labels[0].key"},
    ),
    "a rule that asks nothing": (
        spec(constraints={"node_labels": [{"key": "zone", "values": ["eu"]}]}),
        400,
        {"job.constraints.node_labels[0].operator"},
    ),
    "a rule that lacks its values": (
        spec(constraints={"node_labels": [{"key": "zone", "operator": "IN"}]}),
        400,
        {"job.constraints.node_labels[0]"},
    ),
    "a rule with values that it takes none of": (
        spec(constraints={"node_labels": [{"key": "a", "operator": "ABSENT", "values": ["b"]}]}),
        400,
        {"job.constraints.node_labels[0]"},
    ),
    "33 rules": (
        spec(constraints={"node_labels": [{"key": "a", "operator": "EXISTS"}] * 33}),
        400,
        {"job.constraints.node_labels"},
    ),
    "a dependency on what is no job's id": (
        spec(dependencies=[{"job_id": "", "type": "AFTER"}]),
        400,
        {"job.dependencies[0]"},
    ),
    "a singleton of one job": (
        spec(dependencies=[{"job_id": "job-1", "type": "SINGLETON"}]),
        400,
        {"job.dependencies[0]"},
    ),
    "twice a singleton": (
        spec(dependencies=[{"type": "SINGLETON"}] * 2),
        400,
        {"job.dependencies"},
    ),
    "65 annotations": (
        spec(annotations={f"note-{n}": "x" for n in range(65)}),
        400,
        {"job.annotations"},
    ),
    "annotations of more than 64 KiB": (
        spec(annotations={f"note-{n}": "x" * 16384 for n in range(5)}),
        400,
        {"job.annotations"},
    ),
    "an annotation of more than 16 KiB": (
        spec(annotations={"note": "x" * 16385}),
        400,
        {"job.annotations[note]"},
    ),
    "an annotation with NUL": (
        spec(annotations={"note": "x\0"}),
        400,
        {"job.annotations[note]"},
    ),
    "a dependency without a type": (
        spec(dependencies=[{"job_id": "job-1"}]),
        400,
        {"job.dependencies[0].type"},
    ),
    "a dependency of a type that there is not": (
        spec(dependencies=[{"job_id": "job-1", "type": "SOMETIME"}]),
        400,
        {"job.dependencies[0].type"},
    ),
    "two dependencies on one job": (
        spec(dependencies=[{"job_id": "job-1", "type": way} for way in ("AFTER", "AFTER_OK")]),
        400,
        {"job.dependencies"},
    ),
    "101 dependencies": (
        spec(dependencies=[{"job_id": f"job-{n}", "type": "AFTER_OK"} for n in range(101)]),
        400,
        {"job.dependencies"},
    ),
    "a dependency that follows retries of what it need not succeed": (
        spec(dependencies=[{"job_id": "job-1", "type": "AFTER_ANY", "follow_retries": True}]),
        400,
        {"job.dependencies[0]"},
    ),
    "a deadline that is over": (
        spec(deadline="2020-01-01T00:00:00Z"),
        400,
        {"job.deadline"},
    ),
    "a deadline that is no time": (spec(deadline="tomorrow"), 400, {"job.deadline"}),
    "a deadline before the start": (
        spec(deadline="2999-01-01T00:00:05Z", start_after="2999-01-01T00:00:00Z"),
        400,
        {"job.deadline"},
    ),
    "a retry policy beyond all": (
        spec(
            retry={
                "max_attempts": 101,
                "on_exit_codes": [0, 256],
                "on_signals": [65],
                "on_causes": ["CAUSE_UNSPECIFIED"],
                "backoff": {"initial": "-1s", "max": "9999999s", "multiplier": 0.5, "jitter": 2},
            }
        ),
        400,
        {
            "job.retry.max_attempts",
            *("job.retry.on_exit_codes[0]", "job.retry.on_exit_codes[1]"),
            *("job.retry.on_signals[0]", "job.retry.on_causes[0]"),
            *("job.retry.backoff.initial", "job.retry.backoff.max"),
            *("job.retry.backoff.multiplier", "job.retry.backoff.jitter"),
        },
    ),
    "a retry on one code twice": (
        spec(retry={"on_exit_codes": [1, 1]}),
        400,
        {"job.retry.on_exit_codes"},
    ),
    "a wait that is no number": (
        spec(retry={"backoff": {"multiplier": "NaN"}}),
        400,
        {"job.retry.backoff.multiplier"},
    ),
    "a dependency on a job that there is not": (
        spec(dependencies=[{"job_id": "job-nope", "type": "AFTER_OK"}]),
        404,
        set(),
    ),
    "a start in no year": (spec(start_after="tomorrow"), 400, {"job.start_after"}),
    "a start beyond all years": (
        spec(start_after="10000-01-01T00:00:00Z"),
        400,
        {"job.start_after"},
    ),
    "fewer nodes than none": (spec(nodes=-1), 400, {"job.nodes"}),
    "more nodes than there are": (spec(nodes=513), 400, {"job.nodes"}),
    "a number of nodes that is none": (spec(nodes="many"), 400, {"job.nodes"}),
    "more nodes at least than at most": (spec(nodes=2, min_nodes=3), 400, {"job"}),
    "several nodes within one": (
        spec(nodes=2, topology={"required": "NODE"}),
        400,
        {"job"},
    ),
    "a spread over nothing": (spec(spread={}), 400, {"job"}),
    "a spread of one node over racks": (spec(spread={"node_label": "rack"}), 400, {"job"}),
    "a spread with a label that it lacks": (spec(spread={"job_label": "app"}), 400, {"job"}),
    "a spread over what is no label": (
        spec(nodes=2, spread={"node_label": "-"}),
        400,
        {"job.spread.node_label"},
    ),
    "a spread of fewer than none": (
        spec(nodes=2, spread={"node_label": "rack", "max_per_domain": -1}),
        400,
        {"job.spread.max_per_domain"},
    ),
    "a reservation that there is not": (spec(reservation_id="resv-nope"), 404, set()),
    "a reservation with a name too long": (
        spec(reservation_id="r" * 129),
        400,
        {"job.reservation_id"},
    ),
    "links of no GPUs": (spec(topology={"required": "NVLINK"}), 400, {"job"}),
    "instances of several nodes": (
        spec(nodes=2, resources={"gpu_count": 1, "mig_profile": "1g.10gb"}),
        400,
        {"job"},
    ),
    "a list": ("[]", 400, {"job"}),
    "null": ("null", 400, {"job"}),
    "a command of 240 kB": (spec(command=["x" * 60_000] * 4), 400, {"job.command"}),
    "a command of 10 MB": (spec(command=["x" * 10_000_000]), 413, set()),
    "a project that there is not": (spec(project="nope"), 404, set()),
}


@pytest.mark.parametrize("case", BODIES)
async def test_a_bad_job_is_refused_and_every_wrong_field_is_named(server: Cluster, case: str):
    body, status, fields = BODIES[case]
    async with server.rest() as rest:
        answer = await rest.post("/v1/jobs", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert_well_formed(answer)
    assert violated(answer) == fields


ACTIONS: dict[str, tuple[dict[str, Any], int, set[str]]] = {
    "no action": ({}, 400, {"action"}),
    "an action that there is not": ({"action": "EXPLODE"}, 400, {"action"}),
    "an action that is none": ({"action": "ACTION_UNSPECIFIED"}, 400, {"action"}),
    "overrides of what is cancelled": (
        {"action": "CANCEL", "overrides": {"priority": 1}},
        400,
        set(),
    ),
    "a cancel from scratch": ({"action": "CANCEL", "from_scratch": True}, 400, set()),
    "a suspension of what has ended": ({"action": "SUSPEND"}, 400, set()),
    "a resumption of what has ended": ({"action": "RESUME"}, 400, set()),
    "a hold by force": ({"action": "HOLD", "force": True}, 400, set()),
    "a hold of what has ended": ({"action": "HOLD"}, 400, set()),
    "a release of what has ended": ({"action": "RELEASE"}, 400, set()),
    "a reason of 2,000 characters": ({"action": "RETRY", "reason": "x" * 2000}, 400, {"reason"}),
    "a request id with a space": ({"action": "RETRY", "request_id": "a b"}, 400, {"request_id"}),
    "a mask of what cannot be": (
        {"action": "RETRY", "update_mask": "job_id"},
        400,
        {"update_mask"},
    ),
    "overrides without a command": (
        {"action": "RETRY", "update_mask": "command", "overrides": {"command": []}},
        400,
        {"overrides"},
    ),
    "another project": (
        {"action": "RETRY", "overrides": {"project": "other"}},
        400,
        {"overrides.project"},
    ),
    "a priority beyond all": (
        {"action": "RETRY", "overrides": {"priority": 1001}},
        400,
        {"overrides.priority"},
    ),
    "an unknown field": ({"action": "RETRY", "overrides": {"bogus": 1}}, 400, {"overrides.bogus"}),
}


@pytest.mark.parametrize("case", ACTIONS)
async def test_a_bad_action_is_refused_and_every_wrong_field_is_named(server: Cluster, case: str):
    body, status, fields = ACTIONS[case]
    async with server.rest() as rest:
        job_id = (await rest.post("/v1/jobs", json={"command": ["true"]})).json()["job_id"]
        url = f"/v1/jobs/{job_id}/status"
        assert (await rest.patch(url, json={"action": "CANCEL"})).status_code == 200
        answer = await rest.patch(url, json=body)
    assert answer.status_code == status, answer.text
    assert_well_formed(answer)
    assert violated(answer) >= fields


BATCHES: dict[str, tuple[str, int]] = {
    "nothing": ("{}", 400),
    "no jobs": ('{"jobs": []}', 400),
    "more jobs than are taken": (json.dumps({"jobs": [{"command": ["true"]}] * 1001}), 400),
    "what is no list": ('{"jobs": "all"}', 400),
    "a job that is none": ('{"jobs": [7]}', 400),
    "a field that there is not": ('{"jobs": [{"comand": ["true"]}]}', 400),
    "a request id with a line break": ('{"jobs": [{}], "request_id": "a\\nb"}', 400),
    "jobs of 6 MB": (json.dumps({"jobs": [{"command": ["x" * 60_000]}] * 100}), 413),
}


@pytest.mark.parametrize("case", BATCHES)
async def test_a_batch_that_is_none_is_refused(server: Cluster, case: str):
    body, status = BATCHES[case]
    async with server.rest() as rest:
        answer = await rest.post("/v1/jobs:batch", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert_well_formed(answer)


async def test_each_job_of_a_batch_is_answered_by_itself(server: Cluster):
    jobs = [{"command": ["true"]}, {}, {"command": ["a\0"]}, {"command": ["b"], "project": "nope"}]
    async with server.rest() as rest:
        answer = await rest.post("/v1/jobs:batch", json={"jobs": jobs})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert results[0]["job"]["status"] == "QUEUED"
    assert [one.get("error", {}).get("code", 0) for one in results] == [0, 3, 3, 5]
    kinds = [detail["@type"].rpartition(".")[2] for detail in results[1]["error"]["details"]]
    assert kinds[:2] == ["ErrorInfo", "BadRequest"]
    assert "exactly one of them is needed" in str(results[1]["error"]["details"][1])


PATHS = [
    ("/v1/jobs/nope", 404),
    ("/v1/jobs/nope/logs", 404),
    ("/v1/jobs/nope/events", 404),
    ("/v1/jobs/%00", 400),
    ("/v1/jobs/%FF", 400),
    ("/v1/jobs/%zz", 400),
    ("/v1/jobs/a%2Fb", 404),
    ("/v1/jobs/" + "x" * 500, 400),
    ("/v1/jobs/", 404),
    ("/v1//jobs", 404),
    ("/v1/nothing", 404),
    ("/v1/jobs?page_size=-1", 400),
    ("/v1/jobs?page_size=99999999999", 400),
    ("/v1/jobs?page_token=abc", 400),
    ("/v1/jobs?page_token=%00", 400),
    ("/v1/jobs?bogus=1", 400),
    ("/v1/events?cursor=abc", 400),
    ("/v1/events?cursor=99999999999999999999", 400),
    ("/v1/events?project=%00", 400),
    ("/v1/events?project=nope", 404),
    ("/v1/events?kind=%25", 400),
    ("/v1/events?reason=lower", 400),
    ("/v1/events?tail=-1", 400),
    ("/v1/events?since=yesterday", 400),
    ("/v1/jobs?filter=%00", 400),
    ("/v1/jobs?filter=spec%20%3D%201", 400),
    ("/v1/jobs?filter=name%20%3D%20a%3BDROP%20TABLE%20jobs", 400),
    ("/v1/jobs?filter=((((((((((((((((((", 400),
    ("/v1/jobs?order_by=spec", 400),
    ("/v1/jobs?order_by=name%2Cuser", 400),
    ("/v1/jobs?status=NOPE", 400),
    ("/v1/jobs?status=0", 400),
    ("/v1/jobs?user=%00", 400),
    ("/v1/jobs?name=%FF", 400),
    ("/v1/jobs?labels=x", 400),
    ("/v1/jobs?labels=a%3D%00", 400),
    ("/v1/jobs?created_after=yesterday", 400),
    ("/v1/jobs?project=a&project=b", 400),
    ("/v1/jobs?project=nope", 404),
    ("/v1/resources/allocations?project=nope", 404),
    ("/v1/jobs/nope/logs?cursor=%00", 400),
    ("/v1/jobs/nope/logs?tail=-1", 400),
    ("/v1/jobs/nope/logs?rank=-1", 400),
    ("/v1/jobs/nope/logs?rank=512", 400),
    ("/v1/jobs/nope/logs?rank=first", 400),
    ("/v1/jobs/nope/logs?since=yesterday", 400),
    ("/v1/jobs/nope/logs?until=10m", 400),
    ("/v1/jobs/nope/logs?grep=%00", 400),
    ("/v1/jobs/nope/logs?grep=a%0Ab", 400),
    ("/v1/jobs/nope/logs?grep=" + "x" * 1025, 400),
    ("/v1/jobs/nope/logs?grep_ignore_case=perhaps", 400),
    ("/v1/resources/nodes/nope", 404),
    ("/v1/resources/nodes/nope/events", 404),
    ("/v1/resources/nodes/nope/events?page_size=x", 400),
    ("/v1/resources/nodes/nope/events?page_token=x", 400),
    ("/v1/resources/nodes?gpu_type=%00", 400),
    ("/v1/apiKeys?page_token=x", 400),
    ("/v1/projects?page_size=-1", 400),
]


@pytest.mark.parametrize(("path", "status"), PATHS)
async def test_a_bad_path_or_parameter_is_refused(server: Cluster, path: str, status: int):
    async with server.rest() as rest:
        answer = await rest.get(path)
    assert answer.status_code == status, answer.text
    assert_well_formed(answer)


async def test_what_is_large_but_can_be_said_is_answered(server: Cluster):
    async with server.rest() as rest:
        for path in ("/v1/jobs?page_size=100000", "/v1/jobs?created_after=9999-12-31T23:59:59Z"):
            assert (await rest.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        ("POST", "application/x-www-form-urlencoded", 415),
        ("POST", "text/plain", 415),
        ("PUT", "application/json", 405),
        ("DELETE", "application/json", 405),
    ],
)
async def test_other_content_types_and_methods_are_refused(
    server: Cluster, method: str, content_type: str, status: int
):
    async with server.rest() as rest:
        headers = {"content-type": content_type}
        answer = await rest.request(method, "/v1/jobs", content=spec(), headers=headers)
    assert answer.status_code == status
    assert_well_formed(answer)
    assert status != 405 or "POST" in answer.headers["allow"]


def golden_routes() -> list[tuple[str, str, str]]:
    """Method, path with its variables filled in, and what serves it."""
    routes = []
    for line in GOLDEN.read_text().splitlines():
        method, path, _, kind = line.split()[:4]
        words = ["x" if part.startswith("{") else part for part in path.split("/")]
        routes.append((method, "/".join(words).replace("{", "").replace("}", ""), kind))
    return routes


async def test_nul_and_what_is_not_utf_8_are_refused_in_every_variable_of_every_path(
    server: Cluster,
):
    lines = [line.split() for line in GOLDEN.read_text().splitlines()]
    served = [(line[0], line[1]) for line in lines if line[3] == "served" and "{" in line[1]]
    assert len(served) >= 6
    async with server.rest() as rest:
        for method, path in served:
            for bad in ("%00", "a%00b", "%FF", "%ED%A0%80", "x" * 200):
                target = re.sub(r"{[\w.]+}", bad, path)
                body = b'{"action":"CANCEL"}' if path.endswith("/status") else None
                answer = await rest.request(method, target, content=body)
                assert answer.status_code == 400, (method, target, answer.text)
                assert_well_formed(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-request-id": "a b\tc"}, 200),
        ({"x-request-id": b"\xff"}, 200),
        ({"x-request-id": "x" * 5000}, 200),
        ({"x-request-timeout": "NaN"}, 400),
        ({"x-request-timeout": "-1"}, 400),
        ({"grpc-timeout": "99999999H"}, 200),
        ({"grpc-timeout": "1e400"}, 400),
        ({"accept": b"\xff;q=NaN"}, 200),
        ({"content-type": "application/json; charset=utf-16"}, 200),
        ({"last-event-id": b"\xff"}, 200),
    ],
    ids=str,
)
async def test_odd_headers_are_passed_over_or_refused(
    server: Cluster, headers: dict[str, str | bytes], status: int
):
    async with server.rest() as rest:
        answer = await rest.get("/v1/jobs", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"].isprintable()


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * 50_000_000), 413),
        ("gzip", gzip.compress(spec().encode())[:-4], 400),
        ("gzip", b"{}", 400),
        ("br", spec().encode(), 415),
        ("gzip, gzip", gzip.compress(gzip.compress(spec().encode())), 415),
    ],
    ids=["a bomb", "cut off", "none", "brotli", "twice"],
)
async def test_a_bad_encoding_of_a_body_is_refused(
    server: Cluster, encoding: str, body: bytes, status: int
):
    async with server.rest() as rest:
        headers = JSON | {"content-encoding": encoding}
        answer = await rest.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert_well_formed(answer)


async def test_without_a_credential_only_health_and_the_trade_for_a_token_answer(server: Cluster):
    open_to_all = {"/v1/system/health", "/healthz", "/v1/auth/token"}
    async with server.rest(token="") as rest:
        for method, path, _ in golden_routes():
            answer = await rest.request(method, path, headers=JSON)
            assert answer.status_code == 401 or path in open_to_all, (method, path, answer.text)
        traded = await rest.post("/v1/auth/token", json={})
        assert traded.status_code == 401
        assert (await rest.get("/v1/no/such/path")).status_code == 401


async def test_planned_paths_answer_501_by_name(server: Cluster):
    planned = [route for route in golden_routes() if route[2] == "planned"]
    assert planned
    async with server.rest() as rest:
        for method, path, _ in planned:
            answer = await rest.request(method, path)
            assert answer.status_code == 501, (method, path, answer.text)
            assert "windlass." in answer.json()["message"]


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer x")],
        [("authorization", "Basic eDp5")],
        [("authorization", "Bearer " + "x" * 9000)],
        [("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")],
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
    ],
    ids=["nonsense", "basic", "huge", "alg none", "two"],
)
async def test_a_bad_credential_is_refused(server: Cluster, headers: list[tuple[str, str]]):
    async with server.rest(token="") as rest:
        answer = await rest.get("/v1/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "method",
    [
        "/windlass.jobs.v1.JobsService/GetJob",
        "/windlass.jobs.v1.JobsService/NoSuchMethod",
        "/no.such.Service/Method",
        "/windlass.agents.v1.AgentsService/OpenSession",
    ],
)
async def test_grpc_without_a_credential_is_refused_whatever_the_method(
    server: Cluster, method: str
):
    with pytest.raises(aio.AioRpcError) as refused:
        await server.channel.unary_unary(method)(b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_grpc_message_that_is_none_is_refused(server: Cluster):
    method = server.channel.unary_unary("/windlass.jobs.v1.JobsService/GetJob")
    with pytest.raises(aio.AioRpcError) as refused:
        await method(b"\xff\xff", metadata=server.metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_grpc_names_every_wrong_field_too(server: Cluster):
    with pytest.raises(aio.AioRpcError) as refused:
        await server.submit("", priority=5000, project="A B")
    status = rpc_status.from_call(refused.value)
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    fields = {violation.field for violation in bad.field_violations}
    assert fields == {"job.command", "job.priority", "job.project"}


async def test_reflection_is_for_administrators(server: Cluster):
    outsider = await server.key_for("reflector", "mine", "DEVELOPER")
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    listing = b"\x3a\x01*"  # list_services

    async def ask(token: str) -> bytes:
        metadata = (("authorization", f"Bearer {token}"),)
        call = server.channel.stream_stream(path)(iter([listing]), metadata=metadata)
        return bytes(await call.read())

    assert b"windlass.jobs.v1.JobsService" in await ask(server.token)
    # Refused before the question is read: who is still asking it then is told that it was not taken.
    with pytest.raises(aio.AioRpcError):
        await ask(outsider)
    metadata = (("authorization", f"Bearer {outsider}"),)
    silent = server.channel.stream_stream(path)(metadata=metadata)
    assert await silent.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_foreign_job_is_the_same_as_none(server: Cluster):
    job = await server.submit("true")
    outsider = await server.key_for("eve", "theirs", "ADMIN")
    absent = "job-" + "0" * 26
    requests: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "/events", None),
        ("GET", "/logs", None),
        ("PATCH", "/status", {"action": "CANCEL"}),
        ("PATCH", "/status", {"action": "RETRY"}),
    ]
    async with server.rest(outsider) as rest:
        for method, suffix, body in requests:
            foreign = await rest.request(method, f"/v1/jobs/{job.job_id}{suffix}", json=body)
            missing = await rest.request(method, f"/v1/jobs/{absent}{suffix}", json=body)
            assert foreign.status_code == missing.status_code == 404, (suffix, foreign.text)
            assert foreign.text.replace(job.job_id, absent) == missing.text
        assert (await rest.get("/v1/jobs?project=default")).status_code == 403
        assert (await rest.get("/v1/jobs")).json()["jobs"] == []
    metadata = (("authorization", f"Bearer {outsider}"),)
    for call, request in (
        (server.jobs.GetJob, jobs_service_pb2.GetJobRequest(job_id=job.job_id)),
        (server.jobs.CancelJob, jobs_service_pb2.CancelJobRequest(job_id=job.job_id)),
        (server.jobs.ListJobEvents, jobs_service_pb2.ListJobEventsRequest(job_id=job.job_id)),
    ):
        with pytest.raises(aio.AioRpcError) as refused:
            await call(request, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert (await server.get(job.job_id)).status == job_pb2.Job.QUEUED


async def test_a_viewer_reads_and_does_not_submit(server: Cluster):
    viewer = await server.key_for("vera", "watched", "VIEWER")
    async with server.rest(viewer) as rest:
        assert (await rest.get("/v1/jobs")).status_code == 200
        answer = await rest.post("/v1/jobs", json={"command": ["true"]})
        assert answer.status_code == 403
        assert answer.json()["details"][0]["reason"] == "PERMISSION_DENIED"
        assert (await rest.post("/v1/projects", json={"project": "more"})).status_code == 403
        assert (await rest.get("/v1/apiKeys")).status_code == 403


async def test_a_page_token_is_good_for_its_own_list_alone(server: Cluster):
    for _ in range(3):
        await server.submit("true", name="paged")
    async with server.rest() as rest:
        first = (await rest.get("/v1/jobs?name=paged&page_size=2")).json()
        token = first["next_page_token"]
        second = (await rest.get("/v1/jobs", params={"name": "paged", "page_token": token})).json()
        assert len(first["jobs"]) == 2
        assert len(second["jobs"]) >= 1
        assert second["next_page_token"] == ""
        for params in ({"page_token": token}, {"name": "paged", "page_token": token[:-4] + "AAAA"}):
            assert (await rest.get("/v1/jobs", params=params)).status_code == 400
        job_id = first["jobs"][0]["job_id"]
        for path in (f"/v1/jobs/{job_id}/events", "/v1/resources/nodes", "/v1/projects"):
            refused = await rest.get(path, params={"page_token": token})
            assert (refused.status_code, violated(refused)) == (400, {"page_token"}), path


def violated(answer: httpx.Response) -> set[str]:
    details = answer.json()["details"]
    return {one["field"] for detail in details for one in detail.get("field_violations", ())}


def assert_well_formed(answer: httpx.Response) -> None:
    """A refusal is a google.rpc.Status with exactly one ErrorInfo of ours."""
    body = answer.json()
    infos = [one for one in body["details"] if one["@type"].endswith("google.rpc.ErrorInfo")]
    assert body["message"]
    assert len(infos) == 1
    assert infos[0]["domain"] == "windlass"
    assert infos[0]["reason"].isupper()
