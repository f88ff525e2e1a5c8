"""HTTP/2 at both front ends, by curl: the same as HTTP/1.1, also where an answer has no body."""

import asyncio

import pytest

from tests.differential.backend import Script
from tests.differential.lab import Lab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def curl(address: str, *arguments: str) -> tuple[str, str]:
    """The status and the body of an answer over HTTP/2."""
    command = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "10"]
    target, *flags = arguments
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--write-out", "\n%{http_version} %{http_code}"),
        *flags,
        f"http://{address}{target}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    body, _, end = out.decode().rpartition("\n")
    version, status = end.split()
    assert version == "2"
    return status, body


@pytest.mark.parametrize(
    ("target", "flags", "status", "words"),
    [
        ("/v1/things/x", (), "200", '"name":"x"'),
        ("/v1/things/x?name=y", (), "400", "CONFLICTING_PARAMETER"),
        ("/v1/things/x", ("--request", "DELETE"), "405", "METHOD_NOT_ALLOWED"),
        ("/v1/watch/t", ("--header", "accept: text/event-stream"), "200", 'data: {"cursor":"1"'),
        (
            "/v1/things/x",
            ("--request", "PUT", "--json", '{"text": "t"}'),
            "200",
            '"text":"t"',
        ),
    ],
)
async def test_a_request_is_answered(lab: Lab, target, flags, status, words):
    lab.backend.expect(Script(items=({"cursor": "1"},)))
    for address in (lab.gateway, lab.envoy):
        found, body = await curl(address, target, *flags)
        assert found == status
        assert words in body


@pytest.mark.parametrize("target", ["/v1/things/x", "/v1/whole/f", "/nowhere"])
async def test_head_is_answered_without_a_body(lab: Lab, target):
    lab.backend.expect(Script())
    for address in (lab.gateway, lab.envoy):
        status, head = await curl(address, target, "--head")
        assert status == ("404" if target == "/nowhere" else "200")
        assert "{" not in head
