"""The whole system in real processes, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from tests.support.databases import Engines, database_url, engines

__all__ = ["database_url", "engines"]

_ENGINES = {"sqlite", "postgresql"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out those on an engine that is not asked for."""
    asked = config.getoption("--whole-on")
    if asked == "both":
        return
    wanted = {asked, None} if asked == "sqlite" else {asked}
    left_out = [one for one in items if _is_here(one) and _engine(one) not in wanted]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [one for one in items if one not in left_out]


def _is_here(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


def _engine(item: pytest.Item) -> str | None:
    """The engine in the name of a test that is there for each."""
    call = getattr(item, "callspec", None)
    named = _ENGINES & {one for one in call.params.values() if isinstance(one, str)} if call else {}
    return next(iter(named), None)


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
