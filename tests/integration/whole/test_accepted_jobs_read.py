"""Whatever is accepted of a job is read as it was said, by itself and in lists, in every view and both ways."""

import itertools
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

NUMBERS = itertools.count()
REFUSED = {400, 403, 404, 409}

NO_NUL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
KEY = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?", fullmatch=True)
WORD = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
SPAN = st.one_of(
    st.builds("{}s".format, st.integers(1, 31_536_000)),
    st.builds("{}.{:09d}s".format, st.integers(1, 3600), st.integers(0, 999_999_999)),
)
RULE = st.one_of(
    st.builds(
        dict,
        key=KEY,
        operator=st.sampled_from(["IN", "NOT_IN"]),
        values=st.lists(LINE, min_size=1, max_size=3),
        preferred=st.booleans(),
    ),
    st.builds(dict, key=KEY, operator=st.sampled_from(["EXISTS", "ABSENT"])),
)
RETRY = st.fixed_dictionaries(
    {"max_attempts": st.integers(0, 100)},
    optional={
        "backoff": st.fixed_dictionaries(
            {},
            optional={
                "initial": SPAN,
                "multiplier": st.floats(1, 10),
                "jitter": st.floats(0, 1),
            },
        ),
        "on_exit_codes": st.lists(st.integers(1, 255), max_size=4, unique=True),
        "on_causes": st.lists(st.sampled_from(["KILLED", "OUT_OF_MEMORY"]), unique=True),
    },
)
FIELDS = {
    "name": LINE,
    "labels": st.dictionaries(KEY, LINE, max_size=4),
    "annotations": st.dictionaries(KEY, NO_NUL, max_size=4),
    "queue": WORD,
    "priority": st.integers(-1000, 1000),
    "environment": st.fixed_dictionaries(
        {"variables": st.dictionaries(st.from_regex(r"[A-Z_]{1,9}", fullmatch=True), NO_NUL)}
    ),
    "resources": st.fixed_dictionaries(
        {
            "cpu_millis": st.integers(1, 2000).map(str),
            "memory_bytes": st.integers(1, 1 << 28).map(str),
        },
        optional={"gpu_count": st.integers(0, 8), "gpu_type": st.sampled_from(["", "h100"])},
    ),
    "time_limit": SPAN,
    "grace_period": st.sampled_from(["0s", "0.000000001s", "3600s"]),
    "min_isolation": st.sampled_from(["LEVEL_UNSPECIFIED", "RLIMITS"]),
    "preemptible": st.booleans(),
    "dependencies": st.just([{"type": "SINGLETON"}]),
    "retry": RETRY,
    "constraints": st.builds(dict, node_labels=st.lists(RULE, min_size=1, max_size=3)),
    "deadline": st.just("9999-12-31T23:59:59.999999999Z"),
}
JOBS = st.fixed_dictionaries(
    {"command": st.lists(NO_NUL, min_size=1, max_size=4).filter(lambda words: words[0] != "")},
    optional=FIELDS,
)
PATIENT = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def lost(said: Any, read: Any, path: str = "") -> list[str]:
    """What was said and is not read; what is a default there may have been left out."""
    if isinstance(said, dict) and isinstance(read, dict):
        each = [lost(value, read.get(key), f"{path}.{key}") for key, value in said.items() if value]
        return [one for some in each for one in some]
    if isinstance(said, list) and isinstance(read, list) and len(said) == len(read):
        return [one for a, b in zip(said, read, strict=True) for one in lost(a, b, f"{path}[]")]
    if isinstance(said, str) and said[:1].isdigit() and said.endswith("s"):
        said, read = float(said[:-1]), float(str(read)[:-1])
    return [] if not said or said == read else [f"{path}: {said!r}, not {read!r}"]


@pytest.mark.asyncio(loop_scope="module")
@PATIENT
@example(said={"command": ["\x7f\u202e\ufeff", "\n"], "annotations": {"a": "\r\n\x1b[31m"}})
@example(said={"command": ["a"], "retry": {"max_attempts": 2, "backoff": {"jitter": 5e-324}}})
@given(said=JOBS)
async def test_a_job_reads_as_it_was_said(shared: Cluster, said: dict[str, Any]):
    mark = f"n{next(NUMBERS)}"
    # None of them runs: what is looked at is what is kept.
    spec = said | {"start_after": "2199-01-01T00:00:00Z"}
    spec["labels"] = {**said.get("labels", {}), "mark": mark}
    async with shared.rest() as rest:
        answer = await rest.post("/v1/jobs", json=spec)
        assert answer.status_code in {200, *REFUSED}, answer.text
        if answer.status_code != 200:
            return
        job = answer.json()
        assert not lost(spec, job)
        path = f"/v1/jobs/{job['job_id']}"
        seen = (await rest.get(path)).json()
        assert not lost(spec, seen)
        full = await rest.get(path, params={"view": "FULL"})
        assert not lost(seen, full.json())
        for view in ("BASIC", "FULL"):
            asked = {"labels": f"mark={mark}", "view": view}
            (listed,) = (await rest.get("/v1/jobs", params=asked)).json()["jobs"]
            assert not lost(seen, listed), view
        (event,) = (await rest.get(f"{path}/events")).json()["events"]
        assert event["reason"] == "SUBMITTED"
        await read_by_grpc(shared, seen, mark)
        cancelled = (await rest.post(f"{path}:cancel", json={})).json()
        assert cancelled["status"] == "CANCELLED"
        retry = {"action": "RETRY", "request_id": mark}
        again = (await rest.patch(f"{path}/status", json=retry)).json()
        assert not lost(spec, again)
        await rest.post(f"/v1/jobs/{again['job_id']}:cancel", json={})
        (retried,) = (await rest.get(path, params={"view": "FULL"})).json()["lineage"]["retries"]
        assert retried == again["job_id"]


async def read_by_grpc(shared: Cluster, seen: dict[str, Any], mark: str) -> None:
    expected = json_format.ParseDict(seen, job_pb2.Job())
    wanted = jobs_service_pb2.GetJobRequest(job_id=seen["job_id"])
    assert await shared.jobs.GetJob(wanted, metadata=shared.metadata) == expected
    for view in (job_pb2.Job.BASIC, job_pb2.Job.FULL):
        asked = jobs_service_pb2.ListJobsRequest(labels=[f"mark={mark}"], view=view)
        (listed,) = (await shared.jobs.ListJobs(asked, metadata=shared.metadata)).jobs
        for name in ("conditions", "lineage"):
            listed.ClearField(name)
        assert listed == expected
