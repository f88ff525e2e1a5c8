"""Why a job waits, word for word."""

import pytest

from tests.unit.scheduler.worlds import GIB, a_job, a_node, a_pool
from windlass.types.v1 import types_pb2
from windlass_server.scheduler import wording
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.filters import Refusal
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.snapshot import Snapshot

LATER = 1_900_000_000_000_000
AGAIN = (
    "which failed its earlier run or was shutting down; it is tried there again from "
    "2030-03-17T17:46:40Z on, and elsewhere as soon as there is room"
)
H8 = a_job(gpus=8, gpu_type="H100")
POOL = a_pool("big", template=a_node("shape", gpus=16))


@pytest.mark.parametrize(
    ("job", "cluster", "pools", "reason", "message"),
    [
        (H8, [], [], "NO_NODES", "no node has joined yet"),
        (
            H8,
            [],
            [POOL, a_pool("none", template=a_node(gpus=8), count=0)],
            "NO_NODES",
            "no node has joined yet; declared and awaited: pool big",
        ),
        (
            H8,
            [a_node(gpus=8, ready=False), a_node("n2")],
            [],
            "NODES_UNREACHABLE",
            "the node that could hold it is unreachable",
        ),
        (
            H8,
            [a_node(gpus=8, ready=False), a_node("n2", gpus=8, ready=False)],
            [],
            "NODES_UNREACHABLE",
            "all 2 nodes that could hold it are unreachable",
        ),
        (
            H8,
            [a_node(gpus=8, takes_work=False), a_node("n2")],
            [],
            "NODES_CORDONED",
            "the node that could hold it is cordoned or being drained",
        ),
        (
            H8,
            [
                *(a_node(name, gpus=8, takes_work=False) for name in ("a", "b")),
                a_node("c", gpus=8, ready=False),
            ],
            [],
            "NODES_CORDONED",
            "all 2 nodes that could hold it are cordoned or being drained; 1 more, unreachable",
        ),
        (
            H8,
            [a_node("a", gpus=8, held=3), a_node("b", gpus=8, takes_work=False)],
            [],
            "INSUFFICIENT_GPUS",
            (
                "needs 8 H100; most free on one node is 5 of 8 (node a); "
                "2 nodes fit it when empty, 1 of them cordoned or being drained"
            ),
        ),
        (
            H8,
            [a_node("gpu-07", gpus=8, held=3), a_node("gpu-08", gpus=8, held=4)],
            [],
            "INSUFFICIENT_GPUS",
            "needs 8 H100; most free on one node is 5 of 8 (node gpu-07); 2 nodes fit it when empty",
        ),
        (
            H8,
            [a_node("a", gpus=8, held=3, sick=2), a_node("b", gpus=8, ready=False)],
            [],
            "INSUFFICIENT_GPUS",
            (
                "needs 8 H100; most free on one node is 3 of 8 (node a, 2 unhealthy); "
                "2 nodes fit it when empty, 1 of them unreachable"
            ),
        ),
        (
            a_job(gpus=1, memory=64 * GIB),
            [
                a_node("a", gpus=8, held=8),
                a_node("b", gpus=8, memory_free=32 * GIB),
                a_node("c", memory=999 * GIB),
            ],
            [],
            "INSUFFICIENT_MEMORY",
            (
                "needs 64 GiB of memory; most free on one node with 1 GPU is 32 GiB of 256 GiB (node b); "
                "2 nodes fit it when empty"
            ),
        ),
        (
            a_job(share=250, gpu_type="H100"),
            [
                a_node("a", gpus=8, sharers=9, held=7, shared=[(800, 2)]),
                a_node("b", gpus=8, held=2),
            ],
            [],
            "INSUFFICIENT_GPU_SHARE",
            (
                "needs 0.25 H100; most free on one node is 0.2 GPU of 1 GPU (node a); "
                "1 node fits it when empty"
            ),
        ),
        (
            a_job(share=250, memory=64 * GIB),
            [a_node("a", gpus=8, sharers=9, memory_free=GIB), a_node("b", memory=999 * GIB)],
            [],
            "INSUFFICIENT_MEMORY",
            (
                "needs 64 GiB of memory; most free on one node is 1 GiB of 256 GiB (node a); "
                "1 node fits it when empty"
            ),
        ),
        (
            a_job(share=250),
            [a_node("a", gpus=8), a_node("b", gpus=8)],
            [],
            "GPU_SHARING_UNAVAILABLE",
            (
                "needs 0.25 GPU; no node is in a pool that lets jobs share GPUs; "
                "no registered node could hold it"
            ),
        ),
        (
            a_job(cpu=1500),
            [a_node(cpu_free=-5)],
            [],
            "INSUFFICIENT_CPU",
            (
                "needs 1.5 cores; most free on one node is 0 cores of 32 cores (node n1); "
                "1 node fits it when empty"
            ),
        ),
        (
            a_job(gpus=16),
            [a_node(gpus=8)],
            [POOL],
            "INSUFFICIENT_GPUS",
            (
                "needs 16 GPUs; the most on one node is 8 (node n1); no registered node could hold it; "
                "declared and awaited: pool big"
            ),
        ),
        (
            a_job(gpus=1, gpu_type="B200"),
            [a_node(gpus=8), a_node("n2", gpus=1, gpu_type="L4")],
            [],
            "GPU_TYPE_UNAVAILABLE",
            (
                "needs 1 B200; no node has such GPUs (types there are: H100, L4); "
                "no registered node could hold it"
            ),
        ),
        (
            a_job(gpus=4, faults={"bad": LATER, "full": LATER, "gone": LATER}),
            [
                a_node("bad", gpus=4),
                a_node("full", gpus=4, held=1),
                a_node("other", gpus=4, held=4),
            ],
            [],
            "NODE_AVOIDED",
            f"has room on node bad, {AGAIN}",
        ),
        (
            a_job(faults={"a": LATER + 1, "b": LATER}),
            [a_node("a"), a_node("b"), a_node("c", ready=False)],
            [],
            "NODE_AVOIDED",
            f"has room on 2 nodes, such as node b, {AGAIN}",
        ),
        (
            a_job(gpus=4, faults={"bad": LATER}),
            [a_node("bad", gpus=4, held=1), a_node("other", gpus=4, held=4)],
            [],
            "INSUFFICIENT_GPUS",
            "needs 4 GPUs; most free on one node is 3 of 4 (node bad); 2 nodes fit it when empty",
        ),
        (
            a_job(pools=("a",)),
            [a_node(pool="b"), a_node("n2", pool="default")],
            [],
            "POOL_UNAVAILABLE",
            "needs a node of pool a; no node is in it; no registered node could hold it",
        ),
        (
            a_job(pools=("a", "b")),
            [a_node(pool="c")],
            [],
            "POOL_UNAVAILABLE",
            "needs a node of pools a or b; no node is in one; no registered node could hold it",
        ),
        (
            a_job(pools=()),
            [a_node()],
            [],
            "POOL_UNAVAILABLE",
            (
                "needs a pool that its project may use; no node is in one; "
                "no registered node could hold it"
            ),
        ),
        (
            a_job(pools=("a",)),
            [a_node(pool="b")],
            [a_pool("big", template=a_node(pool=""))],
            "POOL_UNAVAILABLE",
            (
                "needs a node of pool a; no node is in it; no registered node could hold it; "
                "declared and awaited: pool big"
            ),
        ),
        (
            a_job(gpus=1, gpu_type="L4", pools=("a",)),
            [a_node(pool="a", gpus=1), a_node("n2", pool="b", gpus=1, gpu_type="L4")],
            [],
            "GPU_TYPE_UNAVAILABLE",
            (
                "needs 1 L4; no node of pool a has such GPUs (types there are: H100); "
                "no registered node could hold it"
            ),
        ),
        (
            a_job(gpus=4, pools=("a", "b", "c", "d")),
            [a_node(pool="a", gpus=4, held=1), a_node("n2", pool="e", gpus=4)],
            [],
            "INSUFFICIENT_GPUS",
            (
                "needs 4 GPUs; most free on one node of the 4 pools that its project may use is "
                "3 of 4 (node n1); 1 node fits it when empty"
            ),
        ),
        (
            a_job(pools=("a",)),
            [a_node(pool="a", ready=False), a_node("n2", pool="b")],
            [],
            "NODES_UNREACHABLE",
            "the node that could hold it is unreachable",
        ),
        (
            a_job(isolation=3),
            [a_node(isolation=1)],
            [],
            "ISOLATION_UNAVAILABLE",
            (
                "needs isolation SANDBOX; the most on one node is RLIMITS (node n1); "
                "no registered node could hold it"
            ),
        ),
    ],
)
def test_one_waiting_job(job, cluster, pools, reason, message):
    result = plan(Snapshot((job,), tuple(cluster), tuple(pools)))
    assert [(each.reason, each.message) for each in result.waiting] == [(reason, message)]


