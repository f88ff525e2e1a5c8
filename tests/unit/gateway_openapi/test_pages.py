"""`/docs`, `/openapi.json` and `/descriptors.binpb` over HTTP."""

import gzip
import re

import pytest

from tests.support.gateway import PLANNED, AsgiClient, FakeDispatcher, failure
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.discovery import Discovery
from windlass_server.gateway.http_rules import read_rules
from windlass_server.gateway.openapi.document import About
from windlass_server.gateway.transcoder import Transcoder

CONTRACT = ["/openapi.json", "/descriptors.binpb"]
ASSETS = ["/docs/page.css", "/docs/page.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]
PAGES = ["/docs", *ASSETS, *CONTRACT]

TYPES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/page.css": "text/css; charset=utf-8",
    "/docs/page.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/openapi.json": "application/json",
    "/descriptors.binpb": (
        "application/vnd.google.protobuf; proto=google.protobuf.FileDescriptorSet"
    ),
}


async def nobody(call):
    raise failure(16, "a credential is needed")


def gateway(descriptors, *, services=("sample.v1.CatalogService",), public=False, **options):
    return Gateway(
        descriptor_set=descriptors,
        services=list(services),
        dispatcher=FakeDispatcher(),
        planned_extension=PLANNED,
        domain="sample",
        discovery=Discovery(About("Catalog", "7"), public=public),
        **options,
    )


@pytest.fixture
def client(catalog_set):
    return AsgiClient(gateway(catalog_set))


@pytest.fixture
def closed(catalog_set):
    return AsgiClient(gateway(catalog_set, authenticate=nobody))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_answered_with_its_type_and_a_tag(path, client):
    answer = await client.request("GET", path)
    assert answer.status == 200
    assert answer.header("content-type") == TYPES[path]
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("content-encoding") is None
    assert re.fullmatch('"[0-9a-f]{32}"', answer.header("etag"))
    assert answer.body


@pytest.mark.parametrize("path", PAGES)
async def test_gzip_is_for_those_who_take_it_and_has_a_tag_of_its_own(path, client):
    plain = await client.request("GET", path)
    packed = await client.request("GET", path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert packed.header("content-length") == str(len(packed.body))
    assert packed.header("etag") == plain.header("etag")[:-1] + '-gzip"'
    assert "accept-encoding" in packed.header("vary")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_who_has_a_page_already_is_told_so(path, form, client):
    tag = (await client.request("GET", path)).header("etag")
    answer = await client.request("GET", path, headers={"if-none-match": form.format(tag)})
    assert (answer.status, answer.body) == (304, b"")
    assert answer.header("etag") == tag
    other = await client.request("GET", path, headers={"if-none-match": '"other"'})
    assert other.status == 200


async def test_head_is_get_without_its_body(client):
    same = {"x-request-id": "one"}
    got = await client.request("GET", "/openapi.json", headers=same)
    head = await client.request("HEAD", "/openapi.json", headers=same)
    assert (head.status, head.body) == (200, b"")
    assert head.headers == got.headers


@pytest.mark.parametrize("path", PAGES)
async def test_pages_follow_the_policies_of_every_route(path, client):
    options = await client.request("OPTIONS", path)
    assert (options.status, options.header("allow")) == (204, "GET, HEAD, OPTIONS")
    posted = await client.request("POST", path, "{}")
    assert (posted.status, posted.reason) == (405, "METHOD_NOT_ALLOWED")
    assert posted.header("allow") == "GET, HEAD, OPTIONS"
    assert (await client.request("GET", path + "/")).reason == "ROUTE_NOT_FOUND"
    asked = await client.request("GET", path + "?v=1")
    assert (asked.status, asked.reason) == (400, "UNKNOWN_PARAMETER")
    assert asked.violations == {"v": "there is no such parameter"}
    sent = await client.request("GET", path, b"{}", {"content-type": "application/json"})
    assert (sent.status, sent.reason) == (400, "BODY_NOT_ALLOWED")


async def test_the_openapi_page_is_that_of_the_served_contract(client):
    document = (await client.request("GET", "/openapi.json")).json
    assert document["info"]["title"] == "Catalog"
    assert "/v1/items" in document["paths"]
    assert "/v1/ruled" not in document["paths"]
    assert document["x-planned-routes"][0]["path"] == "/v1/items/{item_id}:burn"


async def test_the_descriptors_are_those_that_are_served(client, catalog_set):
    answer = await client.request("GET", "/descriptors.binpb")
    assert answer.body == catalog_set
    assert read_rules(Transcoder(answer.body).registry, ["sample.v1.CatalogService"])


@pytest.mark.parametrize("path", CONTRACT)
async def test_the_contract_is_for_callers_with_a_credential(path, closed):
    answer = await closed.request("GET", path)
    assert (answer.status, answer.json["code"]) == (401, 16)


@pytest.mark.parametrize("path", ["/docs", *ASSETS])
async def test_the_page_that_asks_for_one_is_for_everybody(path, closed):
    assert (await closed.request("GET", path)).status == 200
    assert (await closed.request("POST", path)).status == 401


@pytest.mark.parametrize("path", CONTRACT)
async def test_a_public_contract_is_for_everybody(path, catalog_set):
    client = AsgiClient(gateway(catalog_set, public=True, authenticate=nobody))
    answer = await client.request("GET", path)
    assert answer.status == 200
    assert answer.header("cache-control") == "no-cache"


async def test_caches_keep_a_contract_that_is_not_public_to_its_reader(client):
    answer = await client.request("GET", "/openapi.json")
    assert answer.header("cache-control") == "private, no-cache"
    assert answer.header("vary") == "accept-encoding, authorization"


async def test_a_contract_with_such_a_path_of_its_own_keeps_it(catalog_set, caplog):
    caplog.set_level("INFO")
    client = AsgiClient(gateway(catalog_set, services=["sample.v1.ClashingService"]))
    assert (await client.request("GET", "/docs")).json["item_id"] == ""
    assert (await client.request("GET", "/openapi.json")).json["info"]["title"] == "Catalog"
    assert "takes the place of the gateway's own /docs" in caplog.text


async def test_a_page_wins_over_a_wildcard(catalog_set):
    client = AsgiClient(gateway(catalog_set, services=["sample.v1.ClashingService"]))
    assert (await client.request("GET", "/other")).json["item_id"] == "other"
    assert "openapi" in (await client.request("GET", "/openapi.json")).json


async def test_a_gateway_that_tells_nothing_has_none_of_them(catalog_set):
    client = AsgiClient(
        Gateway(
            descriptor_set=catalog_set,
            services=["sample.v1.CatalogService"],
            dispatcher=FakeDispatcher(),
        )
    )
    for path in PAGES:
        assert (await client.request("GET", path)).status == 404


async def test_the_page_takes_nothing_from_other_hosts_and_runs_no_inline_script(client):
    answer = await client.request("GET", "/docs")
    policy = answer.header("content-security-policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    html = answer.body.decode()
    assert not re.search(r"https?://|<style|\son\w+=|style=", html)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert all("src=" in attributes and not content for attributes, content in scripts)
    linked = set(re.findall(r'(?:src|href)="(docs/[^"]+)"', html))
    assert {f"/{path}" for path in linked} == set(ASSETS)


async def test_the_tag_is_the_same_for_every_server_of_a_contract(catalog_set):
    clients = [AsgiClient(gateway(catalog_set)) for _ in range(2)]
    tags = {(await client.request("GET", "/openapi.json")).header("etag") for client in clients}
    assert len(tags) == 1
