"""Two whole installations in real processes, and a link between them that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.federated import Pair, running_pair


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """`here` without nodes, and `west` with one of eight simulated H100, not registered yet."""
    async with running_pair(tmp_path) as running:
        yield running
