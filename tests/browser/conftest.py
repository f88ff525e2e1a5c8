"""Debian's chromium, driven by playwright; without it these tests are skipped."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

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


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> Page:
    page = await context.new_page()
    page.set_default_timeout(60_000)
    return page


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server and an agent of a test's own."""
    async with running_cluster(tmp_path) as running:
        yield running