@pytest.mark.parametrize(
    ("priorities", "reason", "message"),
    [
        (
            [5, 5, 0],
            "BEHIND_HIGHER_PRIORITY",
            "would fit, but 2 jobs of higher priority took the room in this round",
        ),
        (
            [5, 0, 0],
            "BEHIND_HIGHER_PRIORITY",
            (
                "would fit, but 1 job of higher priority and 1 job submitted earlier took the room "
                "in this round"
            ),
        ),
        (
            [0, 0, 0],
            "WAITING_BEHIND_EARLIER_JOBS",
            "would fit, but 2 jobs submitted earlier took the room in this round",
        ),
    ],
)
def test_a_job_that_others_of_the_same_plan_kept_out(priorities, reason, message):
    queue = tuple(
        a_job(f"job-{index}", gpus=4, priority=priority)
        for index, priority in enumerate(priorities)
    )
    result = plan(Snapshot(queue, (a_node(gpus=8),)))
    assert [(each.job_id, each.reason, each.message) for each in result.waiting] == [
        ("job-2", reason, message)
    ]


def test_a_smaller_job_that_was_placed_later_is_not_blamed():
    """`a` takes 6 of 8; `b` (4) is skipped; `c` (2) fits behind it and did not keep `b` out."""
    queue = (a_job("a", gpus=6), a_job("b", gpus=4), a_job("c", gpus=2))
    result = plan(Snapshot(queue, (a_node(gpus=8),)))
    assert "but 1 job submitted earlier took" in result.waiting[0].message


