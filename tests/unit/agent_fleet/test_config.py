from pathlib import Path

import pytest

from windlass_agent.config import ConfigError
from windlass_agent.fleet.config import load_config
from windlass_agent.fleet.faults import FaultKind


def test_the_command_of_the_guide_is_understood():
    flags = "--server 10.0.0.5:50051 --nodes 1000 --gpus 8xH100 --interval 1s --tasks sleep:5s"
    config = load_config(flags.split(), {"WINDLASS_JOIN_TOKEN": "wlj_x"})
    assert (config.server, config.nodes, len(config.gpus)) == ("10.0.0.5:50051", 1000, 8)
    assert (config.interval, config.task_seconds, config.join_token) == (1.0, 5.0, "wlj_x")
    assert config.ramp == 10.0
    assert config.agent().labels == {"simulated": "true"}


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        ("--tasks instant", "task_seconds", 0.0),
        ("--tasks sleep:250ms", "task_seconds", 0.25),
        ("--gpus none", "gpus", ()),
        ("--duration 10m", "duration", 600.0),
        ("--ramp 0s", "ramp", 0.0),
        ("--nodes 3 --processes 8", "processes", 3),
        ("--nodes 1", "processes", 1),
        ("--cpu 4 --nodes 2", "cpu_millis", 4000),
        ("--labels zone=a", "labels", {"zone": "a"}),
        ("--data-dir /x/y", "data_dir", Path("/x/y")),
        ("--divide-gpus", "divide_gpus", True),
    ],
)
def test_flags_mean_what_they_say(flags, name, value):
    assert getattr(load_config(flags.split(), {}), name) == value


def test_faults_are_planned():
    plan = load_config(
        ["--fault", "cut:20s", "--fault", "kill:5s", "--fault-every", "2s"], {}
    ).faults
    assert plan.kinds == ((FaultKind.CUT, 20.0), (FaultKind.KILL, 5.0))
    assert plan.every == 2.0


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("--nodes 0", "'0' is not a number from 1 to 100000"),
        ("--nodes 100001", "not a number from 1 to 100000"),
        ("--nodes ²", "not a number from 1 to 100000"),
        ("--server nowhere", "'nowhere' is not HOST:PORT"),
        ("--gpus 8xABACUS", "not COUNTxTYPE"),
        ("--interval 10ms", "shorter than 100ms"),
        ("--interval soon", "not a time such as"),
        ("--tasks dig", "neither instant nor sleep:TIME"),
        ("--tasks instant:5s", "neither instant nor sleep:TIME"),
        ("--fault flood:5s", "neither cut:TIME nor kill:TIME"),
        ("--fault cut", "neither cut:TIME nor kill:TIME"),
        ("--fault-every 0s", "must be more than no time"),
        ("--labels =x", "is not a label"),
        ("--join-token-file /nowhere", "cannot read the join token from /nowhere"),
        ("--gpus 147xH100 --divide-gpus", "at most 146 simulated GPUs"),
        ("--bogus", "unrecognized arguments: --bogus"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(flags, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_config(flags.split(), {})
