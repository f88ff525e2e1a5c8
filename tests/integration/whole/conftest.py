"""The whole system in real processes, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

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
    url = _database(request.param, engines)
    async with running_cluster(tmp_path, database_url=url) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_server(
    request: pytest.FixtureRequest, tmp_path: Path, engines: Engines
) -> AsyncIterator[Cluster]:
    """A server without an agent on each engine in turn, starting with an empty database."""
    url = _database(request.param, engines)
    async with running_cluster(tmp_path, database_url=url, agent=False) as running:
        yield running


def _database(engine: str, engines: Engines) -> str:
    return "" if engine == "sqlite" else engines.by_name(engine).new(migrated=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A `cluster` for those tests of a module that leave nothing behind which another minds."""
    async with running_cluster(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One server without an agent for a module's tests, none of which may surprise it."""
    async with running_cluster(tmp_path_factory.mktemp("server"), agent=False) as running:
        yield running
    assert running.server is not None
    surprises = [line for line in running.server.lines if "unexpected error" in line]
    assert not surprises, "\n".join(running.server.lines)
