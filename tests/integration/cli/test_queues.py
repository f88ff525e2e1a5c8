"""`windlass queues` against a control plane in memory."""

import json

import pytest

from windlass.access.v1 import access_pb2
from windlass.jobs.v1 import queue_pb2


def test_a_queue_is_made_changed_listed_and_deleted(windlass, plane):
    done = windlass(
        "queues", "create", "nightly", "--limit", "queued=500,running=20,time=4h,gpus=8,nodes=2",
        "--limit", "queued-per-user=50,running-per-user=4", "--description", "at night",
        "--default", "priority=-10,time=1h,pool=h100,preemptible=no,attempts=3",
        "--allow", "vision", "--allow-user", "ann", "--min-role", "admin",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, "nightly\n"), done.stderr
    (request,) = plane.state.requests["CreateQueue"]
    assert request.queue == queue_pb2.Queue(
        queue_id="nightly",
        description="at night",
        limits={
            "queued_jobs": 500,
            "running_jobs": 20,
            "queued_jobs_per_user": 50,
            "running_jobs_per_user": 4,
            "time_limit": {"seconds": 14400},
            "nodes_per_job": 2,
            "gpu_millis_per_job": 8000,
        },
        defaults={
            "priority": -10,
            "time_limit": {"seconds": 3600},
            "pool": "h100",
            "preemptible": False,
            "retry": {"max_attempts": 3},
        },
        allowed_projects=["vision"],
        allowed_users=["ann"],
        min_role=access_pb2.ADMIN,
    )
    plane.state.queues[0].restricted = True
    _, line = windlass("queues").stdout.splitlines()
    assert line.split()[:4] == ["nightly", "open", "0", "0"]
    as_json = json.loads(windlass("queues", "list", "-o", "json").stdout)
    assert as_json["queues"][0]["limits"]["time_limit"] == "14400s"
    shown = " ".join(windlass("queues", "get", "nightly").stdout.split())
    assert "for vision; user ann; role ADMIN" in shown
    assert "running=20,queued-per-user=50,running-per-user=4" in shown
    assert windlass("queues", "pause", "nightly").stdout == "nightly is paused\n"
    assert windlass("queues", "close", "nightly").stdout == "nightly is closed\n"
    assert windlass("queues", "open", "nightly").stdout == "nightly is open\n"
    changed = windlass("queues", "set", "nightly", "--limit", "none", "--allow-all")
    assert changed.exit_code == 0, changed.stderr
    update = plane.state.requests["UpdateQueue"][-1]
    assert list(update.update_mask.paths) == [
        *("limits", "allowed_projects", "allowed_users", "min_role"),
    ]
    events = windlass("queues", "events", "nightly").stdout.splitlines()
    assert events[1].split()[-5:] == ["ada", "QUEUE_CREATED", "nothing", "is", "different"]
    gone = windlass("queues", "delete", "nightly", "--move-to", "default")
    assert gone.stdout == "nightly deleted\n"
    assert plane.state.requests["DeleteQueue"][0].move_to == "default"


BAD = [
    (("create", "x", "--limit", "jobs=1"), "'jobs=1' is not one of queued="),
    (("create", "x", "--limit", "running=many"), "'many' is not a number"),
    (("create", "x", "--default", "preemptible=maybe"), "neither yes nor no"),
    (("create", "x", "--default", "time=soon"), "'soon' is not a duration"),
    (("create", "x", "--min-role", "king"), "'king' is none of VIEWER"),
    (("set", "x"), "say what to change"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD)
def test_what_is_no_queue_is_told_before_anything_is_sent(windlass, plane, arguments, told):
    done = windlass("queues", *arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert not plane.state.calls
