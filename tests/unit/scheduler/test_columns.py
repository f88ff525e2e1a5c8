"""Columns that were kept from cycle to cycle are those that are made of the nodes as they are."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.cards import a_card, node_of
from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.columns import free_columns, full_columns
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import free_room, full_room, in_columns

KINDS = [
    a_node,
    lambda name: a_node(name, gpus=2),
    lambda name: a_node(name, gpus=2, held=2),
    lambda name: a_node(name, gpus=2, sick=1, takes_work=False),
    lambda name: a_node(name, gpus=4, gpu_type="A100", pool="other", cpu_free=-5),
    lambda name: a_node(name, gpus=4, sharers=3, shared=[(500, 1)], ready=False),
    lambda name: node_of(name, a_card(f"{name}-c", "3g.40gb@0 1g.10gb@4", busy=[0])),
]
NAMES = st.sampled_from("abcdef")
STEPS = st.lists(st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=3), max_size=6)


def without_zeros(room):
    """What a room says; a column of zeros by name says nothing."""
    said = {each.name: getattr(room, each.name) for each in fields(room)}
    for name, value in said.items():
        if isinstance(value, np.ndarray):
            said[name] = value.tolist()
        elif name not in ("places", "parts"):
            said[name] = {key: column.tolist() for key, column in value.items() if column.any()}
    return said


@given(st.dictionaries(NAMES, st.sampled_from(KINDS)), STEPS)
def test_what_was_kept_is_what_would_be_made(first, steps):
    there = {name: kind(name) for name, kind in first.items()}
    for changes in [{}, *steps]:
        for name, kind in changes.items():
            # One that is as it was is gone; any other comes, or is another from now on.
            if name in there and there[name] == kind(name):
                del there[name]
            else:
                there[name] = kind(name)
        nodes = [there[name] for name in sorted(there)]
        for kept, room in ((free_columns, free_room), (full_columns, full_room)):
            made = in_columns([room(node) for node in nodes])
            assert without_zeros(kept(nodes)) == without_zeros(made)


def test_nodes_that_are_the_same_are_not_looked_at_again():
    nodes = [a_node("a", gpus=2), a_node("b")]
    assert free_columns(nodes) is free_columns(list(nodes))
    assert free_columns([*nodes, a_node("c")]) is not free_columns(nodes)


def test_nobody_writes_into_what_was_kept():
    nodes = [a_node("a", gpus=2), a_node("b", gpus=2)]
    columns = free_columns(nodes)
    with pytest.raises(ValueError, match="read-only"):
        columns.gpus["h100"][0] = 7
    again = free_columns([nodes[0], replace(nodes[1], cpu_free=1)])
    with pytest.raises(ValueError, match="read-only"):
        again.cpu_millis[0] = 7


def test_a_plan_takes_of_its_own_copy():
    nodes = [a_node("a", gpus=2), a_node("b", gpus=2)]
    for _ in range(2):
        ledger = Ledger(nodes)
        assert len(ledger.take(0, a_job(gpus=2))) == 2
        assert ledger.free.gpus["h100"].tolist() == [0, 2]
        assert ledger.start.gpus["h100"].tolist() == [2, 2]
