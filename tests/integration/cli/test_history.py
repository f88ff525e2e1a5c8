"""`windlass simulate --history`: what a server has had, as files, and played."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.fake_api import Failure
from windlass.access.v1 import quota_pb2
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import node_pb2, pool_pb2, scheduling_policy_pb2

DAY = datetime(2026, 11, 25, tzinfo=UTC)


def a_job(number: int, *, came: int, began: int | None, ended: int | None, **fields: Any):
    job = job_pb2.Job(job_id=f"job-{number}", project="a", user="ann", name="train", **fields)
    job.queue = "default"
    for field, seconds in (("create_time", came), ("start_time", began), ("end_time", ended)):
        if seconds is not None:
            getattr(job, field).FromDatetime(DAY + timedelta(seconds=seconds))
    return job


@pytest.fixture
def served(plane):
    """Two projects on two nodes; four jobs of theirs have started."""
    state = plane.state
    state.projects[:] = ["a", "b"]
    of_card = {"gpu_count": 1, "mig_profile": "1g.10gb"}
    jobs = [
        a_job(1, came=0, began=10, ended=110, resources={"gpu_count": 8, "cpu_millis": 4500}),
        a_job(2, came=20, began=110, ended=None, resources={"gpu_count": 2}, attempt=2),
        a_job(3, came=30, began=None, ended=None, resources={"gpu_count": 1}),
        a_job(4, came=40, began=50, ended=60, resources=of_card),
        a_job(5, came=50, began=60, ended=70, resources={"gpu_millis": 250}, priority=5),
    ]
    jobs[0].time_limit.FromSeconds(3600)
    jobs[1].nodes = 2
    jobs[1].gpu_types.extend(["B200", "H100"])
    jobs[0].exclusive_node = True
    jobs[0].constraints.node_labels.add(key="zone", operator="IN", values=["eu", "us"])
    jobs[1].dependencies.add(job_id="job-1", type="AFTER_ANY")
    jobs[1].dependencies.add(job_id="job-0", type="AFTER")
    jobs[1].min_nodes = 1
    jobs[1].topology.required = jobs[1].topology.RACK
    jobs[4].preemptible, jobs[4].status = False, job_pb2.Job.FAILED
    jobs[4].project = "b"
    state.jobs.update({job.job_id: job for job in jobs})
    for name, types in (("one", ["H100"] * 8), ("two", ["H100", "L4", "L4"])):
        node = node_pb2.Node(node_id=f"node-{name}", gpus=[{"gpu_type": each} for each in types])
        node.allocatable.cpu_millis, node.allocatable.memory_bytes = 64_000, 1 << 40
        node.pool_id, node.cluster = "default", "west"
        node.labels.update(zone="eu", rack="r1", odd="a;b")
        state.nodes.append(node)
    default = pool_pb2.Pool(pool_id="default")
    default.sharing.enabled, default.sharing.max_jobs_per_gpu = True, 4
    state.pools["default"] = default
    state.policies["default"] = scheduling_policy_pb2.SchedulingPolicy(policy_id="default")
    state.policies["default"].backfill.depth = 3
    quota = quota_pb2.Quota(quota_id="quota-1", project="a", exceeded=True)
    quota.limit.gpu_millis = 64_000
    state.quotas.append(quota)
    return state


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return [*csv.DictReader(text)]


def test_what_was_is_kept_as_files_and_played(windlass, served, tmp_path: Path, capfd):
    done = windlass("-o", "json", "simulate", "--history", "--since", "9d", "--save", "kept")
    assert done.exit_code == 0, done.output
    printed = json.loads(capfd.readouterr().out)
    was, would = printed["policies"]
    assert (was["policy"], would["policy"]) == ("recorded", "current.json")
    assert [one["project"] for one in was["projects"]] == ["a", "b"]
    assert was["jobs"] == 3
    assert was["wait_seconds"]["max"] == 10
    first, running, share = sorted(
        rows(tmp_path / "kept/jobs.csv"), key=lambda row: row["submit_time"]
    )
    assert (first["run_time"], first["time_limit"]) == ("100.000000", "3610.000000")
    assert (first["gpus"], first["cpu"], first["memory"]) == ("8", "4.500", f"{256 << 20}B")
    assert (running["time_limit"], running["user"], running["nodes"]) == ("", "ann", "2")
    assert running["gpu_type"] == "B200|H100"
    assert (first["exclusive"], first["node_labels"]) == ("yes", "zone=eu,us")
    assert (running["after"], running["min_nodes"]) == (f"after_any:{first['id']}", "1")
    assert running["topology"] == "rack"
    assert (share["preemptible"], share["result"], share["pool"]) == ("no", "failed", "")
    assert (share["gpus"], share["gpu_share"], share["priority"]) == ("1", "0.25", "5")
    assert [
        (row["name"], row["gpus"], row["gpu_type"]) for row in rows(tmp_path / "kept/nodes.csv")
    ] == [
        ("node-one", "8", "H100"),
        ("node-two", "2", "L4"),
    ]
    (node, _) = rows(tmp_path / "kept/nodes.csv")
    assert (node["pool"], node["cluster"], node["labels"]) == (
        "default",
        "west",
        "rack=r1; zone=eu",
    )
    assert node["sharers"] == "4"
    assert json.loads((tmp_path / "kept/current.json").read_text()) == {
        "default": {"policy_id": "default", "backfill": {"depth": 3}},
        "quotas": [{"quota_id": "quota-1", "project": "a", "limit": {"gpu_millis": "64000"}}],
    }
    for said in (
        "note: 1 jobs have not started: left out",
        "note: 1 jobs took instances of divided cards: left out",
        "note: 1 jobs waited for others that are not among these: they do not here",
        "note: 1 jobs still run: they count as done now",
        "note: 1 jobs ran more than once: they count from their last start",
        "note: 1 nodes have GPUs of several types: of each only those of one, such as L4",
    ):
        assert said in done.stderr


def test_what_a_trace_has_no_words_for_is_told_and_the_rest_is_played(windlass, served, capfd):
    apart = a_job(6, came=60, began=70, ended=80, resources={"gpu_count": 2})
    apart.topology.required = apart.topology.NVLINK
    apart.spread.job_label, apart.reservation_id = "app", "resv-1"
    apart.labels["app"] = "web"
    gang = a_job(7, came=60, began=70, ended=80, nodes=2, resources={"gpu_millis": 400})
    served.jobs.update({"job-6": apart, "job-7": gang})
    done = windlass("-o", "json", "simulate", "--history", "--since", "9d")
    assert done.exit_code == 0, done.output
    was, _ = json.loads(capfd.readouterr().out)["policies"]
    assert was["jobs"] == 4
    for said in (
        "note: 1 jobs took shares of GPUs on several nodes: left out",
        "note: 1 jobs asked for GPUs that are joined, or for one node: that is not played",
        "note: 1 jobs were kept apart from others: that is not played",
        "note: 1 jobs named a reservation: that is not played",
    ):
        assert said in done.stderr


def test_a_project_and_a_policy_can_be_chosen(windlass, served, capfd):
    done = windlass("simulate", "--history", "--project", "b", "--policy", "fifo", "-o", "json")
    assert done.exit_code == 0, done.output
    printed = json.loads(capfd.readouterr().out)
    assert (printed["policy"], printed["jobs"]) == ("fifo", 1)


def test_a_server_without_jobs_is_told(windlass, plane):
    done = windlass("simulate", "--history", "--since", "2026-11-01")
    assert done.exit_code == 1
    assert done.stderr == "no job has started that was submitted since 2026-11-01 00:00 UTC\n"


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--since", "7d"], 2, "--since is of --history"),
        (["--history", "--since", "soon"], 2, "'soon' is no time; write such as 7d"),
        (["--history", "--save", "file/below"], 2, "file/below: Not a directory"),
    ],
)
def test_what_cannot_be_is_refused(
    windlass, tmp_path: Path, flags: list[str], code: int, said: str
):
    (tmp_path / "file").touch()
    done = windlass("simulate", *flags)
    assert done.exit_code == code
    assert said in done.stderr


def test_a_server_that_refuses_is_told(windlass, served):
    served.failures["ListNodes"] = [Failure(grpc.StatusCode.PERMISSION_DENIED, "no", "DENIED")]
    done = windlass("simulate", "--history")
    assert done.exit_code == 5
