"""What is there when a process begins to serve is not looked through for garbage any more."""

import gc

import pytest

from windlass_server.gateway.collector import set_for_serving


@pytest.fixture
def as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Node:
    """Something that can be part of a cycle."""


@pytest.mark.usefixtures("as_before")
def test_what_is_there_stays_and_what_comes_later_is_collected():
    stays = [Node() for _ in range(1000)]
    set_for_serving()
    assert gc.get_freeze_count() >= len(stays)
    assert not any(one is stays[0] for one in gc.get_objects())
    later = Node()
    later.itself = later
    assert any(one is later for one in gc.get_objects())
    del later
    assert gc.collect() >= 1
    assert gc.get_threshold() == (5_000, 1, 1200)
