import pytest

from tests.support.databases import acting, database, database_url, engines
from windlass_server.storage.engine import Database

__all__ = ["acting", "database", "database_url", "engines"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first, seeds = (metafunc.config.getoption(name) for name in ("first_seed", "seeds"))
        metafunc.parametrize("seed", range(first, first + seeds))


@pytest.fixture
def steps(request: pytest.FixtureRequest, database: Database) -> int:
    """How much happens; PostgreSQL, which is slower at it, has half of that."""
    wanted = int(request.config.getoption("steps"))
    return wanted if database.name == "sqlite" else wanted // 2
