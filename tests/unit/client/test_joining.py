import base64
import hashlib
import ssl

import pytest

from tests.support.certificates import self_signed
from windlass_client.cli.joining import fingerprints, reach
from windlass_client.errors import InvalidArgument
from windlass_client.settings import Settings


@pytest.fixture
def ca(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(self_signed()[1])
    return path


def pin(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.parametrize(
    ("server", "flags"),
    [
        ("127.0.0.1:50051", ["--server", "127.0.0.1:50051"]),
        ("http://windlass.internal:50051", ["--server", "windlass.internal:50051", "--insecure"]),
        ("windlass.internal:443", ["--server", "windlass.internal:443"]),
        ("https://[::1]:443", ["--server", "[::1]:443"]),
    ],
)
def test_an_agent_reaches_the_server_as_the_client_does(server, flags):
    assert reach(Settings(server=server)) == flags


def test_the_authority_that_the_client_trusts_is_pinned(ca):
    settings = Settings(server="windlass.internal:443", ca_file=ca)
    assert reach(settings)[2:] == ["--ca-pin", f"sha256:{pin(ca.read_text())}"]
    name, data = reach(settings, embed_ca=True)[2:]
    assert (name, base64.b64decode(data)) == ("--ca-data", ca.read_bytes())
    assert reach(Settings(server="http://windlass.internal:443", ca_file=ca))[2:] == ["--insecure"]


def test_every_certificate_of_a_file_is_pinned_whatever_stands_around_it():
    one, two = (self_signed()[1].decode() for _ in range(2))
    assert fingerprints(f"our CA\n{one}\nthe old one:\n{two}bye") == [pin(one), pin(two)]


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", b"\xff"],
)
def test_a_file_that_is_no_ca_is_refused(tmp_path, content):
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as refused:
        reach(Settings(server="windlass.internal:443", ca_file=path))
    assert refused.value.reason == "BAD_CA_FILE"
