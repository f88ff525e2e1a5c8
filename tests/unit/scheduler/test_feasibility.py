"""What the submit check refuses, and which field it names."""

import pytest

from tests.unit.scheduler.worlds import GIB, a_job, a_node, a_pool
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.filters import Refusal, Refused, first_refusal
from windlass_server.scheduler.rooms import free_room, full_room

CPU_NODE = a_node("cpu", cpu=96_000, memory=1024 * GIB)
GPU_NODE = a_node("gpu", gpus=8, cpu=32_000, memory=256 * GIB)


@pytest.mark.parametrize(
    ("_case", "job", "nodes", "pools"),
    [
        ("nothing is known yet", a_job(gpus=99), [], []),
        ("only pools of nothing", a_job(), [], [a_pool(template=GPU_NODE, count=0)]),
        ("an unreachable node counts", a_job(), [a_node(ready=False)], []),
        ("held GPUs count", a_job(gpus=8), [a_node(gpus=8, held=8)], []),
        ("unhealthy GPUs count", a_job(gpus=8), [a_node(gpus=8, sick=8)], []),
        ("what is taken counts", a_job(), [a_node(cpu_free=0, memory_free=0)], []),
        (
            "a share of a GPU that is held counts",
            a_job(share=999),
            [a_node(gpus=1, held=1, sharers=1)],
            [],
        ),
        ("a pool without nodes counts", a_job(gpus=8), [CPU_NODE], [a_pool(template=GPU_NODE)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_could_fit(_case, job, nodes, pools):
    assert could_ever_fit(job, nodes, pools) is None


@pytest.mark.parametrize(
    ("job", "nodes", "dimension", "message"),
    [
        (
            a_job(gpus=2, gpu_type="B200"),
            [CPU_NODE],
            "gpu_type",
            "needs 2 B200; no node has such GPUs (types there are: none)",
        ),
        (
            a_job(share=250),
            [GPU_NODE],
            "gpu_millis",
            "needs 0.25 GPU; no node is in a pool that lets jobs share GPUs",
        ),
        (
            a_job(share=250, pools=("a", "b")),
            [GPU_NODE, a_node("other", gpus=8, pool="a")],
            "gpu_millis",
            "needs 0.25 GPU; no node of pools a or b is in a pool that lets jobs share GPUs",
        ),
        (
            a_job(share=250, gpu_type="L4"),
            [GPU_NODE, a_node("shares", gpus=8, sharers=2)],
            "gpu_type",
            "needs 0.25 L4; no node where jobs may share GPUs has such GPUs (types there are: H100)",
        ),
        (
            a_job(share=250, memory=512 * GIB),
            [CPU_NODE, a_node("shares", gpus=8, sharers=2)],
            "memory_bytes",
            (
                "needs 512 GiB of memory; the most on one node where jobs may share GPUs is 256 GiB "
                "(node shares)"
            ),
        ),
        (
            a_job(gpus=9, cpu=10**9),
            [CPU_NODE, GPU_NODE],
            "gpu_count",
            "needs 9 GPUs; the most on one node is 8 (node gpu)",
        ),
        (
            a_job(gpus=8, memory=512 * GIB),
            [CPU_NODE, GPU_NODE],
            "memory_bytes",
            "needs 512 GiB of memory; the most on one node with 8 GPUs is 256 GiB (node gpu)",
        ),
        (
            a_job(gpus=1, cpu=64_000, memory=200 * GIB),
            [GPU_NODE, a_node("small", gpus=8, cpu=128_000, memory=GIB)],
            "cpu_millis",
            "needs 64 cores; the most on one node with 200 GiB of memory is 32 cores (node gpu)",
        ),
        (
            a_job(isolation=3),
            [a_node("a", isolation=1), a_node("b", isolation=2), a_node("c", cpu=1)],
            "min_isolation",
            "needs isolation SANDBOX; the most on one node with 1 core is NAMESPACES (node b)",
        ),
    ],
)
def test_the_field_is_named_that_blocks_on_the_nearest_node(job, nodes, dimension, message):
    answer = could_ever_fit(job, nodes, [])
    assert answer is not None
    assert (answer.dimension, answer.message) == (dimension, message)
    assert could_ever_fit(job, nodes[::-1], []) == answer


def test_a_pool_can_be_the_nearest():
    pools = [a_pool("big", template=a_node("x", gpus=16)), a_pool("a", template=a_node(gpus=4))]
    answer = could_ever_fit(a_job(gpus=32), [GPU_NODE], pools)
    assert answer is not None
    assert answer.message == "needs 32 GPUs; the most on one node is 16 (pool big)"


def test_equally_near_pools_are_decided_by_name():
    pools = [a_pool(name, template=a_node(gpus=4)) for name in ("b", "a")]
    answer = could_ever_fit(a_job(gpus=32), [], pools)
    assert answer is not None
    assert answer.message == "needs 32 GPUs; the most on one node is 4 (pool a)"


def test_a_pool_of_no_nodes_holds_nothing():
    assert could_ever_fit(a_job(gpus=8), [CPU_NODE], [a_pool(template=GPU_NODE, count=0)])


@pytest.mark.parametrize(
    ("job", "node", "now", "when_empty"),
    [
        (a_job(), a_node(ready=False), Refused(Refusal.NODE_UNREACHABLE, 1, 0), None),
        (a_job(), a_node(takes_work=False), Refused(Refusal.NODE_CORDONED, 1, 0), None),
        (
            a_job(gpus=2),
            a_node(gpus=4, held=3),
            Refused(Refusal.INSUFFICIENT_GPUS, 2, 1),
            None,
        ),
        (
            a_job(gpus=8),
            a_node(gpus=4, held=3),
            Refused(Refusal.INSUFFICIENT_GPUS, 8, 1),
            Refused(Refusal.INSUFFICIENT_GPUS, 8, 4),
        ),
        (a_job(cpu=9), a_node(cpu_free=8), Refused(Refusal.INSUFFICIENT_CPU, 9, 8), None),
        (a_job(memory=9), a_node(memory_free=8), Refused(Refusal.INSUFFICIENT_MEMORY, 9, 8), None),
        (a_job(pools=("a", "b")), a_node(pool="b"), None, None),
        (a_job(pools=("a",)), a_node(pool=""), None, None),
        (
            a_job(pools=("a",)),
            a_node(pool="b"),
            Refused(Refusal.POOL_UNAVAILABLE, 1, 0),
            Refused(Refusal.POOL_UNAVAILABLE, 1, 0),
        ),
    ],
)
def test_not_now_and_never_are_told_apart(job, node, now, when_empty):
    assert first_refusal(job, free_room(node)) == now
    assert first_refusal(job, full_room(node)) == when_empty
