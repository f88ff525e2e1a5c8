"""What is read again and again is found by its index, however many rows are there beside it."""

import sqlite3
from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Connection, create_engine

from tests.support.databases import Engines
from windlass_server.storage.jobs import JobFilter
from windlass_server.storage.singletons import SingletonKey
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.usage import HeldFilter

NODES = ["node-1", "node-2"]
READS: list[tuple[str, Callable[[Transaction], Any]]] = [
    ("jobs_waiting", lambda tx: tx.jobs.queued(10)),
    ("jobs_waiting", lambda tx: tx.remote_runs.waiting(10)),
    ("jobs_by_project", lambda tx: tx.jobs.page_of_heads(JobFilter("default"), before="", size=9)),
    (
        "jobs_by_status",
        lambda tx: tx.jobs.page_of_heads(JobFilter("default", statuses=(3,)), before="", size=9),
    ),
    (
        "jobs_of_array_newest",
        lambda tx: tx.jobs.page_of_heads(
            JobFilter("default", array_job_id="job-1"), before="", size=9
        ),
    ),
    ("jobs_of_array ", lambda tx: tx.arrays.jobs_from("job-1", 0, 10)),
    ("jobs_of_array ", lambda tx: tx.arrays.jobs_at("job-1", [1, 2])),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.jobs_from("job-1", 0, 10, [6])),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.indices_in("job-1", 5)),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.lock_not_held("job-1", 10)),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.lock_held_for("job-1", "ARRAY_HELD", 10)),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.with_grace("job-1", 10)),
    ("jobs_of_array_by_status", lambda tx: tx.arrays.serve_by("job-1", 1, 0)),
    ("job_dependencies_open", lambda tx: tx.arrays.serve_by("job-1", 1, 0)),
    ("job_arrays_active", lambda tx: tx.arrays.active_behind("job-1", 10)),
    ("jobs_by_start", lambda tx: tx.jobs.by_start(10)),
    ("jobs_by_deadline", lambda tx: tx.jobs.by_deadline(10)),
    ("job_dependencies_open", lambda tx: tx.dependencies.followed(["job-1"])),
    ("job_dependencies_open", lambda tx: tx.dependencies.followers("job-1", [1, 2], 10)),
    ("job_dependencies_open", lambda tx: tx.dependencies.awaited_behind("job-1", 10)),
    ("job_dependencies_open", lambda tx: tx.dependencies.highest_priority_behind("job-1")),
    ("job_dependencies_stalled", lambda tx: tx.dependencies.follow("job-1", "job-2")),
    ("jobs_by_name", lambda tx: tx.singletons.before(SingletonKey("p", "u", "n"), "job-1")),
    ("job_dependencies_open", lambda tx: tx.dependencies.following(["job-1"])),
    ("job_dependencies_stalled", lambda tx: tx.dependencies.following(["job-1"])),
    ("job_dependencies_stalled", lambda tx: tx.dependencies.awaited_behind("job-1", 10)),
    ("job_dependencies_open", lambda tx: tx.dependencies.followers_of_retries("job-1", "", 10)),
    ("job_dependencies_stalled", lambda tx: tx.dependencies.followers_of_retries("job-1", "", 10)),
    ("jobs_by_retry", lambda tx: tx.dependencies.retries(["job-1"])),
    ("jobs_by_retry", lambda tx: tx.jobs.live_retries_of("job-1", 10)),
    (
        "jobs_by_checkpoint",
        lambda tx: tx.checkpoints.unneeded(ended_before=1, failed_before=1, size=10),
    ),
    ("runs_by_node", lambda tx: tx.runs.active_on(["node-1"])),
    ("runs_by_node", lambda tx: tx.runs.active_on(NODES)),
    ("runs_by_node", lambda tx: tx.runs.known_to_node("node-1")),
    ("runs_by_node", lambda tx: tx.runs.reported_by("node-1")),
    ("runs_by_node", lambda tx: tx.nodes.release("node-1", "run-1")),
    ("runs_by_node", lambda tx: tx.reservations.running_on(NODES)),
    ("runs_one_active", lambda tx: tx.pools.placed_jobs()),
    (
        "runs_one_active",
        lambda tx: [*tx.usage.held_by_runs(HeldFilter(), start=1, end=2, labels=())],
    ),
    ("remote_runs_open", lambda tx: tx.remote_runs.open_at("west")),
    ("remote_runs_open", lambda tx: tx.remote_runs.count_active()),
    ("nodes_ailing", lambda tx: tx.nodes.ailing()),
    ("nodes_draining", lambda tx: tx.nodes.draining()),
    ("allocations_active", lambda tx: tx.allocations.active_on(["node-1"])),
    ("allocations_active", lambda tx: tx.allocations.active_on(NODES)),
    ("drain_nodes_one_active", lambda tx: tx.drains.busy(NODES)),
]


@pytest.mark.parametrize(("index", "read"), READS)
def test_a_read_of_what_is_at_work_uses_the_index_of_that(
    engines: Engines, index: str, read: Callable[[Transaction], Any]
) -> None:
    engine = create_engine(engines.by_name("sqlite").new(migrated=True))
    with engine.connect() as connection:
        plans = [_plan(connection, statement) for statement in _run(connection, read)]
    engine.dispose()
    assert any(f"INDEX {index}" in plan for plan in plans), plans


def _run(connection: Connection, read: Callable[[Transaction], Any]) -> list[str]:
    """What is executed, with the values of its parameters."""
    statements: list[str] = []
    _driver(connection).set_trace_callback(statements.append)
    read(Transaction(connection))
    _driver(connection).set_trace_callback(None)
    return [one for one in statements if one.lstrip().startswith(("SELECT", "UPDATE", "WITH"))]


def _plan(connection: Connection, statement: str) -> str:
    steps = _driver(connection).execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return "; ".join(step[3] for step in steps)


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)
