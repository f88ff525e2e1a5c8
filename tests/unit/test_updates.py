"""Which fields an update changes."""

import pytest

from windlass.resources.v1.pool_pb2 import Pool, PoolSelector
from windlass_server.errors import InvalidInput
from windlass_server.updates import merged, require_same

FIELDS = ("description", "selector", "priority", "allowed_projects")
STORED = Pool(
    description="old",
    selector=PoolSelector(zones=["a"], labels={"k": "v"}),
    priority=1,
    allowed_projects=["x"],
)


@pytest.mark.parametrize(
    ("wanted", "mask", "result"),
    [
        (Pool(), [], STORED),
        (
            Pool(description="new"),
            [],
            Pool(
                description="new",
                selector=STORED.selector,
                priority=1,
                allowed_projects=["x"],
            ),
        ),
        (
            Pool(selector=PoolSelector(zones=["b"])),
            [],
            Pool(
                description="old",
                selector=PoolSelector(zones=["b"]),
                priority=1,
                allowed_projects=["x"],
            ),
        ),
        (
            Pool(description="ignored"),
            ["allowed_projects", "priority"],
            Pool(description="old", selector=STORED.selector),
        ),
        (Pool(description="all"), ["*"], Pool(description="all")),
        (Pool(pool_id="other", restricted=True, queue_depth=7), [], STORED),
    ],
)
def test_what_the_mask_names_becomes_as_it_is_wanted(wanted: Pool, mask: list[str], result: Pool):
    assert merged(STORED, wanted, mask, FIELDS) == result


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (["pool_id"], "FIELD_NOT_CHANGEABLE"),
        (["selector.zones"], "FIELD_NOT_CHANGEABLE"),
        (["nothing"], "FIELD_NOT_CHANGEABLE"),
        (["", "priority"], "BAD_UPDATE_MASK"),
        ([""], "BAD_UPDATE_MASK"),
        (["*", "priority"], "BAD_UPDATE_MASK"),
    ],
)
def test_what_cannot_be_changed_is_named(mask: list[str], reason: str):
    with pytest.raises(InvalidInput) as refused:
        merged(STORED, Pool(), mask, FIELDS)
    assert [one.field for one in refused.value.violations] == ["update_mask"]
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("wanted", "mask", "named"),
    [
        (Pool(priority=2, pool_id="x"), [], ["pool.priority", "pool.pool_id"]),
        (Pool(priority=1, description="else"), [], []),
        (Pool(), [], []),
        (Pool(priority=2), ["description"], []),
    ],
)
def test_what_stays_as_it_was_made_may_be_said_again(
    wanted: Pool, mask: list[str], named: list[str]
):
    kept = ("priority", "pool_id")
    if not named:
        require_same(STORED, wanted, mask, kept, "pool")
        return
    with pytest.raises(InvalidInput) as refused:
        require_same(STORED, wanted, mask, kept, "pool")
    assert [one.field for one in refused.value.violations] == named


def test_neither_message_is_changed_and_nothing_unknown_is_kept():
    before, wanted = Pool(), Pool(description="new")
    before.CopyFrom(STORED)
    # Field 1000, a number.
    wanted.selector.MergeFromString(PoolSelector(zones=["z"]).SerializeToString() + b"\xc0\x3e\x01")
    result = merged(STORED, wanted, [], FIELDS)
    assert before == STORED
    assert result.selector.SerializeToString() == PoolSelector(zones=["z"]).SerializeToString()
