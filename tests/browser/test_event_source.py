"""A browser's `EventSource` follows a log of the real server."""

import signal

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINES = 400
PRINT = f"for number in $(seq {LINES}); do echo line $number; sleep 0.05; done"

# The whole of what a page needs.
FOLLOW = """
([token, url]) => {
  document.cookie = `windlass_token=${token}; path=/v1; samesite=strict`;
  const seen = window.seen = {text: "", messages: 0, reconnects: -1, errors: [], end: null};
  const source = window.source = new EventSource(url);
  source.onopen = () => { seen.reconnects += 1; };
  source.onmessage = (event) => {
    const message = JSON.parse(event.data);
    seen.messages += 1;
    if (message.chunk) seen.text += message.chunk.text;
  };
  source.addEventListener("error", (event) => {
    if (event.data) seen.errors.push(JSON.parse(event.data).details[0].reason);
  });
  source.addEventListener("end", () => { seen.end = source.readyState; source.close(); });
}
"""


def blank(address):
    """A page of the API's origin; any answer will do, such as a refusal."""
    return f"http://{address}/v1/jobs"


async def follow(page, cluster, job_id):
    await page.goto(blank(cluster.http))
    await page.evaluate(FOLLOW, [cluster.token, f"/v1/jobs/{job_id}/logs?follow=true"])


async def until(page, condition):
    await page.wait_for_function(condition, polling=50)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_log_is_followed_over_restarts_without_a_line_lost_or_doubled(
    page, cluster: Cluster, how
):
    job = await cluster.submit("sh", "-c", PRINT)
    await follow(page, cluster, job.job_id)
    for restart in (1, 2):
        await until(page, f"seen.text.split('\\n').length > {restart * 60}")
        await cluster.server.kill(how)
        await until(page, "source.readyState === EventSource.CONNECTING")
        await cluster.start_server()
        await until(page, f"seen.reconnects === {restart}")
    await until(page, "seen.end !== null")
    seen = await page.evaluate("seen")
    assert seen["text"] == "".join(f"line {number}\n" for number in range(1, LINES + 1))
    assert seen["end"] == 1, "the end came over an open connection, not by an error"
    assert seen["errors"] == (["SERVER_STOPPING"] * 2 if how is signal.SIGTERM else [])


async def test_without_the_cookie_nothing_is_told(page, cluster: Cluster):
    job = await cluster.submit("echo", "hello")
    await page.goto(blank(cluster.http))
    url = f"/v1/jobs/{job.job_id}/logs?follow=true"
    await page.evaluate("(url) => { window.source = new EventSource(url); }", url)
    await until(page, "source.readyState === EventSource.CLOSED")


async def test_the_cookie_changes_nothing_and_stays_at_home(page, context, cluster: Cluster):
    job = await cluster.submit("echo", "hello")
    url = f"http://{cluster.http}/v1/jobs/{job.job_id}"
    await follow(page, cluster, job.job_id)
    statuses = await page.evaluate(
        """async (url) => [
            (await fetch(url)).status,
            (await fetch(url + "/status", {method: "PATCH", body: '{"action":"CANCEL"}'})).status,
        ]""",
        url,
    )
    assert statuses == [200, 401]
    # The same machine under another name is another site.
    other = await context.new_page()
    await other.goto(blank(f"localhost:{cluster.http.rpartition(':')[2]}"))
    failed = await other.evaluate(
        """(url) => new Promise((resolve) => {
            const source = new EventSource(url, {withCredentials: true});
            source.onerror = () => resolve(source.readyState);
            source.onmessage = () => resolve("told");
        })""",
        url + "/logs?follow=true",
    )
    assert failed == 2
