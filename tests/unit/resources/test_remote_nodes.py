"""What is kept of a remote cluster's nodes, in the scheduler's eyes."""

from windlass.resources.v1 import node_pb2
from windlass_server.resources.remote_clusters import node_states, slim
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.snapshot import Demand

GIB = 1 << 30


def a_node() -> node_pb2.Node:
    """A node with an idle card, and an instance of another."""
    node = node_pb2.Node(node_id="node-1", name="far", status=node_pb2.Node.READY)
    for capacity in (node.capacity, node.available):
        capacity.cpu_millis, capacity.memory_bytes, capacity.gpu_count = 1000, GIB, 2
    node.gpus.add(
        uuid="GPU-0", gpu_type="H100", health=node_pb2.Gpu.HEALTHY, memory_total_bytes=80 * GIB
    )
    part = node.gpus.add(
        uuid="MIG-1",
        gpu_type="H100-1g.10gb",
        health=node_pb2.Gpu.HEALTHY,
        memory_total_bytes=10 * GIB,
    )
    part.mig_instance.profile = "1g.10gb"
    return node


def a_job(**kind: object) -> Demand:
    return Demand("job-1", 0, 100, 1, 1, "", 0, "job-1", **kind)  # type: ignore[arg-type]


def test_parts_of_gpus_and_their_memory_are_known_of_remote_nodes() -> None:
    nodes = node_states(slim([a_node()]))
    (whole, part) = nodes[0].gpus
    assert (whole.part, whole.memory_bytes) == (False, 80 * GIB)
    assert (part.part, part.profile, part.memory_bytes) == (True, "1g.10gb", 10 * GIB)
    fits = {
        name: could_ever_fit(a_job(**kind), nodes, ()) is None
        for name, kind in {
            "a profile that is there": {"mig_profile": "1g.10gb"},
            "another profile": {"mig_profile": "3g.40gb"},
            "memory of the card": {"gpu_memory_bytes": 80 * GIB},
            "more memory": {"gpu_memory_bytes": 81 * GIB},
        }.items()
    }
    assert fits == {
        "a profile that is there": True,
        "another profile": False,
        "memory of the card": True,
        "more memory": False,
    }
