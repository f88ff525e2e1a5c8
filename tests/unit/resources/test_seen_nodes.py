"""Nodes that are remembered as the scheduler saw them."""

from collections import namedtuple
from typing import Any, cast

import pytest

from tests.support.divisible import divisible
from tests.support.nodes import GIB, an_inventory, node_columns
from windlass.agents.v1.health_pb2 import GpuHealth, NodeHealth
from windlass.types.v1 import types_pb2
from windlass_server.resources.capacity import Sharing, node_states
from windlass_server.resources.gpu_health import Health
from windlass_server.resources.maintenance import State
from windlass_server.resources.seen_nodes import SeenNodes
from windlass_server.storage.tables import GpuClaimRow, GpuLayoutRow, NodeRow

_Row = namedtuple("_Row", NodeRow.model_fields)  # type: ignore[misc]


def a_row(node_id: str = "node-1", **values: Any) -> NodeRow:
    inventory = an_inventory(gpus=values.pop("gpus", 2))
    inventory.isolation.level = values.pop("isolation", types_pb2.Isolation.NAMESPACES)
    values = {"inventory": inventory.SerializeToString(), "public_key": b"key"} | values
    columns = node_columns(node_id=node_id, **values)
    return cast("NodeRow", _Row(**columns))


def a_claim(uuid: str, *, node_id: str = "node-1", run_id: str = "run-a") -> GpuClaimRow:
    return GpuClaimRow(node_id=node_id, gpu_uuid=uuid, run_id=run_id)


def suspect(uuid: str) -> bytes:
    record = NodeHealth(gpus=[GpuHealth(uuid=uuid, health=int(Health.SUSPECT))])
    return record.SerializeToString()


@pytest.fixture
def unhealthy() -> dict[str, frozenset[str]]:
    """What nodes say of their GPUs."""
    return {}


@pytest.fixture
def seen(unhealthy: dict[str, frozenset[str]]) -> SeenNodes:
    return SeenNodes(lambda node_id: unhealthy.get(node_id, frozenset()))


def test_a_node_of_which_nothing_is_new_is_not_made_again(seen: SeenNodes) -> None:
    (before,) = seen.all([a_row(last_seen_at=1)], [a_claim("GPU-0")], [])
    (after,) = seen.all([a_row(last_seen_at=2)], [a_claim("GPU-0")], [])
    (once_more,) = seen.some([a_row(last_seen_at=3)], [a_claim("GPU-0")], [])
    assert before is after is once_more


@pytest.mark.parametrize(
    "new",
    [
        {"name": "another"},
        {"status": 2},
        {"cpu_millis": 9000},
        {"memory_bytes": 17 * GIB},
        {"cpu_held": 1000},
        {"memory_held": GIB},
        {"maintenance": int(State.CORDONED)},
        {"pool": "other"},
        {"gpus": 3},
        {"isolation": types_pb2.Isolation.RLIMITS},
        {"health": suspect("GPU-1")},
    ],
    ids=lambda new: next(iter(new)),
)
@pytest.mark.parametrize("look", ["all", "some"])
def test_a_node_of_which_a_column_is_new_is_made_again(
    seen: SeenNodes, new: dict[str, Any], look: str
) -> None:
    (before,) = seen.all([a_row()], [], [])
    changed = a_row(**new)
    (after,) = getattr(seen, look)([changed], [], [])
    assert after != before
    assert after == node_states([changed], [], lambda *_: True)[0]


