"""Cards that may be divided, as their nodes tell of them and as layouts are stored."""

import pytest

from tests.support.divisible import divisible
from tests.support.nodes import GIB, an_inventory
from windlass.agents.v1.health_pb2 import NodeHealth
from windlass.resources.v1 import node_pb2
from windlass_server.resources.card_message import add_cards, fill_layouts
from windlass_server.resources.cards import (
    REST,
    RETRY,
    cards_of,
    going,
    instance_type,
    instances_of,
    instances_text,
    layout_directive,
    with_layouts,
)
from windlass_server.resources.health_record import (
    forget_instances,
    look_at,
    note_inventory,
)
from windlass_server.scheduler.snapshot import Card, Instance
from windlass_server.storage.tables import GpuLayoutRow

CHANGING, DONE, FAILED = 1, 2, 3


def a_layout(instances: str, state: int, *, card: str = "GPU-0") -> GpuLayoutRow:
    return GpuLayoutRow(
        node_id="node-1",
        card_uuid=card,
        generation=7,
        instances=instances,
        state=state,
        message="the driver refused" if state == FAILED else "",
        changed_at=1_000,
    )


def test_a_card_is_what_its_node_says() -> None:
    whole, split, empty = cards_of(divisible(None, "3g.40gb@4 1g.10gb@0", ""))
    assert (whole.uuid, whole.gpu_type, whole.memory_bytes) == ("GPU-0", "H100", 80 * GIB)
    assert (whole.divided, whole.instances) == (False, ())
    assert [one.gpu_type for one in whole.profiles] == [
        "H100-1g.10gb",
        "H100-3g.40gb",
        "H100-7g.80gb",
    ]
    assert whole.profiles[1].starts == (0, 4)
    assert split.instances == (
        Instance("1g.10gb", 0, "MIG-1-0"),
        Instance("3g.40gb", 4, "MIG-1-4"),
    )
    # A divided card does not tell of its memory as a whole.
    assert split.memory_bytes == 80 * GIB
    assert (empty.divided, empty.instances) == (True, ())


@pytest.mark.parametrize(
    ("_case", "inventory"),
    [
        ("the operator does not allow it", divisible(None, may_be_divided=False)),
        ("an instance of a profile that the card does not tell of", divisible("1g.5gb@0")),
        ("an instance where the profile has no place", divisible("3g.40gb@2")),
        ("it cannot be divided", an_inventory(gpus=1)),
    ],
)
def test_a_card_is_left_to_its_operator(_case: str, inventory) -> None:
    assert cards_of(inventory) == ()


def test_the_type_of_an_instance_is_a_type_that_a_job_may_ask_for() -> None:
    assert instance_type("H100", "1g.10gb") == "H100-1g.10gb"
    assert instance_type("H100", "1g.10gb+me") == "H100-1g.10gbme"
    assert len(instance_type("H" * 60, "1g.10gb")) == 63


@pytest.mark.parametrize("text", ["", "1g.10gb@6", "3g.40gb@0,1g.10gb+me@6"])
def test_layouts_are_read_as_they_were_written(text: str) -> None:
    assert instances_text(instances_of(text)) == text


def test_a_node_is_told_the_places() -> None:
    told = layout_directive(a_layout("3g.40gb@4,1g.10gb@0", CHANGING))
    assert (told.card_uuid, told.generation) == ("GPU-0", 7)
    assert [(one.profile, one.memory_start) for one in told.instances] == [
        ("3g.40gb", 4),
        ("1g.10gb", 0),
    ]


def seen(layout: str | None, row: GpuLayoutRow) -> Card:
    (card,) = with_layouts(cards_of(divisible(layout)), [row])
    return card


def test_what_a_card_is_being_made_is_known_with_what_is_there() -> None:
    card = seen("1g.10gb@6 1g.10gb@3", a_layout("3g.40gb@0,1g.10gb@6", CHANGING))
    assert card.coming == (Instance("3g.40gb", 0), Instance("1g.10gb", 6, "MIG-0-6"))
    assert going(card) == {"MIG-0-3"}
    assert going(seen(None, a_layout("1g.10gb@6", CHANGING))) == {"GPU-0"}
    assert going(seen("1g.10gb@6", a_layout("", CHANGING))) == {"MIG-0-6"}
    assert going(seen("1g.10gb@6", a_layout("1g.10gb@6", DONE))) == set()


