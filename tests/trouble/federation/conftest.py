"""Two whole installations in real processes, and a link between them that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.databases import Engines, engines
from tests.support.federated import Pair, running_pair

__all__ = ["engines"]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """`here` without nodes, and `west` with one of eight simulated H100, not registered yet."""
    async with running_pair(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A pair of which `here` knows `west`, for tests whose jobs have labels of their own."""
    async with running_pair(tmp_path_factory.mktemp("registered")) as running:
        await running.register()
        yield running


@pytest.fixture
async def postgresql_pair(tmp_path: Path, engines: Engines) -> AsyncIterator[Pair]:
    """The same, `here` on PostgreSQL."""
    url = engines.by_name("postgresql").new(migrated=False)
    async with running_pair(tmp_path, database_url=url) as running:
        yield running
