"""The page at `/docs` as a person uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Page, expect

from tests.support.openapi import operations

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST_JOBS = "#operations-JobsService-JobsService_ListJobs"


@dataclass
class Visit:
    """A page, and what went wrong on it.

    Attributes:
        page: the page, just loaded.
        problems: errors of scripts, refused by the page's own policy or otherwise.
        elsewhere: requests to other hosts.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    async def sign_in(self, token):
        await self.page.get_by_label("API key or token").fill(token)
        await self.page.get_by_role("button", name="Show the API").click()


@asynccontextmanager
async def visit(browser, server, **options) -> AsyncIterator[Visit]:
    context = await browser.new_context(**options)
    try:
        page = await context.new_page()
        visited = Visit(page)
        ours = (f"http://{server.http}", "data:", "blob:")
        page.on("pageerror", lambda error: visited.problems.append(str(error)))
        page.on(
            "console",
            lambda said: visited.problems.append(said.text) if _is_problem(said) else None,
        )
        page.on(
            "request",
            lambda sent: None if sent.url.startswith(ours) else visited.elsewhere.append(sent.url),
        )
        await page.goto(f"http://{server.http}/docs")
        yield visited
        assert not visited.problems
        assert not visited.elsewhere
    finally:
        await context.close()


def _is_problem(said):
    """Whether an error was said, other than that the server asked for a credential."""
    return said.type == "error" and "401 (Unauthorized)" not in said.text


async def test_it_asks_for_a_credential_and_then_shows_every_call(browser, server):
    async with visit(browser, server) as visited:
        page = visited.page
        await expect(page.get_by_text("This API asks for a credential")).to_be_visible()
        await visited.sign_in(server.token)
        async with server.rest() as rest:
            document = (await rest.get("/openapi.json")).json()
        await expect(page.locator(".opblock")).to_have_count(len(list(operations(document))))
        await expect(page.get_by_text("This API asks for a credential")).to_be_hidden()
        assert await page.title() == "windlass API"


async def test_it_says_that_a_credential_is_not_taken(browser, server):
    async with visit(browser, server) as visited:
        await visited.sign_in("wrong")
        await expect(visited.page.get_by_role("alert")).to_have_text(
            "The server does not take this credential."
        )
        await expect(visited.page.locator(".opblock")).to_have_count(0)


async def test_a_call_can_be_tried_with_that_credential(browser, server):
    async with visit(browser, server) as visited:
        await visited.sign_in(server.token)
        operation = visited.page.locator(LIST_JOBS)
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        await operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        await expect(answer.locator("tbody .response-col_status")).to_have_text("200")
        await expect(answer).to_contain_text("next_page_token")


async def test_the_credential_outlives_a_reload_and_is_forgotten_when_told(browser, server):
    async with visit(browser, server) as visited:
        page = visited.page
        await visited.sign_in(server.token)
        await expect(page.locator(".opblock").first).to_be_visible()
        await page.reload()
        await expect(page.locator(".opblock").first).to_be_visible()
        await page.get_by_role("button", name="Forget credential").click()
        await expect(page.get_by_text("This API asks for a credential")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_the_descriptors_are_downloaded_with_the_credential(browser, server):
    async with visit(browser, server) as visited:
        page = visited.page
        await visited.sign_in(server.token)
        await expect(page.locator(".opblock").first).to_be_visible()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="Descriptors").click()
        download = await downloading.value
        assert download.suggested_filename == "descriptors.binpb"
        async with server.rest() as rest:
            wanted = (await rest.get("/descriptors.binpb")).content
        assert (await download.path()).read_bytes() == wanted


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
async def test_it_is_dark_where_the_person_likes_it_so(scheme, is_dark, browser, server):
    async with visit(browser, server, color_scheme=scheme) as visited:
        await visited.sign_in(server.token)
        heading = visited.page.locator(".swagger-ui .info h1")
        await expect(heading).to_be_visible()
        page_color = await visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
        text_color = await heading.evaluate("element => getComputedStyle(element).color")
        assert _is_dark(page_color) is is_dark
        assert _is_dark(text_color) is not is_dark


def _is_dark(color):
    """Whether a CSS color is nearer to black."""
    numbers = [float(each) for each in color[color.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) < 3 * 128
