import pytest

from tests.support.gateway import AsgiClient, sample_gateway

COOKIE = {"cookie": "a=b; windlass_token=t-1; c=d"}


@pytest.fixture
def client(sample_set, dispatcher):
    return AsgiClient(sample_gateway(sample_set, dispatcher, token_cookies=True))


def credential(dispatcher):
    (call, _) = dispatcher.calls[-1]
    return call.metadata.get("authorization")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        COOKIE,
        {"cookie": "windlass_token=t-1"},
        {"cookie": "__Host-windlass_token=t-1; windlass_token=other"},
        COOKIE | {"sec-fetch-site": "same-origin"},
        COOKIE | {"sec-fetch-site": "none"},
        [("cookie", "a=b"), ("cookie", "windlass_token=t-1")],
    ],
)
async def test_a_token_in_a_cookie_is_a_credential(client, dispatcher, method, headers):
    await client.request(method, "/v1/things/a", headers=headers)
    assert credential(dispatcher) == "Bearer t-1"


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "windlass_token="},
        {"cookie": "Windlass_Token=t-1"},
        {"cookie": "xwindlass_token=t-1"},
        {"cookie": "windlass_token=t 1"},
        {"cookie": 'windlass_token="t-1"'},
        {"cookie": "windlass_token=ä"},
        {"cookie": "windlass_token=" + "t" * 8193},
        {"cookie": "windlass_token=t-1; windlass_token=t-2"},
        [("cookie", "windlass_token=t-1"), ("cookie", "windlass_token=t-1")],
        COOKIE | {"sec-fetch-site": "cross-site"},
        COOKIE | {"sec-fetch-site": "same-site"},
        COOKIE | {"origin": "https://other.example"},
        {},
    ],
)
async def test_any_other_cookie_is_none(client, dispatcher, headers):
    await client.request("GET", "/v1/things/a", headers=headers)
    assert credential(dispatcher) is None


@pytest.mark.parametrize(
    ("line", "body"),
    [("PUT /v1/things/a", "{}"), ("POST /v1/things/a:touch", None), ("PURGE /v1/ping", None)],
)
async def test_a_cookie_changes_nothing(client, dispatcher, line, body):
    await client.request(*line.split(" "), body, headers=COOKIE)
    assert credential(dispatcher) is None


async def test_a_header_wins_over_the_cookie(client, dispatcher):
    headers = COOKIE | {"authorization": "Bearer t-2"}
    await client.request("GET", "/v1/things/a", headers=headers)
    assert credential(dispatcher) == "Bearer t-2"


async def test_cookies_count_only_where_they_are_switched_on(sample_set, dispatcher):
    client = AsgiClient(sample_gateway(sample_set, dispatcher))
    await client.request("GET", "/v1/things/a", headers=COOKIE)
    assert credential(dispatcher) is None
