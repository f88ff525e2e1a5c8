import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support.fake_agent_clock import FakeAgentClock
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.config import ConfigError
from windlass_agent.identity import Identity, NodeKey, join_request, remember, stored_node_id

NODE = "node-01jh0000000000000000000000"


def test_the_key_is_made_once_and_is_nobody_elses_to_read(tmp_path):
    path = tmp_path / "node.key"
    first = NodeKey.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert NodeKey.load_or_create(path).public_bytes == first.public_bytes
    assert [p.name for p in tmp_path.iterdir()] == ["node.key"]


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "node.key"
    NodeKey.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        NodeKey.load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_broken_key_is_refused(tmp_path, content):
    path = tmp_path / "node.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot read the node's key"):
        NodeKey.load_or_create(path)


def test_each_connection_carries_a_short_token_of_its_own(tmp_path):
    key = NodeKey.load_or_create(tmp_path / "node.key")
    clock = FakeAgentClock()
    identity = Identity(NODE, key, clock)
    tokens = [dict(identity.metadata())["authorization"].removeprefix("Bearer ") for _ in range(2)]
    assert jwt.get_unverified_header(tokens[0]) == {"typ": "node+jwt", "alg": "EdDSA"}
    public = Ed25519PublicKey.from_public_bytes(key.public_bytes)
    options = {"verify_exp": False, "verify_iat": False}
    claims = [
        jwt.decode(token, public, algorithms=["EdDSA"], audience="windlass", options=options)
        for token in tokens
    ]
    assert claims[0]["sub"] == NODE
    assert claims[0]["iat"] == clock.time_nanos() // 10**9
    assert 0 < claims[0]["exp"] - claims[0]["iat"] <= 300
    assert claims[0]["jti"] != claims[1]["jti"]


def test_the_node_id_is_remembered(tmp_path):
    path = tmp_path / "node.json"
    assert stored_node_id(path) is None
    remember(path, NODE, "127.0.0.1:1")
    assert stored_node_id(path) == NODE
    path.write_text("{}")
    with pytest.raises(ConfigError, match="cannot read the node's identity"):
        stored_node_id(path)


def test_a_node_without_identity_and_token_says_what_to_set(tmp_path):
    key = NodeKey.load_or_create(tmp_path / "node.key")
    with pytest.raises(ConfigError, match="WINDLASS_JOIN_TOKEN"):
        join_request(None, key, pb.Inventory())
