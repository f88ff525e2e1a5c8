import importlib.metadata
import os
from pathlib import Path

import pytest

from windlass_agent.config import ConfigError, OnExit, load_config
from windlass_agent.data_dir import DataDir

SERVER = ["--server", "127.0.0.1:7443"]


def test_defaults_need_only_the_server(tmp_path):
    config = load_config(SERVER, {"XDG_STATE_HOME": str(tmp_path)})
    assert config.server == "127.0.0.1:7443"
    assert config.on_exit is OnExit.KEEP
    assert config.data_dir.is_absolute()
    assert config.loopback


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "agent.toml"
    file.write_text(
        'server = "file:1"\non_exit = "stop"\nlog_level = "debug"\nlabels = {zone = "a"}\n'
    )
    environ = {
        "WINDLASS_AGENT_CONFIG": str(file),
        "WINDLASS_AGENT_SERVER": "environment:2",
        "WINDLASS_AGENT_LOG_LEVEL": "error",
    }
    config = load_config(["--server", "flag:3"], environ)
    assert (config.server, config.log_level, config.on_exit) == ("flag:3", "error", OnExit.STOP)
    assert config.labels == {"zone": "a"}


def test_the_join_token_comes_from_the_most_direct_source(tmp_path):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"WINDLASS_JOIN_TOKEN": "from-environment"}
    from_file = ["--join-token-file", str(file)]
    assert load_config(SERVER, environ).join_token == "from-environment"
    assert load_config([*SERVER, *from_file], environ).join_token == "from-file"
    assert load_config([*SERVER, "--join-token", "from-flag"], environ).join_token == "from-flag"


def test_amounts_and_simulated_gpus_are_understood():
    flags = ["--cpu", "1.5", "--reserve-memory", "512MiB", "--simulate-gpus", "2xa100,L40S"]
    config = load_config([*SERVER, *flags], {})
    assert (config.cpu_millis, config.reserve_memory_bytes) == (1500, 512 << 20)
    assert [profile.model for profile in config.simulate_gpus] == [
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA L40S",
    ]


def test_folders_of_debugged_runs_are_kept_for_an_hour_unless_the_operator_says_otherwise():
    assert load_config(SERVER, {}).debug_keep_seconds == 3600
    assert load_config([*SERVER, "--debug-keep", "10m"], {}).debug_keep_seconds == 600
    assert load_config([*SERVER, "--debug-keep", "0"], {}).debug_keep_seconds == 0


def test_logs_are_bounded_unless_the_operator_says_otherwise():
    config = load_config(SERVER, {})
    assert (config.log_quota_bytes, config.log_rate_bytes) == (1 << 30, 16 << 20)
    flags = ["--log-quota", "0", "--log-rate", "1GiB"]
    config = load_config([*SERVER, *flags], {})
    assert (config.log_quota_bytes, config.log_rate_bytes) == (0, 1 << 30)


@pytest.mark.parametrize(
    ("flags", "environ", "complaint"),
    [
        ([], {}, "--server HOST:PORT is missing"),
        (["--server", "nowhere"], {}, "'nowhere' is not HOST:PORT"),
        ([*SERVER, "--ca-pin", "md5:00"], {}, "is not sha256: and 64 hexadecimal digits"),
        ([*SERVER, "--ca-pin", ""], {}, "is not sha256: and 64 hexadecimal digits"),
        ([*SERVER, "--ca-data", "%%"], {}, "--ca-data: is not base64"),
        ([*SERVER, "--ca-data", "YQ==", "--ca-file", "/x"], {}, "--ca-file and --ca-data exclude"),
        ([*SERVER, "--service-file", "/x"], {}, "--service-file is for --install-service"),
        (["--server", "a:99999"], {}, "is not HOST:PORT"),
        ([*SERVER, "--sevrer", "x"], {}, "unrecognized arguments"),
        (SERVER, {"WINDLASS_AGENT_SEVRER": "x"}, "WINDLASS_AGENT_SEVRER: there is no such option"),
        ([*SERVER, "--on-exit", "burn"], {}, "'burn' is not one of keep, stop"),
        ([*SERVER, "--log-format", "xml"], {}, "'xml' is not one of text, json"),
        ([*SERVER, "--simulate-gpus", "8xFOO"], {}, "COUNTxTYPE"),
        ([*SERVER, "--simulate-gpus", "0xH100"], {}, "1 to 1024"),
        ([*SERVER, "--simulate-gpus", "2xT4:nvlink=2"], {}, "T4 has no NVLink"),
        ([*SERVER, "--simulate-gpus", "2xH100:nvlink=0"], {}, "COUNTxTYPE"),
        ([*SERVER, "--labels", "zone"], {}, "'zone' is not KEY=VALUE"),
        ([*SERVER, "--labels", "zone=a\x1bb"], {}, "is not a label"),
        ([*SERVER, "--labels", ",".join(f"k{n}=v" for n in range(65))], {}, "at most 64 labels"),
        ([*SERVER, "--cpu", "many"], {}, "not cores"),
        ([*SERVER, "--memory", "3Zi"], {}, "amount of memory"),
        ([*SERVER, "--log-quota", "much"], {}, "amount of memory"),
        ([*SERVER, "--debug-keep", "200h"], {}, "longer than 7 days"),
        ([*SERVER, "--debug-keep", "long"], {}, "a time such as"),
        ([*SERVER, "--log-quota", "1MB"], {}, "--log-quota: at least 1MiB, or 0 for no limit"),
        ([*SERVER, "--log-rate", "1"], {}, "--log-rate: at least 256KiB, or 0 for no limit"),
        ([*SERVER, "--config", "/nowhere.toml"], {}, "cannot read /nowhere.toml"),
        ([*SERVER, "--join-token-file", "/nowhere"], {}, "cannot read the join token"),
        ([*SERVER, "--insecure", "--ca-file", "/x"], {}, "exclude each other"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(flags, environ, complaint):
    with pytest.raises(ConfigError) as caught:
        load_config(flags, environ)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sever = 1", "sever: there is no such option"),
        ("server = 7", "server: must be a text"),
        ("labels = 7", "labels:"),
        ("labels = {a = 1}", "is not a label"),
        ("server =", "is not TOML"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, text, complaint):
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(["--config", str(file)], {})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "loopback"),
    [
        ("localhost:1", True),
        ("127.3.4.5:1", True),
        ("[::1]:1", True),
        ("127.evil.example:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_only_this_machine_is_trusted_without_tls(server, loopback):
    assert load_config(["--server", server], {}).loopback is loopback


def test_a_second_agent_on_the_same_directory_refuses(tmp_path):
    already = f"process {os.getpid()}.*already runs"
    with DataDir(tmp_path / "agent"), pytest.raises(ConfigError, match=already):
        DataDir(tmp_path / "agent")
    with DataDir(tmp_path / "agent"):
        pass


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to"):
        DataDir(tmp_path / "file" / "agent")


def test_the_directory_is_private(tmp_path):
    with DataDir(tmp_path / "agent"):
        assert Path(tmp_path / "agent").stat().st_mode & 0o777 == 0o700


def test_the_version_is_told_without_a_server(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        load_config(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"windlass-agent {importlib.metadata.version('windlass')}\n"
