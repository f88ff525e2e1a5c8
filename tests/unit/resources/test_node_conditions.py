"""What is wrong with a node as a whole, and what it must be because of it."""

import pytest

from windlass_server.resources.gpu_health import GpuState, Health
from windlass_server.resources.health_policy import Action, Policy
from windlass_server.resources.node_conditions import (
    Closing,
    Look,
    NodeFault,
    Type,
    blamed,
    causes,
    conditions,
    wanted,
)

POLICY = Policy()
GIB = 1 << 30
MINUTE = 60_000_000
GONE = GpuState(Health.UNHEALTHY, "GPU_LOST", "it has fallen off the bus", action=Action.DRAIN)
RESETS = GpuState(Health.UNHEALTHY, "XID_48", "it lost data", action=Action.RESET_GPU)


@pytest.mark.parametrize(
    ("look", "closing", "keys"),
    [
        (Look({}), Closing.OPEN, []),
        (Look({"GPU-0": (0, GpuState())}), Closing.OPEN, []),
        (Look({"GPU-0": (0, RESETS)}), Closing.OPEN, []),
        (Look({"GPU-0": (0, GONE)}), Closing.DRAIN, ["GPU_LOST:GPU-0"]),
        (Look({}, missing=("GPU-3",)), Closing.DRAIN, ["GPU_MISSING:GPU-3"]),
        (Look({}, cpu_millis=(7000, 8000)), Closing.DRAIN, ["CPU_SHRUNK"]),
        (Look({}, cpu_millis=(9000, 8000)), Closing.OPEN, []),
        (Look({}, memory_bytes=(48 * GIB, 64 * GIB)), Closing.DRAIN, ["MEMORY_SHRUNK"]),
        (Look({}, memory_bytes=(63 * GIB, 64 * GIB)), Closing.OPEN, []),
        (Look({}, disk=(0, 0)), Closing.OPEN, []),
        (Look({}, disk=(100 * GIB, 3 * GIB)), Closing.OPEN, []),
        (Look({}, disk=(100 * GIB, 1 * GIB)), Closing.CORDON, ["DISK_FULL"]),
        (Look({}, disk=(8 * GIB, GIB // 4)), Closing.CORDON, ["DISK_FULL"]),
        (Look({}, disk=(100 * GIB, 3 * GIB), disk_was_full=True), Closing.CORDON, ["DISK_FULL"]),
        (Look({}, disk=(100 * GIB, 4 * GIB), disk_was_full=True), Closing.OPEN, []),
        (Look({}, failed_jobs=2), Closing.OPEN, []),
        (Look({}, failed_jobs=3), Closing.CORDON, ["FAILS_JOBS"]),
        (
            Look({"GPU-0": (0, GONE)}, disk=(100 * GIB, 0)),
            Closing.DRAIN,
            ["GPU_LOST:GPU-0", "DISK_FULL"],
        ),
    ],
)
def test_what_closes_a_node(look: Look, closing: Closing, keys: list[str]) -> None:
    found = causes(look, POLICY)
    assert [cause.key for cause in found] == keys
    state, why = wanted(found, ())
    assert state is closing
    assert bool(why) == bool(keys)


def test_what_an_operator_has_overruled_closes_no_node() -> None:
    found = causes(Look({"GPU-0": (0, GONE)}, disk=(100 * GIB, 0)), POLICY)
    state, why = wanted(found, ["GPU_LOST:GPU-0"])
    assert (state, why) == (Closing.CORDON, f"its disk is full: 0 of {100 * GIB} bytes are left")
    assert wanted(found, ["GPU_LOST:GPU-0", "DISK_FULL"]) == (Closing.OPEN, "")


def test_every_node_has_every_condition_once_and_only_what_is_wrong_is_false() -> None:
    look = Look({"GPU-0": (0, GpuState()), "GPU-1": (1, GONE)}, missing=("GPU-2", "GPU-3"))
    made = conditions(look, causes(look, POLICY))
    assert [one.type for one in made] == list(Type)
    assert [one.type for one in made if not one.good] == [
        Type.GPUS_HEALTHY,
        Type.INVENTORY_COMPLETE,
    ]
    assert made[0].message == "GPU 1 (GPU-1) is unhealthy: it has fallen off the bus"
    assert made[1].message == "GPU GPU-2 is missing; GPU GPU-3 is missing"
    assert all(one.reason and one.message for one in made)


def test_a_card_that_needs_a_reset_is_no_cause_but_a_condition() -> None:
    look = Look({"GPU-0": (0, RESETS)})
    assert causes(look, POLICY) == ()
    first = conditions(look, ())[0]
    assert (first.good, first.reason) == (False, "GPU_UNHEALTHY")
    assert first.message == "GPU 0 (GPU-0) is unhealthy: it lost data"


def failed(job: str, node: str, minute: float = 0, *, lost: bool = False) -> NodeFault:
    return NodeFault(job, node, int(minute * MINUTE), lost)


@pytest.mark.parametrize(
    ("ends", "counts"),
    [
        ([], {}),
        ([failed("a", "n1"), failed("b", "n1"), failed("c", "n1")], {"n1": 3}),
        ([failed("a", "n1"), failed("a", "n1"), failed("a", "n1")], {"n1": 1}),
        # One job on many nodes is to blame itself.
        ([failed("a", "n1"), failed("a", "n2"), failed("a", "n3")], {}),
        (
            [failed("a", f"n{number}") for number in range(4)] + [failed("b", "n0")],
            {"n0": 1},
        ),
        ([failed("a", "n1"), failed("a", "n2"), failed("b", "n1")], {"n1": 2, "n2": 1}),
        # What is lost together is lost by one thing.
        ([failed(job, "n1", lost=True) for job in "abcdef"], {"n1": 1}),
        (
            [failed("a", "n1", 0, lost=True), failed("b", "n1", 5, lost=True)],
            {"n1": 2},
        ),
    ],
)
def test_a_node_that_fails_jobs_and_a_job_that_fails_on_nodes_are_told_apart(
    ends: list[NodeFault], counts: dict[str, int]
) -> None:
    assert blamed(ends) == counts
