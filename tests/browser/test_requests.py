"""What pages send: forms with files, and requests from other origins."""

import base64
import hashlib
import os

import pytest

from tests.support.sample_process import sample_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

UPLOAD = """
async ([base, data]) => {
  const form = new FormData();
  form.append("version", "7");
  form.append("file", new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], "bäh \\".bin",
                               {type: "image/png"}));
  const answer = await fetch(base + "/v1/blobs/b", {method: "POST", body: form});
  return [answer.status, await answer.json()];
}
"""
ASK = """
async (base) => {
  try {
    const answer = await fetch(base + "/v1/blobs/none", {
      headers: {authorization: "Bearer x", "x-other": "y"}});
    return [answer.status, answer.headers.get("x-request-id") !== null];
  } catch (error) { return [error.name, false]; }
}
"""


@pytest.fixture(params=["granian", "uvicorn"])
def http_server(request):
    return request.param


async def test_a_form_with_a_file_arrives_whole(page, http_server):
    data = os.urandom(1_000_000)
    with sample_process("--http-server", http_server) as process:
        await page.goto(f"{process.base}/v1/rooms/r:follow?count=0")
        status, blob = await page.evaluate(
            UPLOAD, [process.base, base64.b64encode(data).decode("ascii")]
        )
    assert status == 200
    assert blob["sha256"] == hashlib.sha256(data).hexdigest()
    assert (blob["version"], blob["content_type"]) == (7, "image/png")
    assert blob["filename"] == "bäh %22.bin", "as browsers write a quote"


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_page_of_another_origin_may_ask_when_it_is_listed(page, http_server, allowed):
    with sample_process() as other:
        origin = other.base if allowed else "https://console.example"
        with sample_process("--http-server", http_server, "--cors-origin", origin) as process:
            await page.goto(f"{other.base}/v1/rooms/r:follow?count=0")
            seen = await page.evaluate(ASK, process.base)
    assert seen == ([404, True] if allowed else ["TypeError", False])
