"""What GPUs of a type are worth while some tasks take no other."""

import numpy as np
import pytest

from tests.unit.scheduler.packing.idle import states
from windlass_server.scheduler.packing.kinds import KindPrices
from windlass_server.scheduler.packing.moves import ways
from windlass_server.scheduler.packing.policies import HolesFirst
from windlass_server.scheduler.packing.shapes import Classes, Shape

KINDS = ["A10", "G2", "T4"]
ANY = Shape(1_000, 1, 1000)
T4 = Shape(1_000, 1, 1000, ("T4",))
T4_OR_A10 = Shape(1_000, 1, 1000, ("A10", "T4"))


@pytest.mark.parametrize(
    ("demand", "idle", "prices"),
    [
        # Nobody is particular.
        ([(ANY, 1)], [1, 1, 1], [1, 1, 1]),
        ([(Shape(1_000), 1)], [1, 1, 1], [1, 1, 1]),
        # A quarter of the demand is for T4, and so is a third of what is idle: no lack.
        ([(ANY, 3), (T4, 1)], [1, 1, 1], [1, 1, 1]),
        # Half of the demand for a tenth of what is idle.
        ([(ANY, 1), (T4, 1)], [4, 5, 1], [1, 1, 5]),
        # Who takes either lacks both, and those who take one of them are among these.
        ([(ANY, 1), (T4_OR_A10, 1)], [1, 8, 1], [2.5, 1, 2.5]),
        ([(ANY, 2), (T4_OR_A10, 1), (T4, 1)], [2, 7, 1], [5 / 3, 1, 2.5]),
        # It is GPUs that count, not tasks.
        ([(Shape(1, 1, 500), 1), (Shape(1, 1, 100, ("T4",)), 5)], [0, 9, 1], [1, 1, 5]),
        # Tasks without GPUs are no demand for them.
        ([(ANY, 1), (T4, 1), (Shape(1_000), 98)], [4, 5, 1], [1, 1, 5]),
        # Nothing is idle.
        ([(ANY, 1), (T4, 1)], [0, 0, 0], [1, 1, 1]),
    ],
)
def test_prices_of_types(demand, idle: list[int], prices: list[float]):
    found = KindPrices(Classes.of(demand, KINDS)).of(np.array(idle, np.float64) * 1000)
    assert found.tolist() == pytest.approx(prices)


def test_tasks_that_take_any_type_leave_what_is_scarce_to_others():
    policy = HolesFirst(Classes.of([(ANY, 1), (T4, 1)], KINDS))
    fleet = states((9_000, [1000] * 8, 1), (9_000, [1000], 2))
    moves = ways(ANY, np.array([True] * 3), fleet)
    policy.renew(fleet, np.array([1, 1]))
    g2, t4 = policy.costs(moves)
    assert t4 > 4 * g2
    policy.renew(fleet, np.array([1, 100]))
    g2, t4 = policy.costs(moves)
    assert t4 == pytest.approx(g2, rel=0.01)
