"""The server's parts put together in this process, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import database, database_url, engines
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_projects
from tests.support.jobs_api import JobsApi
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.runs import RunsService
from windlass_server.objects.logs import LogStore
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as

__all__ = ["database", "database_url", "engines"]


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[JobsApi]:
    """The jobs API over an empty database that has the projects `default` and `other`."""
    with acting_as("test"):
        await database.write(lambda tx: add_projects(tx, "default", "other"))
    clock, logs = FakeClock(), LogStore(tmp_path / "logs")
    runs = RunsService(
        database,
        logs,
        clock,
        IdSource(clock),
        capacity_freed=lambda: None,
        runs_changed=lambda _node: None,
    )
    yield JobsApi(database, JobLogs(runs, logs, EventHub()))
    await logs.close()
