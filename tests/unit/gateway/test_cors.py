import pytest

from tests.support.gateway import AsgiClient, failure, sample_gateway
from windlass_server.config import load
from windlass_server.errors import BadConfiguration
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.origins import is_origin

CONSOLE = "https://console.example"
OTHER = "https://other.example"
ASK = {"access-control-request-method": "PUT"}
OF_CORS = "access-control-"


@pytest.fixture
def client(sample_set, dispatcher):
    async def refuse(call):
        if call.metadata.get("authorization") != "Bearer t":
            raise failure(16, "who are you?")

    gateway = sample_gateway(sample_set, dispatcher, authenticate=refuse)
    return AsgiClient(Cors(gateway, [CONSOLE, "http://localhost:5173"]))


def of_cors(answer):
    return {name: value for name, value in answer.headers if name.startswith(OF_CORS)}


@pytest.mark.parametrize("origin", [CONSOLE, "http://localhost:5173"])
@pytest.mark.parametrize("path", ["/v1/things/a", "/nothing"])
async def test_a_preflight_is_answered_without_a_credential(client, dispatcher, origin, path):
    headers = {"origin": origin, **ASK, "access-control-request-headers": "authorization, x-a"}
    answer = await client.request("OPTIONS", path, headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    assert of_cors(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "authorization, x-a",
        "access-control-max-age": "600",
    }
    assert "origin" in answer.header("vary")
    assert dispatcher.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"access-control-request-method": "P UT"},
        {"access-control-request-method": "PUT", "access-control-request-headers": "a\r\nb: c"},
    ],
)
async def test_what_a_preflight_asks_for_is_not_echoed_when_it_is_no_token(client, headers):
    answer = await client.request("OPTIONS", "/", headers={"origin": CONSOLE, **headers})
    assert answer.status == 204
    assert not [value for _, value in answer.headers if "\r" in value or "P UT" in value]


async def test_an_answer_names_the_origin_and_what_may_be_read(client, dispatcher):
    dispatcher.response_metadata = {"x-request-id": "r", "x-rate": "5"}
    headers = {"origin": CONSOLE, "authorization": "Bearer t"}
    answer = await client.request("GET", "/v1/things/a", headers=headers)
    assert answer.json["name"] == "a"
    assert of_cors(answer) == {
        "access-control-allow-origin": CONSOLE,
        "access-control-expose-headers": "x-rate, x-request-id",
    }
    assert ("vary", "origin") in answer.headers


@pytest.mark.parametrize(("method", "status"), [("GET", 401), ("OPTIONS", 401)])
async def test_an_error_can_be_read_by_the_page_too(client, method, status):
    answer = await client.request(method, "/v1/things/a?text=b", headers={"origin": CONSOLE})
    assert answer.status == status
    assert of_cors(answer)["access-control-allow-origin"] == CONSOLE
    assert "www-authenticate" in of_cors(answer)["access-control-expose-headers"]


async def test_options_that_is_no_preflight_has_allow(client):
    headers = {"origin": CONSOLE, "authorization": "Bearer t"}
    answer = await client.request("OPTIONS", "/v1/things/a", headers=headers)
    assert (answer.status, answer.header("allow")) == (204, "GET, HEAD, OPTIONS, PATCH, PUT")


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", OTHER)],
        [("origin", "null")],
        [("origin", CONSOLE + ".evil.example")],
        [("origin", CONSOLE.upper())],
        [("origin", CONSOLE), ("origin", CONSOLE)],
        [],
    ],
)
async def test_other_origins_get_nothing_of_it(client, headers):
    token = ("authorization", "Bearer t")
    answer = await client.request("GET", "/v1/things/a", headers=[*headers, token])
    assert (answer.status, of_cors(answer)) == (200, {})
    assert ("vary", "origin") in answer.headers, "a cache must not give it to the others either"
    preflight = await client.request("OPTIONS", "/v1/things/a", headers=[*headers, *ASK.items()])
    assert (preflight.status, of_cors(preflight)) == (401, {})


async def test_any_origin_may_be_allowed_and_never_with_credentials(sample_set, dispatcher):
    client = AsgiClient(Cors(sample_gateway(sample_set, dispatcher), ["*"]))
    for headers in ({"origin": OTHER}, {"origin": "null", "cookie": "a=b"}):
        answer = await client.request("GET", "/v1/things/a", headers=headers)
        assert of_cors(answer)["access-control-allow-origin"] == "*"
        assert answer.header("access-control-allow-credentials") is None


async def test_streams_are_shared_too(client, dispatcher):
    headers = {"origin": CONSOLE, "authorization": "Bearer t", "accept": "text/event-stream"}
    answer = await client.request("GET", "/v1/watch/t", headers=headers)
    assert answer.header("access-control-allow-origin") == CONSOLE


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://a.example", True),
        ("http://localhost:5173", True),
        ("http://[::1]:80", True),
        ("app://x", True),
        ("*", True),
        ("https://a.example/", False),
        ("https://A.example", False),
        ("a.example", False),
        ("null", False),
        ("", False),
        ("https://a.example:port", False),
        ("https://*.example", False),
        ("https://a.example, https://b.example", False),
    ],
)
def test_what_an_origin_is(text, is_one):
    assert is_origin(text) is is_one
    if is_one:
        assert load(None, {"WINDLASS_CORS_ORIGINS": f'["{text}"]'}, {}).cors_origins == (text,)
    else:
        with pytest.raises(BadConfiguration, match=r"cors_origins: .*origin"):
            load(None, {"WINDLASS_CORS_ORIGINS": f'["{text}"]'}, {})
