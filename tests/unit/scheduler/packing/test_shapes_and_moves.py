"""The ways in which a task can be placed on what is left of nodes."""

import numpy as np
import pytest

from tests.unit.scheduler.packing.idle import states
from windlass_server.scheduler.packing.moves import NO_GPU, ways
from windlass_server.scheduler.packing.shapes import Classes, Shape

HALF = Shape(4_000, 1, 500)
ONE = Shape(4_000, 1, 1000)
TWO = Shape(4_000, 2, 1000)
CPU_ONLY = Shape(4_000)


@pytest.mark.parametrize(
    ("shape", "gpus", "expected"),
    [
        (CPU_ONLY, [1000, 300], [(NO_GPU, [300, 1000])]),
        (CPU_ONLY, [], [(NO_GPU, [])]),
        (HALF, [400, 499], []),
        (HALF, [500], [(500, [0])]),
        (HALF, [600, 1000], [(600, [100, 1000]), (1000, [500, 600])]),
        # Equal GPUs leave the same: one way stands for both.
        (HALF, [1000, 1000], [(1000, [500, 1000])]),
        (HALF, [700, 700, 900], [(700, [200, 700, 900]), (900, [400, 700, 700])]),
        (ONE, [999], []),
        (ONE, [999, 1000], [(1000, [0, 999])]),
        (TWO, [1000, 999], []),
        (TWO, [1000, 999, 1000], [(1000, [0, 0, 999])]),
        (Shape(1, 3, 1000), [1000, 1000], []),
        (Shape(4_001), [1000], []),
        (Shape(4_001, 1, 500), [1000], []),
    ],
)
def test_ways_to_place_a_task_on_a_node_with_four_cores(shape: Shape, gpus: list[int], expected):
    moves = ways(shape, np.array([True]), states((4_000, gpus)))
    made = zip(moves.used.tolist(), moves.after.gpus.tolist(), strict=True)
    assert list(made) == [(used, left or [0]) for used, left in expected]
    assert set(moves.after.cpu.tolist()) <= {4_000 - shape.cpu_millis}


def test_each_way_says_from_which_state_it_begins():
    fleet = states((4_000, [400]), (9_000, [600, 900]), (1_000, [1000]), (4_000, [500]))
    moves = ways(HALF, np.array([True]), fleet)
    assert moves.origins.tolist() == [1, 3]
    assert moves.rows.tolist() == [0, 0, 1]
    assert moves.before.cpu.tolist() == [9_000, 4_000]
    assert moves.after.cpu.tolist() == [5_000, 5_000, 0]
    assert fleet.gpus.tolist() == [[0, 400], [600, 900], [0, 1000], [0, 500]]


def test_a_shape_goes_only_to_kinds_of_gpus_that_it_takes():
    fleet = states((4_000, [1000]), (4_000, [1000], 1))
    assert ways(ONE, np.array([False, True]), fleet).origins.tolist() == [1]


def test_classes_are_the_same_in_whatever_order_they_are_counted():
    counted = [(ONE, 3), (HALF, 1), (Shape(1, 1, 500, ("T4",)), 4)]
    one, other = Classes.of(counted, ["G2", "T4"]), Classes.of(counted[::-1], ["G2", "T4"])
    assert one.shapes == other.shapes == (Shape(1, 1, 500, ("T4",)), HALF, ONE)
    assert one.popularity.tolist() == other.popularity.tolist() == [0.5, 0.125, 0.375]
    assert one.admits.tolist() == [[False, True], [True, True], [True, True]]
    assert one.size.tolist() == [500, 500, 1000]


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.5, [ONE]), (0.51, [HALF, ONE]), (0.8, [HALF, ONE]), (0.81, [CPU_ONLY, HALF, ONE])],
)
def test_typical_classes_are_the_most_popular_and_are_all_there_is(share: float, kept: list[Shape]):
    typical = Classes.of([(CPU_ONLY, 2), (HALF, 3), (ONE, 5)], ["G2"]).typical(share)
    assert typical.shapes == tuple(kept)
    assert typical.popularity.sum() == pytest.approx(1)
    assert len(typical.cpu) == len(typical.admits) == len(kept)
