"""Every store is tested on both engines."""

from pathlib import Path

import pytest

from tests.support.access import Access, start_access
from tests.support.databases import acting, database, database_url, engines
from windlass_server.storage.engine import Database

__all__ = ["acting", "database", "database_url", "engines"]


@pytest.fixture
async def access(database: Database, tmp_path: Path) -> Access:
    """The access area of a fresh installation."""
    return await start_access(database, tmp_path)
