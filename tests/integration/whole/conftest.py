"""The whole system in real processes, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.databases import Engines, database_url, engines

__all__ = ["database_url", "engines"]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server on SQLite and an agent with eight simulated H100."""
    async with running_cluster(tmp_path) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_cluster(
    request: pytest.FixtureRequest, tmp_path: Path, engines: Engines
) -> AsyncIterator[Cluster]:
    """The same on each engine in turn, starting with an empty database."""
    url = "" if request.param == "sqlite" else engines.by_name(request.param).new(migrated=False)
    async with running_cluster(tmp_path, database_url=url) as running:
        yield running
