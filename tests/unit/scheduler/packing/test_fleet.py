"""A fleet while tasks are placed on it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass_server.scheduler.fragmentation import IdleNode, TaskClass, useless_to
from windlass_server.scheduler.packing.fleet import Fleet, Node, Placed, Task
from windlass_server.scheduler.packing.policies import POLICIES
from windlass_server.scheduler.packing.shapes import Classes, Shape

pytestmark = pytest.mark.timeout(60)

TYPES = ("G2", "T4")
HALF = Task(Shape(4_000, 1, 500), 1_000)


def a_fleet(nodes: list[Node], tasks: list[Task], policy: str, seed: int = 1) -> Fleet:
    demand = Counter(task.shape for task in tasks)
    classes = Classes.of(demand.items(), sorted({node.gpu_type for node in nodes}))
    return Fleet(nodes, POLICIES[policy](classes), np.random.default_rng(seed))


def placed(fleet: Fleet, tasks: list[Task]) -> list[tuple[str, tuple[int, ...]] | None]:
    """Place all, with a look at the fleet between any five."""
    found: list[tuple[str, tuple[int, ...]] | None] = []
    for number, task in enumerate(tasks):
        if number % 5 == 0:
            fleet.renew()
        one = fleet.place(task)
        found.append(one and (fleet.nodes[one.node].node_id, one.gpus))
    return found


nodes = st.lists(
    st.builds(
        Node,
        st.integers(0, 99).map("node-{:02}".format),
        st.sampled_from([8_000, 16_000, 64_000]),
        st.sampled_from([32_000, 64_000]),
        st.lists(st.sampled_from([1000, 1000, 500, 0]), max_size=4).map(tuple),
        st.sampled_from(TYPES),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda node: node.node_id,
)
gpu_types = st.sampled_from([(), (), ("T4",), ("G2", "T4")])
cpu = st.sampled_from([0, 1_000, 4_000, 9_000])
shapes = st.one_of(
    st.builds(Shape, cpu),
    st.builds(Shape, cpu, st.just(1), st.sampled_from([190, 250, 500, 810, 1000]), gpu_types),
    st.builds(Shape, cpu, st.sampled_from([2, 4]), st.just(1000), gpu_types),
)
tasks = st.lists(
    st.builds(Task, shapes, st.sampled_from([0, 8_000, 30_000])), min_size=1, max_size=25
)
policies = st.sampled_from(sorted(POLICIES))


@given(nodes, tasks, policies)
def test_nothing_is_given_twice(nodes: list[Node], tasks: list[Task], policy: str):
    fleet = a_fleet(nodes, tasks, policy)
    left = {node.node_id: [node.cpu_millis, node.memory_mib] for node in nodes}
    gpus = {(node.node_id, gpu): idle for node in nodes for gpu, idle in enumerate(node.gpus)}
    types = {node.node_id: node.gpu_type for node in nodes}
    for task, where in zip(tasks, placed(fleet, tasks), strict=True):
        if where is None:
            continue
        node_id, taken = where
        left[node_id][0] -= task.shape.cpu_millis
        left[node_id][1] -= task.memory_mib
        assert len(set(taken)) == task.shape.gpu_count
        for gpu in taken:
            gpus[node_id, gpu] -= task.shape.gpu_millis
        assert not taken or types[node_id] in (task.shape.gpu_types or TYPES)
    assert min(gpus.values(), default=0) >= 0
    assert min(min(room) for room in left.values()) >= 0
    assert fleet.cpu.tolist() == [left[node.node_id][0] for node in fleet.nodes]
    assert fleet.gpus.sum() == sum(gpus.values())


@given(nodes, tasks, policies)
def test_a_task_is_refused_only_where_no_node_holds_it(
    nodes: list[Node], tasks: list[Task], policy: str
):
    fleet = a_fleet(nodes, tasks, policy)
    for task in tasks:
        before = [(*row, tuple(gpus)) for *row, gpus in rows(fleet)]
        if fleet.place(task) is None:
            assert not any(holds(fleet, index, task) for index in range(len(nodes)))
            assert [(*row, tuple(gpus)) for *row, gpus in rows(fleet)] == before


def rows(fleet: Fleet) -> list[tuple[int, int, list[int]]]:
    return list(zip(fleet.cpu.tolist(), fleet.memory.tolist(), fleet.gpus.tolist(), strict=True))


def holds(fleet: Fleet, index: int, task: Task) -> bool:
    shape, gpus = task.shape, fleet.gpus[index]
    return (
        fleet.cpu[index] >= shape.cpu_millis
        and fleet.memory[index] >= task.memory_mib
        and (gpus >= max(shape.gpu_millis, 1)).sum() >= shape.gpu_count
        and (not shape.gpu_types or fleet.nodes[index].gpu_type in shape.gpu_types)
    ) or (
        not shape.gpu_count
        and fleet.cpu[index] >= shape.cpu_millis
        and fleet.memory[index] >= task.memory_mib
    )


@given(nodes, tasks, policies, st.randoms())
def test_the_order_of_nodes_and_classes_changes_nothing(nodes, tasks, policy, random):
    shuffled = random.sample(nodes, len(nodes))
    classes = Counter(task.shape for task in random.sample(tasks, len(tasks)))
    kinds = sorted({node.gpu_type for node in nodes})
    other = Fleet(
        shuffled, POLICIES[policy](Classes.of(classes.items(), kinds)), np.random.default_rng(1)
    )
    assert placed(other, tasks) == placed(a_fleet(nodes, tasks, policy), tasks)


@settings(max_examples=50)
@given(nodes, tasks)
def test_fgd_takes_what_a_look_at_every_gpu_of_every_node_finds(nodes, tasks):
    """An oracle without arrays, states or tables, over the definition that pools use."""
    fleet = a_fleet(nodes, tasks, "fgd")
    demand = typical(Counter(task.shape for task in tasks))
    for task in tasks:
        best = None
        for index, gpus in each_way(fleet, task):
            after = fleet.gpus[index].copy()
            after[list(gpus)] -= task.shape.gpu_millis
            before = fragmentation(fleet, index, fleet.cpu[index], fleet.gpus[index], demand)
            then = fragmentation(
                fleet, index, fleet.cpu[index] - task.shape.cpu_millis, after, demand
            )
            score = int(100 / (1 + np.exp(round((then - before), 6) / 1000)))
            used = fleet.gpus[index][gpus[0]] if gpus else 0
            if best is None or (-score, index, used, gpus) < best:
                best = (-score, index, used, gpus)
        assert fleet.place(task) == (best and Placed(best[1], best[3]))


def typical(demand: Counter[Shape]) -> Counter[Shape]:
    """The most frequent, until they are 95 % of all."""
    kept: Counter[Shape] = Counter()
    for shape, number in sorted(demand.items(), key=lambda one: (-one[1], one[0])):
        if kept.total() * 100 < demand.total() * 95:
            kept[shape] = number
    return kept


def each_way(fleet: Fleet, task: Task):
    shape = task.shape
    for index in range(len(fleet.nodes)):
        if not holds(fleet, index, task):
            continue
        enough = [gpu for gpu, idle in enumerate(fleet.gpus[index]) if idle >= shape.gpu_millis > 0]
        if shape.gpu_count == 1:
            yield from ((index, (gpu,)) for gpu in enough)
        else:
            yield index, tuple(enough[: shape.gpu_count])


def fragmentation(fleet: Fleet, index: int, cpu: int, gpus, demand: Counter[Shape]) -> float:
    idle_gpus = tuple((fleet.nodes[index].gpu_type.lower(), int(part)) for part in gpus)
    node, total = IdleNode(int(cpu), 0, idle_gpus), 0.0
    for shape, number in demand.items():
        useless = [
            useless_to(
                TaskClass(shape.gpu_count, kind, shape.cpu_millis, 0, shape.gpu_millis), node
            )
            for kind in shape.gpu_types or ("",)
        ]
        total += number * (min(useless) if shape.gpu_count else node.idle)
    return total / sum(demand.values())


def test_a_share_goes_to_the_first_of_equal_gpus_and_whole_ones_to_the_first_that_are_whole():
    fleet = a_fleet([Node("n", 64_000, 64_000, (1000,) * 4, "T4")], [HALF], "best-fit")
    assert fleet.place(HALF) == Placed(0, (0,))
    assert fleet.place(Task(Shape(1_000, 2, 1000))) == Placed(0, (1, 2))
    assert fleet.place(HALF) == Placed(0, (0,))
    assert fleet.place(HALF) == Placed(0, (3,))


def test_only_nodes_that_are_able_take_a_task():
    nodes = [Node(f"n{number}", 64_000, 64_000, (1000,) * 1, "T4") for number in range(3)]
    fleet = a_fleet(nodes, [HALF], "fgd")
    assert fleet.place(HALF, np.array([False, True, False])) == Placed(1, (0,))
    assert fleet.place(HALF, np.array([False, False, False])) is None


def test_memory_decides_only_where_a_task_fits():
    nodes = [Node("a", 64_000, 999, (1000,), "T4"), Node("b", 64_000, 1_000, (1000,), "T4")]
    fleet = a_fleet(nodes, [HALF], "fgd")
    assert fleet.place(HALF) == Placed(1, (0,))
    assert fleet.place(HALF) is None


def test_chance_is_the_same_for_the_same_seed_and_spreads_over_equals():
    nodes = [Node(f"n{number}", 64_000, 64_000, (1000,) * 4, "T4") for number in range(9)]
    many = [replace(HALF, memory_mib=number) for number in range(30)]
    one = placed(a_fleet(nodes, many, "random", seed=3), many)
    assert one == placed(a_fleet(nodes, many, "random", seed=3), many)
    assert one != placed(a_fleet(nodes, many, "random", seed=4), many)
    assert len({where[0] for where in one if where}) > 5
    assert len({where[1] for where in one if where}) == 4


def test_another_policy_takes_over():
    """Best fit would go on with the small node."""
    nodes = [Node("a", 64_000, 64_000, (1000,) * 8, "T4"), Node("b", 8_000, 64_000, (1000,), "T4")]
    anywhere = POLICIES["random"](Classes.of([(HALF.shape, 1)], ["T4"]))
    found = set()
    for seed in range(8):
        fleet = a_fleet(nodes, [HALF], "best-fit", seed)
        assert fleet.place(HALF) == Placed(1, (0,))
        fleet.follow(anywhere)
        found.add(fleet.place(HALF))
    assert found == {Placed(0, (0,)), Placed(1, (0,))}
