import sys
from pathlib import Path

import pytest

from windlass_client.cli.cluster import Endpoint, Plan
from windlass_client.cli.launch import missing
from windlass_client.cli.up import banner


@pytest.mark.parametrize(
    ("text", "shown", "near"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:80", "0.0.0.0:80", "127.0.0.1:80"),
        ("[::]:80", "[::]:80", "[::1]:80"),
        ("gpu-1:80", "gpu-1:80", "gpu-1:80"),
    ],
)
def test_an_endpoint_is_reached_from_this_machine(text, shown, near):
    endpoint = Endpoint.parse(text)
    assert (str(endpoint), str(endpoint.near)) == (shown, near)


@pytest.mark.parametrize("text", ["", "8080", "host:", ":80", "host:0", "host:70000", "host:x"])
def test_what_is_no_endpoint_is_refused(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        Endpoint.parse(text)


def a_plan(**values) -> Plan:
    return Plan(Path("/data"), Endpoint("127.0.0.1", 8080), Endpoint("0.0.0.0", 50051), **values)


def test_the_children_are_told_what_they_need():
    plan = a_plan(simulate_gpus="8xH100")
    assert plan.server_argv() == [
        sys.executable, "-P", "-m", "windlass_server",
        "--data-dir", "/data", "--http", "127.0.0.1:8080", "--grpc", "0.0.0.0:50051",
        "--die-with-parent",
    ]  # fmt: skip
    assert plan.agent_argv() == [
        sys.executable, "-P", "-m", "windlass_agent",
        "--server", "127.0.0.1:50051", "--data-dir", "/data/agent", "--hide-paths", "/data",
        "--simulate-gpus", "8xH100", "--on-exit", "stop", "--die-with-parent",
    ]  # fmt: skip
    assert "--divide-gpus" in a_plan(divide_gpus=True).agent_argv()
    assert a_plan(keep_tasks=True).agent_argv()[-3:] == ["--on-exit", "keep", "--die-with-parent"]


def test_a_database_url_is_on_no_command_line():
    plan = a_plan(database_url="postgresql://u:secret@h/db")
    assert "secret" not in " ".join(plan.server_argv() + plan.agent_argv())


def test_the_banner_says_where_everything_is():
    text = banner(a_plan())
    for part in ("http://127.0.0.1:8080", "/data/admin.token", "windlass submit"):
        assert part in text


def test_a_missing_extra_is_named_with_the_command_that_installs_it():
    problem = missing("agent", lambda module: module != "psutil")
    assert problem is not None
    assert "psutil" in problem
    assert "pip install 'windlass[agent]'" in problem
    assert missing("agent", lambda _: True) is None
