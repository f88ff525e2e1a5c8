import pytest

from windlass_client import InvalidArgument, Settings
from windlass_client.settings import Target, parse_server


@pytest.mark.parametrize(
    ("server", "address", "tls", "local"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False, True),
        ("localhost", "localhost:50051", False, True),
        ("[::1]:7", "[::1]:7", False, True),
        ("::1", "[::1]:50051", False, True),
        ("unix:/run/windlass.sock", "unix:/run/windlass.sock", False, True),
        ("gpu.example.com:443", "gpu.example.com:443", True, False),
        ("10.0.0.5", "10.0.0.5:50051", True, False),
        ("http://10.0.0.5:50051", "10.0.0.5:50051", False, False),
        ("https://localhost:8443/", "localhost:8443", True, True),
        ("grpcs://a.example", "a.example:50051", True, False),
    ],
)
def test_an_address_is_plaintext_on_this_machine_and_tls_elsewhere(server, address, tls, local):
    assert parse_server(server) == Target(address, tls=tls, local=local)


@pytest.mark.parametrize(
    "server",
    ["", ":50051", "host:port", "ftp://host", "http://", "a b:x", "h:0", "h:65536", "h:٨٠"],
)
def test_what_is_no_address_is_refused(server):
    with pytest.raises(InvalidArgument) as refused:
        parse_server(server)
    assert refused.value.reason == "BAD_SERVER_ADDRESS"


def test_arguments_win_over_the_environment():
    env = {"WINDLASS_SERVER": "a:1", "WINDLASS_TOKEN": "env", "WINDLASS_PROJECT": "p"}
    assert Settings.load(environ=env) == Settings("a:1", "env", "p")
    assert Settings.load(server="b:2", token="t", project="q", environ=env) == Settings(
        "b:2", "t", "q"
    )


def test_a_named_token_file_is_read_whichever_the_server(tmp_path):
    file = tmp_path / "token"
    file.write_text("secret\n")
    env = {"WINDLASS_TOKEN_FILE": str(file)}
    assert Settings.load(environ=env).token == "secret"
    assert Settings.load(server="gpu.example.com:443", environ=env).token == "secret"
    assert Settings.load(environ=env | {"WINDLASS_TOKEN": "direct"}).token == "direct"


def test_a_token_that_was_only_found_here_is_sent_nowhere_else(tmp_path):
    file = tmp_path / "admin.token"
    file.write_text("secret\n")
    assert Settings.load(environ={}, token_files=(file,)).token == "secret"
    elsewhere = Settings.load(server="gpu.example.com:443", environ={}, token_files=(file,))
    assert elsewhere.token is None


def test_a_named_token_file_must_be_readable_but_a_customary_one_may_be_absent(tmp_path):
    absent = tmp_path / "absent"
    with pytest.raises(InvalidArgument, match="WINDLASS_TOKEN_FILE"):
        Settings.load(environ={"WINDLASS_TOKEN_FILE": str(absent)})
    assert Settings.load(environ={}, token_files=(absent,)).token is None
    absent.write_text("here")
    assert Settings.load(environ={}, token_files=(absent,)).token == "here"


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ünicode"])
def test_a_token_that_cannot_travel_in_a_header_is_refused_without_being_shown(token):
    with pytest.raises(InvalidArgument) as refused:
        Settings.load(token=token, environ={})
    assert token not in str(refused.value)


def test_settings_do_not_show_the_token():
    assert "hush" not in repr(Settings(token="hush"))
