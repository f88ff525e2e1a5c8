"""Debian's chromium, driven by playwright; without it these tests are skipped."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support.cluster import Cluster, running_cluster

_CHROMIUM = shutil.which("chromium")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if _CHROMIUM is None:
        pytest.skip("chromium is not installed")
    # As root in a container chromium has no sandbox of its own; it visits our pages only.
    flags = ["--no-sandbox", "--disable-gpu"]
    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=_CHROMIUM, args=flags)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A server without an agent."""
    folder: Path = tmp_path_factory.mktemp("server")
    async with running_cluster(folder, agent=False) as running:
        yield running