def test_a_card_rests_after_a_change_and_longer_after_a_failure() -> None:
    done, failed = seen(None, a_layout("", DONE)), seen(None, a_layout("", FAILED))
    assert (done.rests_until, done.failed) == (1_000 + REST, False)
    assert (failed.rests_until, failed.failed) == (1_000 + RETRY, True)
    assert with_layouts(cards_of(divisible(None)), [a_layout("", DONE, card="GPU-9")]) == cards_of(
        divisible(None)
    )


def test_a_node_shows_its_cards_and_what_becomes_of_them() -> None:
    has = divisible(None, "1g.10gb@6")
    message = node_pb2.Node()
    add_cards(message, has)
    rows = [a_layout("1g.10gb@6", CHANGING), a_layout("1g.10gb@6", FAILED, card="GPU-1")]
    gone = fill_layouts(message, cards_of(has), rows)

    first, second = message.cards
    assert gone == {"GPU-0"}
    assert (first.divided, first.layout_state) == (False, node_pb2.GpuCard.CHANGING)
    assert [(one.profile, one.memory_start, one.uuid) for one in first.layout] == [
        ("1g.10gb", 6, "")
    ]
    assert {one.name: one.max_instances for one in first.profiles} == {
        "1g.10gb": 7,
        "3g.40gb": 2,
        "7g.80gb": 1,
    }
    assert (second.divided, second.layout_state) == (True, node_pb2.GpuCard.FAILED)
    assert second.layout_message == "the driver refused"
    assert [one.uuid for one in second.instances] == ["MIG-1-6"]
    assert second.layout_time.ToMicroseconds() == 1_000


@pytest.mark.parametrize(
    ("_case", "told", "listed"),
    [
        ("whole, and left so", {"divided": False, "may_be_divided": False}, False),
        ("divided by its operator", {"divided": True, "may_be_divided": False}, True),
        ("the server's to divide", {"divided": False, "may_be_divided": True}, True),
    ],
)
def test_a_list_shows_cards_that_are_or_may_be_divided_without_their_profiles(
    _case: str, told: dict[str, bool], listed: bool
) -> None:
    has = divisible(None)
    has.mig_cards[0].divided, has.mig_cards[0].may_be_divided = (
        told["divided"],
        told["may_be_divided"],
    )
    whole, short = node_pb2.Node(), node_pb2.Node()
    add_cards(whole, has)
    add_cards(short, has, listed=True)

    assert [bool(card.profiles) for card in whole.cards] == [True]
    assert [(card.uuid, len(card.profiles)) for card in short.cards] == (
        [("GPU-0", 0)] if listed else []
    )


@pytest.mark.parametrize(
    ("_case", "before", "after", "missing"),
    [
        ("a card that is divided is not missing", divisible(None), divisible("1g.10gb@6"), ()),
        ("nor one that is divided into nothing", divisible(None), divisible(""), ()),
        ("instances that made way are not", divisible("1g.10gb@6"), divisible(None), ()),
        ("what stays is known", divisible("1g.10gb@6"), divisible("1g.10gb@6 3g.40gb@0"), ()),
        ("a card that is gone is", divisible(None, None), divisible(None), ("GPU-1",)),
        (
            "so are the instances of one",
            divisible(None, "1g.10gb@6"),
            divisible(None),
            ("MIG-1-6",),
        ),
    ],
)
def test_what_was_divided_on_purpose_is_not_missing(_case: str, before, after, missing) -> None:
    record = NodeHealth()
    note_inventory(record, before)
    forget_instances(record, before, after)
    note_inventory(record, after)
    assert look_at(record, after).missing == missing
    # When it is whole again it is the same card.
    assert {gpu.uuid for gpu in after.gpus} <= {gpu.uuid for gpu in record.gpus}


def test_an_instance_that_comes_again_begins_anew() -> None:
    record = NodeHealth()
    note_inventory(record, divisible("1g.10gb@6"))
    record.gpus[0].reason = "XID"
    forget_instances(record, divisible("1g.10gb@6"), divisible(None))
    note_inventory(record, divisible("1g.10gb@6"))
    assert [gpu.reason for gpu in record.gpus] == [""]
