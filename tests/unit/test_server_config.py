"""What the server takes from its environment."""

import pytest

from windlass_server.config import ServerConfig, load
from windlass_server.errors import BadConfiguration

OF_OTHERS = (
    "WINDLASS_SERVER",
    "WINDLASS_TOKEN",
    "WINDLASS_TOKEN_FILE",
    "WINDLASS_PROJECT",
    "WINDLASS_CA_FILE",
    "WINDLASS_JOIN_TOKEN",
    "WINDLASS_AGENT_SERVER",
    "WINDLASS_AGENT_DATA_DIR",
    "WINDLASS_AGENT_ANYTHING",
    "WINDLASS_JOB_ID",
    "WINDLASS_JOB_NAME",
    "WINDLASS_RUN_ID",
    "WINDLASS_ATTEMPT",
    "HOME",
)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_variables_of_clients_agents_and_tasks_are_left_alone(name: str):
    assert load(None, {name: "nonsense"}, {}) == load(None, {}, {})


@pytest.mark.parametrize("name", ["WINDLASS_NONSENSE", "WINDLASS_AGENTS", "WINDLASS_"])
def test_unknown_variables_are_refused_by_name(name: str):
    key = name.removeprefix("WINDLASS_").lower()
    with pytest.raises(BadConfiguration, match=f"unknown key '{key}'"):
        load(None, {name: "1"}, {})


def test_the_environment_wins_over_the_file_and_flags_over_both(tmp_path):
    file = tmp_path / "windlass.toml"
    file.write_text('http = "file:1"\ngrpc = "file:2"\nlog_level = "debug"\n')
    environment = {"WINDLASS_GRPC": "environment:2", "WINDLASS_HTTP": "environment:1"}
    config = load(file, environment, {"http": "flag:1", "grpc": None})
    assert (config.http, config.grpc, config.log_level) == ("flag:1", "environment:2", "debug")


def test_pools_can_be_given_by_a_variable():
    pool = '{"name": "h100", "count": 2, "cpu_millis": 1, "memory_bytes": 1}'
    (made,) = load(None, {"WINDLASS_POOLS": f"[{pool}]"}, {}).pools
    assert (made.name, made.count) == ("h100", 2)
    for bad in ("h100", pool, '[{"name": "h100"}]'):
        with pytest.raises(BadConfiguration, match="pools"):
            load(None, {"WINDLASS_POOLS": bad}, {})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:hush@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("postgresql+psycopg://:hush@/db?host=/tmp", "postgresql+psycopg://:***@/db?host=/tmp"),
        ("postgresql://ada@host/db", "postgresql://ada@host/db"),
        ("postgresql://h/db?password=hush&x=1", "postgresql://h/db?password=***&x=1"),
        ("postgresql://a:hush@h/db?x=1&sslPassword=hush", "a:***@h/db?x=1&sslPassword=***"),
        ("sqlite:////var/lib/windlass.db", "sqlite:////var/lib/windlass.db"),
    ],
)
def test_secrets_are_used_and_not_shown(url: str, shown: str):
    secret = "c0ffee42" * 8
    config = load(None, {"WINDLASS_SECRET_KEY": secret, "WINDLASS_DATABASE_URL": url}, {})
    assert config.secret_key.get_secret_value() == secret
    assert config.effective_database_url == url
    assert shown in config.model_dump_json()
    assert "hush" not in config.model_dump_json()
    assert "c0ffee" not in config.model_dump_json()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"secret_key": "hush"}, "secret_key: is not 64 hexadecimal digits"),
        ({"secret_key": "hush" * 16}, "secret_key: is not 64 hexadecimal digits"),
        ({"data_dir": ""}, "data_dir: must not be empty"),
        ({"http": "host:٨٠"}, "is not host:port"),
        ({"grpc": "host:" + "9" * 5000}, "is not host:port"),
    ],
)
def test_what_no_server_could_start_with_is_refused_unseen(values: dict[str, str], words: str):
    with pytest.raises(BadConfiguration, match=words) as refused:
        load(None, {}, values)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("http", "grpc", "opened"),
    [
        ("127.0.0.1:80", "localhost:81", []),
        ("[::1]:80", "127.8.8.8:81", []),
        ("0.0.0.0:80", "127.0.0.1:81", ["0.0.0.0:80"]),
        ("[::]:80", "10.0.0.1:81", ["[::]:80", "10.0.0.1:81"]),
        ("windlass.internal:80", "127.0.0.1:81", ["windlass.internal:80"]),
    ],
)
def test_addresses_that_other_machines_reach_are_known(http, grpc, opened):
    assert ServerConfig(http=http, grpc=grpc).open_addresses == opened
