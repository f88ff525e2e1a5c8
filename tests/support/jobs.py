"""Builders of jobs, so that tests say only what matters to them."""

from typing import Any

from tests.support.fake_clock import START, FakeClock
from windlass_server.ids import IdSource
from windlass_server.jobs.states import Status
from windlass_server.storage.transaction import Transaction

_ids = IdSource(FakeClock())


def job_columns(**values: Any) -> dict[str, Any]:
    """Every column of a queued job of project `default`, with these values instead."""
    return {
        "job_id": _ids.new("job"),
        "project": "default",
        "name": "train",
        "user": "ada",
        "queue": "default",
        "priority": 0,
        "status": int(Status.QUEUED),
        "status_reason": "NO_NODES",
        "status_message": "no node has joined the cluster yet",
        "version": 1,
        "spec": b"",
        "cpu_millis": 1000,
        "memory_bytes": 1 << 28,
        "gpu_count": 0,
        "gpu_type": "",
        "mig_profile": "",
        "gpu_memory_bytes": 0,
        "gpu_millis": 0,
        "gpu_types": "",
        "exclusive": False,
        "constraints": None,
        "spread": None,
        "spread_group": "",
        "reservation_id": "",
        "min_isolation": 0,
        "preemptible": True,
        "pool": "",
        "longest_run": None,
        "asked_priority": None,
        "start_after": 0,
        "end_by": None,
        "held": 0,
        "frozen": False,
        "eligible_at": None,
        "nodes": 1,
        "min_nodes": 1,
        "topology_required": 0,
        "topology_preferred": 0,
        "ranks": None,
        "verdict": None,
        "retry_of": None,
        "root_job_id": None,
        "checkpoint_of": None,
        "array_job_id": None,
        "array_index": None,
        "array_count": 0,
        "retries": 0,
        "attempt": 0,
        "run_id": "",
        "node_id": "",
        "gpu_uuids": "",
        "cluster": "",
        "remote_job_id": "",
        "isolation": b"",
        "checkpoint": None,
        "exit_code": None,
        "exit_signal": None,
        "created_at": START,
        "started_at": None,
        "ended_at": None,
    } | values


def add_projects(tx: Transaction, *projects: str) -> None:
    """The organisation and its projects, which jobs point to."""
    tx.access.found_organisation("windlass", "windlass", START)
    for project in projects:
        tx.access.add_project(project, "windlass", "", START)


def add_jobs(tx: Transaction, *jobs: dict[str, Any], labels: dict[str, str] | None = None) -> None:
    """Store jobs, each with the same labels."""
    for job in jobs:
        tx.jobs.add(job, labels or {})
