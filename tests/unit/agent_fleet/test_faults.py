from collections import Counter
from itertools import islice

from windlass_agent.fleet.faults import FaultKind, FaultPlan

KINDS = ((FaultKind.CUT, 20.0), (FaultKind.KILL, 5.0))


def test_the_same_seed_is_the_same_misfortune():
    def first(seed, nodes):
        return list(islice(FaultPlan(KINDS, 1.0, seed).faults(nodes), 50))

    assert first(1, range(100)) == first(1, range(100))
    assert first(1, range(100)) != first(2, range(100))
    assert first(1, range(100)) != first(1, range(100, 200))


def test_kinds_take_turns_and_only_nodes_of_the_part_are_hit():
    faults = list(islice(FaultPlan(KINDS).faults(range(40, 60)), 400))
    assert Counter(fault.kind for fault in faults) == {FaultKind.CUT: 200, FaultKind.KILL: 200}
    assert {fault.node for fault in faults} == set(range(40, 60))


def test_without_kinds_nothing_befalls_anybody():
    assert list(FaultPlan().faults(range(10))) == []
