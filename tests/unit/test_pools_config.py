"""Declared pools mean the same wherever the configuration comes from."""

import json
from pathlib import Path

from windlass_server import config

IN_TOML = """
[[pools]]
name = "big"
count = 2
cpu_millis = 64000
memory_bytes = 1099511627776
gpu_type = "B200"
gpu_count = 16
"""
BIG = {
    "name": "big",
    "count": 2,
    "cpu_millis": 64_000,
    "memory_bytes": 1 << 40,
    "gpu_type": "B200",
    "gpu_count": 16,
}


def test_pools_of_a_file_are_those_of_the_environment(tmp_path: Path):
    file = tmp_path / "windlass.toml"
    file.write_text(IN_TOML)
    by_environment = {"WINDLASS_POOLS": json.dumps([BIG])}
    assert config.load(file, {}, {}).pools == (config.PoolConfig.model_validate(BIG),)
    assert config.load(None, by_environment, {}).pools == config.load(file, {}, {}).pools
