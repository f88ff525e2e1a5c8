"""What a retry asks for, from the old job and what is to be otherwise."""

from typing import Any

import pytest

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.retrying import retried

OLD: dict[str, Any] = {
    "project": "default",
    "name": "train",
    "command": ["train", "--lr", "1"],
    "labels": {"team": "vision", "run": "7"},
    "environment": {
        "variables": {"LR": "1"},
        "working_directory": "/srv",
        "secrets": {"A": {"name": "a", "version": 2}},
    },
    "resources": {"cpu_millis": 500, "gpu_count": 2},
    "time_limit": {"seconds": 60, "nanos": 5},
}


@pytest.mark.parametrize(
    ("overrides", "mask", "changes"),
    [
        ({}, (), {}),
        ({"priority": 3}, (), {"priority": 3}),
        ({"command": ["eval"]}, (), {"command": ["eval"]}),
        (
            {"environment": {"secrets": {"A": {"name": "other"}, "B": {"name": "b"}}}},
            (),
            {
                "environment": OLD["environment"]
                | {"secrets": {"A": {"name": "other"}, "B": {"name": "b"}}}
            },
        ),
        ({"labels": {"run": "8"}}, (), {"labels": {"team": "vision", "run": "8"}}),
        ({"labels": {"run": "8"}}, ("labels",), {"labels": {"run": "8"}}),
        ({"resources": {"gpu_count": 4}}, (), {"resources": {"cpu_millis": 500, "gpu_count": 4}}),
        ({"resources": {"gpu_count": 4}}, ("resources",), {"resources": {"gpu_count": 4}}),
        ({}, ("resources", "name"), {"resources": {}, "name": ""}),
        ({"time_limit": {"seconds": 90}}, (), {"time_limit": {"seconds": 90}}),
        ({"preemptible": False}, (), {"preemptible": False}),
        (
            {"environment": {"variables": {"SEED": "3"}}},
            (),
            {"environment": OLD["environment"] | {"variables": {"LR": "1", "SEED": "3"}}},
        ),
    ],
)
def test_overrides_replace_what_they_say(overrides, mask, changes):
    old = job_pb2.Job(**OLD)
    wanted = {name: value for name, value in (OLD | changes).items() if value not in ("", {})}
    found = retried(old, job_pb2.Job(**overrides), mask)
    assert found == job_pb2.Job(**wanted)
    assert old == job_pb2.Job(**OLD)
