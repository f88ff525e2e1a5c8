"""What idle GPUs are worth to classes of tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.packing.idle import states
from windlass_server.scheduler.fragmentation import IdleNode, TaskClass, useless_to
from windlass_server.scheduler.packing.measures import Measures
from windlass_server.scheduler.packing.shapes import Classes, Shape

TYPES = ["G2", "T4"]


def of(shape: Shape) -> Measures:
    return Measures(Classes.of([(shape, 1)], TYPES))


@pytest.mark.parametrize(
    ("shape", "state", "useless", "fillable"),
    [
        # Half GPUs, as in the paper's example: 0.4 is too small.
        (Shape(1_000, 1, 500), (8_000, [400, 600]), 400, 500),
        (Shape(1_000, 1, 300), (8_000, [400, 600]), 0, 900),
        (Shape(1_000, 1, 1000), (8_000, [400, 600]), 1000, 0),
        (Shape(1_000, 1, 1000), (8_000, [1000, 600]), 600, 1000),
        # What one GPU lacks, another cannot lend.
        (Shape(1_000, 2, 1000), (8_000, [1000, 900]), 1900, 0),
        (Shape(1_000, 2, 1000), (8_000, [1000, 1000, 1000]), 0, 2000),
        # CPU: one task fits, or none does.
        (Shape(5_000, 1, 500), (8_000, [1000, 1000]), 0, 500),
        (Shape(9_000, 1, 500), (8_000, [1000, 1000]), 2000, 0),
        (Shape(9_000, 1, 500), (-9_000, [1000, 1000]), 2000, 0),
        # Types.
        (Shape(1_000, 1, 500, ("T4",)), (8_000, [1000], 0), 1000, 0),
        (Shape(1_000, 1, 500, ("T4",)), (8_000, [1000], 1), 0, 1000),
        (Shape(1_000, 1, 500, ("G2", "T4")), (8_000, [1000], 0), 0, 1000),
        # A class without GPUs has no use for any.
        (Shape(1_000), (8_000, [1000, 300]), 1300, 0),
        (Shape(0, 1, 250), (0, [1000, 300]), 0, 1250),
        (Shape(1_000, 1, 500), (8_000, []), 0, 0),
    ],
)
def test_what_is_useless_to_a_class_and_what_it_could_take(shape, state, useless, fillable):
    measures, node = of(shape), states(state)
    assert measures.useless(node).tolist() == [[useless]]
    assert measures.fillable(node).tolist() == [[fillable]]


shapes = st.one_of(
    st.builds(Shape, st.integers(0, 9_000), st.just(1), st.integers(1, 1000)),
    st.builds(Shape, st.integers(0, 9_000), st.integers(2, 5), st.just(1000)),
)
idle_gpus = st.lists(st.sampled_from([0, 100, 250, 500, 900, 1000]), min_size=1, max_size=4)


@given(shapes, st.integers(0, 9_000), idle_gpus)
def test_fragmentation_is_what_pools_are_told_of(shape: Shape, cpu: int, gpus: list[int]):
    task = TaskClass(shape.gpu_count, "", shape.cpu_millis, 0, shape.gpu_millis)
    node = IdleNode(cpu, 0, tuple(("t4", part) for part in gpus))
    assert of(shape).useless(states((cpu, gpus))).tolist() == [[useless_to(task, node)]]


@given(shapes, st.integers(0, 9_000), idle_gpus)
def test_what_a_class_could_take_is_not_useless_to_it(shape: Shape, cpu: int, gpus: list[int]):
    measures, node = of(shape), states((cpu, gpus))
    assert measures.fillable(node) + measures.useless(node) <= sum(gpus)
