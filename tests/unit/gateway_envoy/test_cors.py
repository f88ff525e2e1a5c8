"""What the configuration says of pages of other origins."""

from dataclasses import replace

from tests.unit.gateway_envoy.conftest import FRONT, SERVICES
from tests.unit.gateway_envoy.test_config import manager, routes
from windlass_server.gateway.envoy.bootstrap import bootstrap


def configured(sample_set, *origins):
    return bootstrap(sample_set, SERVICES, replace(FRONT, cors_origins=origins))


def test_without_origins_there_is_nothing_of_it(config):
    assert "cors" not in manager(config)["http_filters"][0]["name"]
    assert routes(config)[0]["name"].startswith("gRPC ")


def test_preflights_are_answered_before_all_else(sample_set):
    config = configured(sample_set, "https://a.example", "https://b.example:8443")
    assert manager(config)["http_filters"][0]["name"] == "windlass.cors"
    preflight = routes(config)[0]
    (origin,) = (one for one in preflight["match"]["headers"] if one["name"] == "origin")
    assert origin["string_match"]["safe_regex"]["regex"] == (
        r"https://a\.example|https://b\.example:8443"
    )
