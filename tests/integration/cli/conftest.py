from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from tests.support.fake_api import TOKEN, FakeControlPlane
from windlass_client import Client, RetryPolicy
from windlass_client.cli.main import app

# Restarts are waited for in milliseconds: what is tested is what happens, not how long it takes.
FAST = RetryPolicy(first_delay=0.001, max_delay=0.002)

Windlass = Callable[..., Result]


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    with FakeControlPlane() as plane:
        yield plane


@pytest.fixture
def client(plane: FakeControlPlane) -> Iterator[Client]:
    with Client(plane.address, TOKEN, retries=FAST) as client:
        yield client


@pytest.fixture
def windlass(plane: FakeControlPlane, monkeypatch, tmp_path) -> Windlass:
    """Runs a command line against the fake control plane, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    environment = {
        "WINDLASS_SERVER": plane.address,
        "WINDLASS_TOKEN": TOKEN,
        "WINDLASS_PROJECT": None,
        "WINDLASS_TOKEN_FILE": None,
        "TZ": "UTC",
    }

    def run(*arguments: str, input: bytes | None = None, **env: str | None) -> Result:  # noqa: A002
        return CliRunner(env=environment | env).invoke(app, list(arguments), input=input)

    return run
