"""Two whole installations in real processes, and a link between them that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import Engines, engines
from tests.support.federated import Pair, running_pair

__all__ = ["engines"]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """`here` without nodes, and `west` with one of eight simulated H100, not registered yet."""
    async with running_pair(tmp_path) as running:
        yield running


@pytest.fixture
async def postgresql_pair(tmp_path: Path, engines: Engines) -> AsyncIterator[Pair]:
    """The same, `here` on PostgreSQL."""
    url = engines.by_name("postgresql").new(migrated=False)
    async with running_pair(tmp_path, database_url=url) as running:
        yield running