@pytest.mark.parametrize(
    ("taken", "most", "sharers"),
    [(250, 0, 1), (250, 4, 1), (250, 4, 2), (500, 4, 2), (500, 5, 2)],
)
def test_how_a_gpu_is_shared_is_seen_as_it_changes(
    seen: SeenNodes, taken: int, most: int, sharers: int
) -> None:
    claim = GpuClaimRow(node_id="node-1", gpu_uuid="GPU-1", shared_millis=taken)
    seen.all([a_row()], [GpuClaimRow(node_id="node-1", gpu_uuid="GPU-1", shared_millis=1)], [])
    sharing = Sharing({"default": most, "other": 9}, {"node-1": {"GPU-1": sharers}, "n": {}})
    (node,) = seen.all([a_row()], [claim], [], sharing)
    alone, shared = node.gpus
    assert (shared.held, shared.shared_millis, shared.sharers) == (True, taken, sharers)
    assert (alone.held, alone.shared_millis, alone.sharers) == (False, 0, 0)
    assert node.max_sharers == most
    (same,) = seen.all([a_row()], [claim], [], sharing)
    assert same is node
    (closed,) = seen.all([a_row()], [claim], [], Sharing({}, sharing.sharers))
    assert closed.max_sharers == 0


def test_claims_are_seen_as_they_come_and_go(seen: SeenNodes) -> None:
    looks = ([], [a_claim("GPU-1")], [a_claim("GPU-0")], [a_claim("GPU-0"), a_claim("GPU-1")], [])
    held = []
    for claims in looks:
        (node,) = seen.all([a_row()], claims, [])
        held.append([gpu.uuid for gpu in node.gpus if gpu.held])
    assert held == [[], ["GPU-1"], ["GPU-0"], ["GPU-0", "GPU-1"], []]


def test_what_a_node_says_of_its_gpus_is_seen_at_once(
    seen: SeenNodes, unhealthy: dict[str, frozenset[str]]
) -> None:
    healthy = []
    for said in ((), ("GPU-0",), ("GPU-1",), ()):
        unhealthy["node-1"] = frozenset(said)
        (node,) = seen.all([a_row()], [], [])
        healthy.append([gpu.uuid for gpu in node.gpus if gpu.healthy])
    assert healthy == [["GPU-0", "GPU-1"], ["GPU-1"], ["GPU-0"], ["GPU-0", "GPU-1"]]


def test_nodes_keep_their_order_and_do_not_take_each_others_claims(seen: SeenNodes) -> None:
    rows = [a_row("node-2"), a_row("node-1")]
    claims = [a_claim("GPU-0", node_id="node-1")]
    nodes = seen.all(rows, claims, [])
    assert [(node.node_id, node.gpus[0].held) for node in nodes] == [
        ("node-2", False),
        ("node-1", True),
    ]
    assert seen.some([rows[1]], claims, []) == (nodes[1],)


def test_a_node_that_is_gone_is_forgotten_by_a_look_at_all_alone(seen: SeenNodes) -> None:
    first, second = seen.all([a_row("node-1"), a_row("node-2")], [], [])
    seen.some([a_row("node-1")], [], [])
    assert seen.some([a_row("node-2")], [], [])[0] is second
    seen.all([a_row("node-1")], [], [])
    assert seen.some([a_row("node-2")], [], [])[0] is not second
    assert seen.some([a_row("node-1")], [], [])[0] is first


def test_a_layout_is_seen_as_it_comes_and_ends(seen: SeenNodes) -> None:
    def layout(node_id: str, state: int) -> GpuLayoutRow:
        return GpuLayoutRow(
            node_id=node_id,
            card_uuid="GPU-0",
            generation=1,
            instances="1g.10gb@6",
            state=state,
            message="",
            changed_at=1,
        )

    row = _Row(**_columns_of(a_row()) | {"inventory": divisible(None).SerializeToString()})
    looks = [[], [layout("node-1", 1)], [layout("node-1", 3)], [layout("node-2", 1)]]
    cards = [seen.all([cast("NodeRow", row)], [], look)[0].cards[0] for look in looks]
    assert [card.coming and len(card.coming) for card in cards] == [None, 1, None, None]
    assert [card.failed for card in cards] == [False, False, True, False]


def _columns_of(row: NodeRow) -> dict[str, Any]:
    return cast("Any", row)._asdict()  # type: ignore[no-any-return]
