"""What `windlass gateway` tells of a contract that is not ours."""

import httpx
import pytest

from tests.support.cluster import Process
from tests.support.contracts import HEALTH_RULES, health_contract
from tests.support.openapi import operations


@pytest.fixture
def health(tmp_path):
    """gRPC's health service with HTTP rules; nothing has to answer its calls here."""
    (tmp_path / "rules.yaml").write_text(HEALTH_RULES)
    return (
        "--descriptors",
        str(health_contract(tmp_path)),
        "--http-rules",
        str(tmp_path / "rules.yaml"),
    )


async def started(*flags):
    return await Process.start(
        "-m",
        "windlass_server.gateway",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:9",
        *flags,
    )


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
async def test_it_tells_of_a_foreign_contract(health, server):
    process = await started(*health, "--http-server", server)
    try:
        base = (await process.says(r"serves \d+ routes at (http://\S+), from"))[1]
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            document = (await client.get("/openapi.json")).json()
            assert document["info"]["title"] == "grpc.health"
            assert document["info"]["version"] == "v1"
            assert sorted((method, path) for method, path, _ in operations(document)) == [
                ("GET", "/v1/health"),
                ("GET", "/v1/health/{service}"),
                ("GET", "/v1/health/{service}:watch"),
            ]
            page = await client.get("/docs", headers={"accept-encoding": "gzip"})
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert "docs/swagger-ui-bundle.js" in page.text
            script = await client.get("/docs/swagger-ui-bundle.js")
            assert "SwaggerUIBundle" in script.text
            known = {"if-none-match": script.headers["etag"]}
            assert (
                await client.get("/docs/swagger-ui-bundle.js", headers=known)
            ).status_code == 304
            descriptors = await client.get("/descriptors.binpb")
            assert b"grpc.health.v1" in descriptors.content
    finally:
        await process.kill()


async def test_it_tells_nothing_when_it_is_told_so(health):
    process = await started(*health, "--no-docs")
    try:
        base = (await process.says(r"serves \d+ routes at (http://\S+), from"))[1]
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            for path in ("/docs", "/openapi.json", "/descriptors.binpb", "/docs/page.js"):
                assert (await client.get(path)).status_code == 404
    finally:
        await process.kill()
