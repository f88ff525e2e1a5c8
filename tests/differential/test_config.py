"""The real Envoy on the generated configurations: it takes them, and has nothing to say."""

import pytest

from tests.support.contracts import HEALTH_RULES, health_contract
from tests.support.envoy import validate
from windlass_server.gateway.envoy.__main__ import main

# Methods of HTTP beyond the usual ones are a feature that Envoy calls unfinished.
ABOUT_METHODS = "allow_custom_methods' is marked as work-in-progress"


async def warnings(path, *arguments):
    config, descriptors = path / "config.json", path / "prepared.binpb"
    assert main([*arguments, "--output", str(config)]) == 0
    inline = await validate(config)
    flags = ("--descriptors-output", str(descriptors), "--output", str(config))
    assert main([*arguments, *flags]) == 0
    return [line for line in (*inline, *await validate(config)) if ABOUT_METHODS not in line]


async def test_windlass_itself(tmp_path):
    assert await warnings(tmp_path) == []


async def test_the_sample_contract(tmp_path, sample_set):
    sample = tmp_path / "sample.binpb"
    sample.write_bytes(sample_set)
    assert await warnings(tmp_path, "--descriptors", str(sample)) == []


@pytest.mark.parametrize("flags", [[], ["--upstream-tls", "--admin", "127.0.0.1:0"]])
async def test_a_foreign_contract(tmp_path, flags):
    rules = tmp_path / "rules.yaml"
    rules.write_text(HEALTH_RULES)
    health = ("--descriptors", str(health_contract(tmp_path)), "--http-rules", str(rules))
    assert await warnings(tmp_path, *health, *flags) == []


async def test_what_envoy_refuses_is_seen(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"static_resources": {"nonsense": 1}}')
    assert any("nonsense" in line for line in await validate(config))
