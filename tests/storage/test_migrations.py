"""The migrations lead both engines from nothing to what the tables' classes say."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from tests.support.databases import ENGINES, Engines
from tests.support.jobs import job_columns
from tests.support.nodes import node_columns
from windlass_server.errors import BadConfiguration
from windlass_server.storage import migrations
from windlass_server.storage.engine import open_database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.migrations import HEAD, current_revision, migrate_connection
from windlass_server.storage.migrations.draft import differences

VERSIONS = Path(migrations.__file__).parent / "versions"


def test_head_is_the_newest_file() -> None:
    assert max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py")) == HEAD


@pytest.mark.parametrize("name", ENGINES)
def test_from_nothing_to_head_and_as_the_classes_say(engines: Engines, name: str) -> None:
    engine = create_engine(engines.by_name(name).new(migrated=False))
    with engine.begin() as connection:
        assert current_revision(connection) is None
        migrate_connection(connection)
        assert current_revision(connection) == HEAD
        assert differences(connection) == []
    engine.dispose()


@pytest.mark.parametrize("name", ENGINES)
async def test_what_the_first_schema_held_is_there_at_head(engines: Engines, name: str) -> None:
    url = engines.by_name(name).new(migrated=False)
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate_connection(connection, "0001")
        assert current_revision(connection) == "0001"
        for table, row in FIRST_ROWS:
            there = [column["name"] for column in inspect(connection).get_columns(table)]
            columns = ", ".join(f'"{column}"' for column in there)
            values = ", ".join(f":{column}" for column in there)
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)
    engine.dispose()
    database = await open_database(url)
    with acting_as("test"):
        tokens = await database.read(lambda tx: [tx.access.join_token(one) for one in ("t0", "t1")])
        used = await database.read(lambda tx: tx.access.used_join_token("t1", "node-1"))
        run = await database.read(lambda tx: tx.runs.get("run-1"))
        job = await database.read(lambda tx: tx.jobs.get("job-1"))
        (claim,) = await database.read(lambda tx: tx.nodes.all_claims())
    await database.close()
    assert (claim.gpu_uuid, claim.run_id, claim.layout) == ("GPU-0", "run-1", None)
    assert [(one.uses, one.max_uses) for one in tokens if one] == [(0, 1), (1, 1)]
    assert used
    assert run is not None
    assert job is not None
    assert (run.job_id, run.log_end, run.end_cause, run.log_lost) == ("job-1", 7, 0, "")
    assert (job.name, job.spec) == ("train", b"spec")


def _join_token(token_id: str, node_id: str | None) -> dict[str, object]:
    return {
        "token_id": token_id,
        "secret_digest": b"d",
        "created_by": "ann",
        "created_at": 1,
        "expires_at": 2,
        "node_id": node_id,
    }


# A run of a job on a node; what the first schema did not have is left out.
FIRST_ROWS: list[tuple[str, dict[str, object]]] = [
    ("organisations", {"organisation_id": "o", "name": "o", "created_at": 1}),
    (
        "projects",
        {"project": "default", "organisation_id": "o", "display_name": "", "created_at": 1},
    ),
    ("jobs", job_columns(job_id="job-1", spec=b"spec")),
    ("nodes", node_columns(node_id="node-1")),
    ("join_tokens", _join_token("t0", None)),
    ("join_tokens", _join_token("t1", "node-1")),
    (
        "runs",
        {
            "run_id": "run-1",
            "job_id": "job-1",
            "attempt": 1,
            "epoch": 1,
            "node_id": "node-1",
            "want": 1,
            "generation": 1,
            "state": 3,
            "active": False,
            "forgotten": False,
            "cpu_millis": 1,
            "memory_bytes": 1,
            "gpu_uuids": "",
            "log_end": 7,
            "created_at": 1,
            "ended_at": 2,
        },
    ),
    ("gpu_claims", {"node_id": "node-1", "gpu_uuid": "GPU-0", "run_id": "run-1"}),
]


@pytest.mark.parametrize("name", ENGINES)
async def test_opening_migrates_once(engines: Engines, name: str) -> None:
    url = engines.by_name(name).new(migrated=False)
    for _ in range(2):
        await (await open_database(url)).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert current_revision(connection) == HEAD
    engine.dispose()


@pytest.mark.parametrize("name", ENGINES)
async def test_a_database_of_a_newer_windlass_is_refused(engines: Engines, name: str) -> None:
    url = engines.by_name(name).new(migrated=True)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(BadConfiguration, match="revision 9999"):
        await open_database(url)


def test_the_queue_is_read_by_its_index(engines: Engines) -> None:
    """SQLite cannot compare this index with the classes, so its use is looked at instead."""
    engine = create_engine(engines.by_name("sqlite").new(migrated=True))
    with engine.connect() as connection:
        for behind in ("", "AND priority <= 5 AND (priority < 5 OR job_id > 'j')"):
            query = f"SELECT job_id FROM jobs WHERE status = 1 AND held = 0 {behind} ORDER BY priority DESC, job_id"
            steps = connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
            plan = " ".join(step[-1] for step in steps)
            assert "jobs_waiting" in plan
            assert ("priority<?" in plan) == bool(behind)
            assert "TEMP B-TREE" not in plan
    engine.dispose()
