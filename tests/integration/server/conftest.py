"""Parts of the server in this process, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import acting, database, database_url, engines
from tests.support.jobs_api import JobsApi, start_jobs_api
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.storage.engine import Database

__all__ = ["acting", "database", "database_url", "engines"]


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[JobsApi]:
    """The jobs API over an empty database."""
    started = await start_jobs_api(database, tmp_path)
    yield started
    await started.logs.close()


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[ScheduledWorld]:
    """A cluster whose nodes say what a test lets them say."""
    world = await ScheduledWorld.start(database, tmp_path)
    yield world
    await world.logs.close()
