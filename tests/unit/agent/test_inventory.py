"""Where other nodes reach this one."""

import ipaddress
import socket

import pytest

from windlass_agent import inventory
from windlass_agent.config import ConfigError, load_config
from windlass_agent.inventory import address_towards


def test_beside_a_server_of_the_same_machine_it_is_by_what_it_reaches_everything_else(monkeypatch):
    sources = {"127.0.0.1": "127.0.0.1", "192.0.2.1": "10.1.2.3"}
    monkeypatch.setattr(inventory, "_source_address", lambda host, _port: sources[host])
    assert address_towards("127.0.0.1:1") == "10.1.2.3"


def test_without_any_network_it_is_reached_on_this_machine_alone(monkeypatch):
    sources = {"127.0.0.1": "127.0.0.1", "192.0.2.1": None}
    monkeypatch.setattr(inventory, "_source_address", lambda host, _port: sources[host])
    assert address_towards("127.0.0.1:1") == "127.0.0.1"


def test_where_the_server_is_not_known_yet_it_is_reached_by_its_name(monkeypatch):
    monkeypatch.setattr(inventory, "_source_address", lambda _host, _port: None)
    assert address_towards("nowhere:1") == socket.gethostname()


@pytest.mark.parametrize("server", ["127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_it_is_an_address_of_this_machine(server):
    found = address_towards(server)
    with socket.socket(_family(found), socket.SOCK_DGRAM) as probe:
        probe.bind((found, 0))


def _family(address: str) -> int:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


@pytest.mark.parametrize("bad", ["", "a b", "a,b", "-a", "a\n", "x" * 300])
def test_what_is_no_host_is_refused(bad):
    with pytest.raises(ConfigError, match="address"):
        load_config(["--server", "127.0.0.1:1", "--address", bad], {})
