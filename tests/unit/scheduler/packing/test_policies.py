"""What each policy prefers."""

import numpy as np
import pytest

from tests.unit.scheduler.packing.idle import states
from windlass_server.scheduler.packing.moves import ways
from windlass_server.scheduler.packing.policies import (
    DEFAULT,
    POLICIES,
    FragmentationGradientDescent,
    HolesFirst,
)
from windlass_server.scheduler.packing.shapes import Classes, Shape

HALF = Shape(1_000, 1, 500)
THIRD = Shape(1_000, 1, 300)
ONE = Shape(8_000, 1, 1000)
CPU_ONLY = Shape(8_000)
DEMAND = Classes.of([(HALF, 4), (THIRD, 1), (ONE, 4), (CPU_ONLY, 1)], ["G2"])


def preferred(policy: str, shape: Shape, *nodes: tuple[int, list[int]]) -> list[int]:
    """The states that cost least, of those given."""
    moves = ways(shape, np.array([True]), states(*nodes))
    costs = POLICIES[policy](DEMAND).costs(moves)
    return sorted({int(moves.origins[row]) for row in moves.rows[costs == costs.min()]})


@pytest.mark.parametrize(
    ("policy", "shape", "nodes", "best"),
    [
        ("random", HALF, [(9_000, [1000]), (9_000, [500])], [0, 1]),
        # Best fit looks at CPU and GPUs alike.
        ("best-fit", HALF, [(90_000, [1000]), (90_000, [500])], [1]),
        ("best-fit", HALF, [(90_000, [500]), (20_000, [500])], [1]),
        ("best-fit", HALF, [(90_000, [500, 900])], [0]),
        # The dot product is small where little is left of what the task asks for.
        ("dot-product", ONE, [(90_000, [1000] * 8), (9_000, [1000])], [1]),
        ("dot-product", CPU_ONLY, [(90_000, [1000]), (12_000, [1000] * 8)], [1]),
        # Fragmentation: a whole GPU is of use to more classes than half of one.
        ("fgd", HALF, [(90_000, [1000]), (90_000, [500])], [1]),
        # The task without a GPU takes CPU where no GPU is waiting for it.
        ("fgd", CPU_ONLY, [(8_000, [1000]), (8_000, [0])], [1]),
        (DEFAULT, HALF, [(90_000, [1000]), (90_000, [500])], [1]),
        # 300 beside 200 left of 500 spoils a hole for a half; 700 is none for two halves.
        (DEFAULT, THIRD, [(90_000, [500]), (90_000, [400])], [1]),
        (DEFAULT, CPU_ONLY, [(8_000, [1000]), (8_000, [0])], [1]),
        # The holes are the same; what decides is for how many tasks the CPU suffices afterwards.
        (DEFAULT, HALF, [(8_000, [500, 1000]), (64_000, [500, 1000])], [1]),
    ],
)
def test_what_a_policy_prefers(policy: str, shape: Shape, nodes, best: list[int]):
    assert preferred(policy, shape, *nodes) == best


def test_fgd_descends_by_the_growth_of_fragmentation():
    """By hand: 0.5 of the 1.0 that is left becomes useless to whole GPUs (p = 0.4)."""
    moves = ways(HALF, np.array([True]), states((90_000, [1000])))
    growth = 0.4 * 500 + 0.1 * (500 - 1000)
    expected = -np.floor(100 / (1 + np.exp(growth / 1000)))
    assert FragmentationGradientDescent(DEMAND).costs(moves).tolist() == [expected]


def test_a_class_that_is_short_of_room_counts_more():
    """Half a GPU goes beside 0.6 of GPUs as long as room for whole GPUs is plenty, and the more so
    when it is short: what the other node keeps then counts more."""
    policy = HolesFirst(DEMAND)
    fleet = states((90_000, [1000, 1000]), (90_000, [600, 900]))
    moves = ways(CPU_ONLY, np.array([True]), states((8_000, [1000]), (8_000, [900])))
    before = policy.costs(moves)
    assert policy.renew(fleet, np.array([100, 1]))
    plenty = policy.costs(moves)
    policy.renew(fleet, np.array([1, 100]))
    short = policy.costs(moves)
    assert before.tolist() != plenty.tolist()
    # To take the CPU beside a whole GPU costs more of the whole, beside a part of one less.
    assert short[0] > plenty[0]
    assert short[1] < plenty[1]


def test_policies_without_a_view_of_the_fleet_do_not_change():
    for name in set(POLICIES) - {DEFAULT}:
        assert not POLICIES[name](DEMAND).renew(states((1, [1000])), np.array([1]))


def test_demand_without_gpus_is_no_trouble():
    only_cpu = Classes.of([(CPU_ONLY, 1)], ["G2"])
    moves = ways(CPU_ONLY, np.array([True]), states((9_000, [1000])))
    for make in POLICIES.values():
        policy = make(only_cpu)
        policy.renew(moves.before, np.array([1]))
        assert np.isfinite(policy.costs(moves)).all()
