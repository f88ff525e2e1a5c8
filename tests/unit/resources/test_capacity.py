"""The scheduler's view of nodes."""

from types import SimpleNamespace
from typing import Any, cast

from tests.support.nodes import GIB, an_inventory, node_columns
from windlass.types.v1 import types_pb2
from windlass_server.config import PoolConfig
from windlass_server.resources.capacity import declared_pools, node_states
from windlass_server.scheduler.snapshot import Gpu
from windlass_server.storage.tables import GpuClaimRow, NodeRow


def a_row(**values: Any) -> NodeRow:
    inventory = an_inventory(gpus=values.pop("gpus", 0))
    inventory.isolation.level = types_pb2.Isolation.NAMESPACES
    columns = node_columns(inventory=inventory.SerializeToString(), **values)
    return cast("NodeRow", SimpleNamespace(**columns))


def claim(node_id: str, uuid: str) -> GpuClaimRow:
    return GpuClaimRow(node_id=node_id, gpu_uuid=uuid, run_id="run-a")


def test_a_node_is_what_it_says_minus_what_is_held() -> None:
    row = a_row(node_id="node-1", gpus=3, cpu_held=3000, memory_held=2 * GIB)

    (node,) = node_states([row], [claim("node-1", "GPU-1")], lambda _, uuid: uuid != "GPU-2")

    assert (node.node_id, node.name, node.ready) == ("node-1", "rack1-n1", True)
    assert (node.cpu_millis, node.cpu_free) == (8000, 5000)
    assert (node.memory_bytes, node.memory_free) == (16 * GIB, 14 * GIB)
    assert node.isolation_level == types_pb2.Isolation.NAMESPACES
    assert node.gpus == (
        Gpu("GPU-0", "H100", healthy=True, held=False, memory_bytes=80 * GIB),
        Gpu("GPU-1", "H100", healthy=True, held=True, memory_bytes=80 * GIB),
        Gpu("GPU-2", "H100", healthy=False, held=False, memory_bytes=80 * GIB),
    )


def test_the_same_uuid_on_two_nodes_is_two_gpus() -> None:
    rows = [a_row(node_id="node-1", gpus=1), a_row(node_id="node-2", gpus=1)]
    first, second = node_states(
        rows, [claim("node-1", "GPU-0")], lambda node_id, _: node_id != "node-2"
    )
    assert (first.gpus[0].held, first.gpus[0].healthy) == (True, True)
    assert (second.gpus[0].held, second.gpus[0].healthy) == (False, False)


def test_an_unreachable_node_is_not_ready_but_there() -> None:
    (node,) = node_states([a_row(status=2)], [], lambda *_: True)
    assert not node.ready


def test_a_node_that_shrank_has_less_than_nothing_free() -> None:
    (node,) = node_states([a_row(cpu_millis=1000, cpu_held=3000, shrunk=True)], [], lambda *_: True)
    assert node.cpu_free == -2000


def test_declared_pools_are_empty_nodes_that_rule_no_isolation_out() -> None:
    declared = PoolConfig(
        name="big", count=4, cpu_millis=64_000, memory_bytes=GIB, gpu_type="H200", gpu_count=2
    )
    (pool,) = declared_pools([declared])
    assert (pool.name, pool.count) == ("big", 4)
    assert (pool.template.cpu_free, pool.template.memory_free) == (64_000, GIB)
    assert [(gpu.gpu_type, gpu.healthy, gpu.held) for gpu in pool.template.gpus] == [
        ("H200", True, False)
    ] * 2
    assert len({gpu.uuid for gpu in pool.template.gpus}) == 2
    assert pool.template.isolation_level == max(types_pb2.Isolation.Level.values())
