import pytest

from windlass_agent.config import ConfigError
from windlass_agent.fleet.identities import load_ids, load_seed, node_key, store_ids


def test_keys_follow_from_the_seed_and_differ_from_each_other(tmp_path):
    seed = load_seed(tmp_path)
    keys = {node_key(seed, number).public_bytes for number in range(50)}
    assert len(keys) == 50
    assert node_key(load_seed(tmp_path), 7).public_bytes == node_key(seed, 7).public_bytes
    (tmp_path / "other").mkdir()
    assert node_key(load_seed(tmp_path / "other"), 7).public_bytes not in keys


def test_ids_are_there_at_the_next_start(tmp_path):
    assert load_ids(tmp_path) == {}
    store_ids(tmp_path, {12: "node-b", 3: "node-a"})
    assert load_ids(tmp_path) == {3: "node-a", 12: "node-b"}


@pytest.mark.parametrize(
    ("name", "content", "load"),
    [
        ("fleet.seed", b"short", load_seed),
        ("nodes.json", b"{", load_ids),
        ("nodes.json", b"[1]", load_ids),
        ("nodes.json", b'{"x": "node-a"}', load_ids),
    ],
)
def test_files_that_are_damaged_are_refused_by_name(tmp_path, name, content, load):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        load(tmp_path)
