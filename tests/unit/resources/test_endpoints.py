"""Addresses of other installations."""

import pytest

from windlass_server.resources.endpoints import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "address", "tls", "local"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False, True),
        ("localhost:50051", "localhost:50051", False, True),
        ("[::1]:50051", "[::1]:50051", False, True),
        ("https://localhost:1", "localhost:1", True, True),
        # Across a network nothing goes in the clear unless somebody says so.
        ("west.example:50051", "west.example:50051", True, False),
        ("10.0.0.7:50051", "10.0.0.7:50051", True, False),
        ("https://west.example:443/", "west.example:443", True, False),
        ("http://west.example:50051", "west.example:50051", False, False),
        ("[2001:db8::1]:50051", "[2001:db8::1]:50051", True, False),
    ],
)
def test_an_address_says_where_and_whether_encrypted(text, address, tls, local):
    assert parse_endpoint(text) == Endpoint(address, tls=tls, local=local)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "west",
        "west:",
        ":50051",
        "west:0",
        "west:65536",
        "west:٣",
        "ftp://west:1",
        "unix:/run/windlass.sock",
        "::1:50051",
        "[::1:50051",
        "[west]:1x",
        "https://user@west:1",
        "https://west:1/path",
        "-west:1",
        "dns:///west:50051",
    ],
)
def test_what_is_no_address_is_none(text):
    assert parse_endpoint(text) is None
