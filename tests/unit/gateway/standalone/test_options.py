"""The flags of `windlass gateway`."""

import pytest

from windlass_server.gateway.serving import Address
from windlass_server.gateway.standalone.options import parse

GOOD = ("--descriptors", "api.binpb", "--upstream", "127.0.0.1:50051")


def test_without_flags_json_is_that_of_the_server():
    options = parse(GOOD)
    assert (options.proto_names, options.print_defaults) == (True, True)
    assert options.listen == Address("127.0.0.1", 8080)
    assert options.services == ()
    assert options.health_path is None


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--services", "a.B, c.D,,a.B"], "services", ("a.B", "c.D")),
        (["--json-names", "json"], "proto_names", False),
        (["--omit-defaults"], "print_defaults", False),
        (["--listen", "[::1]:0"], "listen", Address("::1", 0)),
        (["--timeout", "1.5"], "timeout", 1.5),
        (["--max-body-bytes", "10"], "max_body_bytes", 10),
        (["--upstream-ca", "ca.pem"], "tls", True),
        (
            ["--cors-origin", "https://a.example", "--cors-origin", "*"],
            "cors_origins",
            ("https://a.example", "*"),
        ),
        (["--upstream-tls"], "tls", True),
        (["--plaintext"], "tls", False),
    ],
)
def test_a_flag_is_read(flags, name, value):
    assert getattr(parse([*GOOD, *flags]), name) == value


@pytest.mark.parametrize(
    "upstream", ["localhost:1", "127.8.8.8:1", "[::1]:1", "unix:/run/a.sock", "unix-abstract:a"]
)
def test_an_upstream_on_this_machine_needs_no_tls(upstream):
    assert not parse(["--descriptors", "x", "--upstream", upstream]).tls


@pytest.mark.parametrize(
    "upstream",
    ["api:443", "127.evil.example:443", "localhost.example:1", "dns:///a:1", "10.0.0.1:1"],
)
def test_an_upstream_elsewhere_needs_tls_or_a_clear_word(upstream, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(["--descriptors", "x", "--upstream", upstream])
    assert ended.value.code == 2
    assert "--plaintext" in capsys.readouterr().err
    parse(["--descriptors", "x", "--upstream", upstream, "--plaintext"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--descriptors"),
        (["--descriptors", "x"], "--upstream"),
        ([*GOOD, "--nonsense"], "--nonsense"),
        ([*GOOD, "--listen", "8080"], "HOST:PORT"),
        ([*GOOD, "--listen", "a:99999"], "HOST:PORT"),
        ([*GOOD, "--upstream", "localhost"], "HOST:PORT"),
        ([*GOOD, "--timeout", "0"], "--timeout"),
        ([*GOOD, "--timeout", "nan"], "--timeout"),
        ([*GOOD, "--timeout", "1s"], "--timeout"),
        ([*GOOD, "--grace", "-1"], "--grace"),
        ([*GOOD, "--max-body-bytes", "4MB"], "--max-body-bytes"),
        ([*GOOD, "--health-path", "healthz"], "--health-path"),
        ([*GOOD, "--json-names", "snake"], "--json-names"),
        ([*GOOD, "--print-defaults", "--omit-defaults"], "--omit-defaults"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(flags, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(flags)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("windlass gateway: ")
    assert words in said
    assert said.count("\n") == 1