def test_a_job_on_a_node_that_could_not_help_is_not_blamed():
    queue = (a_job("a", priority=9), a_job("b", gpus=8), a_job("c", gpus=8))
    result = plan(Snapshot(queue, (a_node("gpu", gpus=8), a_node("cpu"))))
    assert [each.reason for each in result.waiting] == ["WAITING_BEHIND_EARLIER_JOBS"]
    assert "but 1 job submitted earlier took" in result.waiting[0].message


def test_equal_demands_of_different_priority_get_their_own_reasons():
    queue = (a_job("a", gpus=8, priority=5), a_job("b", gpus=8, priority=5), a_job("c", gpus=8))
    result = plan(Snapshot(queue, (a_node(gpus=8),)))
    assert [(each.job_id, each.reason) for each in result.waiting] == [
        ("b", "WAITING_BEHIND_EARLIER_JOBS"),
        ("c", "BEHIND_HIGHER_PRIORITY"),
    ]


def test_equal_jobs_share_one_explanation():
    queue = tuple(a_job(f"job-{index}", gpus=9) for index in range(3))
    messages = [each.message for each in plan(Snapshot(queue, (a_node(gpus=8),))).waiting]
    assert messages[0] is messages[1] is messages[2]


def test_every_refusal_that_a_ready_and_open_node_can_give_is_a_reason():
    assert set(Refusal) - {Refusal.NODE_UNREACHABLE, Refusal.NODE_CORDONED} <= set(map(str, Reason))


def test_isolation_levels_are_called_as_in_the_contract():
    for name, level in types_pb2.Isolation.Level.items():
        assert level == 0 or wording.isolation_text(level) == name
    assert wording.isolation_text(9) == "level 9"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (GIB, "1 GiB"),
        (GIB * 3 // 2, "1.5 GiB"),
        (81_559 << 20, "81559 MiB"),
        (GIB + 1, f"{GIB + 1} bytes"),
        (0, "0 GiB"),
    ],
)
def test_memory_is_never_rounded(amount, expected):
    assert wording.memory_text(amount) == expected
