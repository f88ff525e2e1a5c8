"""Declared pools mean the same wherever the configuration comes from."""

import json
from pathlib import Path

import pytest

from windlass_server import config
from windlass_server.errors import BadConfiguration

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


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        ([BIG | {"cpu_millis": 10**20}], "pools.0.cpu_millis"),
        ([BIG | {"memory_bytes": 10**20}], "pools.0.memory_bytes"),
        ([BIG | {"count": 10**20}], "pools.0.count"),
        ([BIG | {"gpu_count": 10**9}], "pools.0.gpu_count"),
        ([BIG | {"gpu_type": "two words"}], "pools.0.gpu_type"),
        ([BIG | {"gpu_type": ""}], "needs their gpu_type"),
        ([BIG | {"color": "red"}], "unknown key 'pools.0.color'"),
        ([BIG, BIG], "two pools have the same name"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(pools: list[object], words: str):
    with pytest.raises(BadConfiguration, match=words):
        config.load(None, {"WINDLASS_POOLS": json.dumps(pools)}, {})
