"""How cards are divided for jobs that wait."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.cards import BY_NAME, a_card, assert_possible, begun, divided, node_of
from tests.unit.scheduler.worlds import GIB, a_job, with_job
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.snapshot import (
    Demand,
    Instance,
    Kept,
    Moment,
    NodeState,
    Snapshot,
)

NOW = 1_000_000_000


def wants(profile: str, count: int = 1, *, job_id: str = "job-1", **values) -> Demand:
    return replace(a_job(job_id, gpus=count, **values), mig_profile=profile)


def wants_memory(gib: int, count: int = 1, *, job_id: str = "job-1", **values) -> Demand:
    return replace(a_job(job_id, gpus=count, **values), gpu_memory_bytes=gib * GIB)


def planned(*queue: Demand, on: list[NodeState], moments=()):
    return plan(Snapshot(queue, tuple(on), moments=moments, now=NOW))


def layouts(result) -> dict[str, str]:
    return {
        change.card_uuid: " ".join(f"{one.profile}@{one.start}" for one in change.instances)
        for change in result.changes
    }


@pytest.mark.parametrize(
    ("_case", "job", "cards", "expected"),
    [
        ("an idle card is broken into", wants("1g.10gb"), [a_card("c")], {"c": "1g.10gb@6"}),
        (
            "also for who asks by the type of its instances",
            a_job(gpus=1, gpu_type="h100-3g.40gb"),
            [a_card("c")],
            {"c": "3g.40gb@4"},
        ),
        (
            "several for one job lie on one card",
            wants("1g.10gb", 3),
            [a_card("c"), a_card("d")],
            {"c": "1g.10gb@4 1g.10gb@5 1g.10gb@6"},
        ),
        (
            "room on a divided card comes first",
            wants("2g.20gb"),
            [a_card("c"), a_card("d", "3g.40gb@0", busy=[0])],
            {"d": "3g.40gb@0 2g.20gb@4"},
        ),
        (
            "an idle instance makes way",
            wants("4g.40gb"),
            [a_card("c", "1g.10gb@3")],
            {"c": "4g.40gb@0"},
        ),
        (
            "idle ones that are not in the way stay",
            wants("4g.40gb"),
            [a_card("c", "1g.10gb@3 1g.10gb@6")],
            {"c": "4g.40gb@0 1g.10gb@6"},
        ),
        (
            "a busy one is in the way, so another card is taken",
            wants("4g.40gb"),
            [a_card("c", "1g.10gb@3", busy=[3]), a_card("d")],
            {"d": "4g.40gb@0"},
        ),
        ("a busy card is not broken into", wants("1g.10gb"), [a_card("c", busy=[0])], {}),
        (
            "a card that was changed a moment ago is left alone",
            wants("4g.40gb"),
            [a_card("c", "1g.10gb@3", rests_until=NOW + 1)],
            {},
        ),
        (
            "but what has room on it beside what was made may be added",
            wants("3g.40gb"),
            [a_card("c", "1g.10gb@3", rests_until=NOW + 1)],
            {"c": "1g.10gb@3 3g.40gb@4"},
        ),
        (
            "nor is it made whole",
            a_job(gpus=1),
            [a_card("c", "1g.10gb@3", rests_until=NOW + 1)],
            {},
        ),
        (
            "a card that is being divided for it will do",
            wants("1g.10gb"),
            [a_card("c", coming=(Instance("1g.10gb", 6),)), a_card("d")],
            {},
        ),
        (
            "a whole card is made of an idle divided one",
            a_job(gpus=1, gpu_type="H100"),
            [a_card("c", "1g.10gb@6"), a_card("d", "1g.10gb@6 1g.10gb@5", busy=[5])],
            {"c": ""},
        ),
        ("also for whoever takes any type", a_job(gpus=1), [a_card("c", "1g.10gb@6")], {"c": ""}),
        (
            "whole cards that are there and one that is made",
            a_job(gpus=2),
            [a_card("c"), a_card("d", "")],
            {"d": ""},
        ),
        (
            "for memory the smallest that is enough",
            wants_memory(15),
            [a_card("c")],
            {"c": "1g.20gb@6"},
        ),
        (
            "for more memory than any part has: the whole card",
            wants_memory(70),
            [a_card("c", "1g.10gb@6")],
            {"c": ""},
        ),
        (
            "a failed card is not tried again at once",
            wants("1g.10gb"),
            [a_card("c", failed=True, rests_until=NOW + 1)],
            {},
        ),
    ],
)
def test_what_is_made_for_a_job(_case: str, job: Demand, cards, expected: dict[str, str]) -> None:
    result = planned(job, on=[node_of("n1", *cards)])
    assert layouts(result) == expected
    assert [one.reason for one in result.waiting] == [
        "GPU_LAYOUT_CHANGING" if expected or any(card.coming for card, _ in cards) else ANY
    ]


class _Any:
    def __eq__(self, other: object) -> bool:
        return other != "GPU_LAYOUT_CHANGING"

    __hash__ = None  # type: ignore[assignment]


ANY = _Any()


@pytest.mark.parametrize(
    ("_case", "job", "cards", "gpu"),
    [
        ("a free instance", wants("1g.10gb"), [a_card("a"), a_card("c", "1g.10gb@6")], "c/6"),
        (
            "the smallest that is enough",
            wants_memory(15),
            [a_card("c", "3g.40gb@0 1g.20gb@6")],
            "c/6",
        ),
        (
            "a larger one that is there",
            wants_memory(15),
            [a_card("a"), a_card("c", "3g.40gb@0")],
            "c/0",
        ),
        (
            "the whole card that cannot be divided",
            wants_memory(15),
            [a_card("c", failed=True)],
            "c",
        ),
        ("the whole card when no part is enough", wants_memory(41), [a_card("c")], "c"),
        (
            "an instance of cards of a type",
            wants("1g.10gb", gpu_type="h100"),
            [a_card("c", "1g.10gb@6")],
            "c/6",
        ),
    ],
)
def test_what_is_there_is_given(_case: str, job: Demand, cards, gpu: str) -> None:
    result = planned(job, on=[node_of("n1", *cards)])
    assert [one.gpu_uuids for one in result.placements] == [(gpu,)]
    assert result.changes == ()


def test_the_node_with_the_fewest_idle_cards_is_broken_into() -> None:
    many = node_of("a", *(a_card(f"a{number}") for number in range(8)))
    few = node_of("b", *(a_card(f"b{number}") for number in range(2)))
    assert [*layouts(planned(wants("1g.10gb"), on=[many, few]))] == ["b0"]


def test_seven_jobs_share_one_card_and_the_eighth_breaks_another() -> None:
    queue = [wants("1g.10gb", job_id=f"job-{number}") for number in range(8)]
    result = planned(*queue, on=[node_of("n1", a_card("c"), a_card("d"))])
    assert {card: len(text.split()) for card, text in layouts(result).items()} == {"c": 7, "d": 1}
    assert {one.message for one in result.waiting} == {"a card of node n1 is being divided for it"}


def test_the_queue_decides_who_gets_the_card() -> None:
    whole, part = a_job("job-1", gpus=1, gpu_type="H100"), wants("4g.40gb", job_id="job-2")
    node = node_of("n1", a_card("c", "1g.10gb@3"))
    assert layouts(planned(whole, part, on=[node])) == {"c": ""}
    assert layouts(planned(whole, replace(part, priority=1), on=[node])) == {"c": "4g.40gb@0"}


@pytest.mark.parametrize(
    ("_case", "values"),
    [
        ("unreachable", {"ready": False}),
        ("cordoned", {"takes_work": False}),
        ("without CPU", {"cpu_free": 0}),
        ("of another pool", {"pool": "other"}),
    ],
)
def test_no_card_is_divided_in_vain(_case: str, values: dict[str, object]) -> None:
    job = replace(wants("1g.10gb"), pools=("default",))
    assert planned(job, on=[node_of("n1", a_card("c"), **values)]).changes == ()


def test_what_is_reserved_is_not_broken_into() -> None:
    node = node_of("n1", a_card("c"), a_card("d"))

    def kept(count: int) -> tuple[Moment, ...]:
        part = Kept("resv-1", "others", frozenset(), 0, 0, count, "H100", NOW + 10**9)
        return (Moment(node.node_id, NOW, 32_000, 256 * GIB, {"H100": 2}, (part,)),)

    three = wants("4g.40gb", job_id="job-2")
    assert planned(wants("1g.10gb"), on=[node], moments=kept(2)).changes == ()
    assert [*layouts(planned(wants("1g.10gb"), three, on=[node], moments=kept(1)))] == ["c"]
    two = [wants("4g.40gb", job_id=f"job-{number}") for number in range(2)]
    assert [*layouts(planned(*two, on=[node], moments=kept(1)))] == ["c"]


@pytest.mark.parametrize(
    "cards", [[a_card("c")], [a_card("c", "1g.10gb@6")]], ids=["whole", "divided otherwise"]
)
def test_no_card_is_divided_on_a_node_that_has_just_failed_the_job(cards) -> None:
    job = wants("3g.40gb", faults={"n1": NOW + 60_000_000})
    other = wants("1g.10gb", job_id="job-2")
    result = planned(job, other, on=[node_of("n1", *cards)])
    waits = {one.job_id: one for one in result.waiting}
    assert waits["job-1"].reason == "NODE_AVOIDED"
    assert waits["job-1"].message.startswith("has room on node n1, which failed its earlier run")
    assert [one.job_id for one in result.placements] == (["job-2"] if cards[0][0].divided else [])


@pytest.mark.parametrize(
    ("_case", "job", "kept", "expected"),
    [
        ("the whole card is wanted", a_job(gpus=1, gpu_type="H100"), 2, {}),
        ("one of two is kept", a_job(gpus=1, gpu_type="H100"), 1, {}),
        ("nothing is kept", a_job(gpus=1, gpu_type="H100"), 0, {"c": ""}),
        ("instances are in the way of a larger one", wants("7g.80gb"), 2, {}),
        (
            "one has a place beside them",
            wants("4g.40gb"),
            2,
            {"c": "4g.40gb@0 1g.10gb@5 1g.10gb@6"},
        ),
    ],
)
def test_reserved_instances_do_not_make_way(
    _case: str, job: Demand, kept: int, expected: dict[str, str]
) -> None:
    node = node_of("n1", a_card("c", "1g.10gb@6 1g.10gb@5"))
    part = Kept("resv-1", "others", frozenset(), 0, 0, kept, "H100-1g.10gb", NOW + 10**9)
    moment = Moment(node.node_id, NOW, 32_000, 256 * GIB, {"H100-1g.10gb": 2}, (part,))
    assert layouts(planned(job, on=[node], moments=(moment,))) == expected
    theirs = replace(job, project="others")
    assert layouts(planned(theirs, on=[node], moments=(moment,)))


@pytest.mark.parametrize(
    ("_case", "job", "expected"),
    [
        ("a profile that the cards have", wants("3g.40gb", 2), None),
        ("as many as one node could have", wants("1g.10gb", 14), None),
        ("more than that", wants("1g.10gb", 15), "gpu_count"),
        ("a profile of no card", wants("9g.90gb"), "mig_profile"),
        ("of cards that there are not", wants("1g.10gb", gpu_type="A100"), "gpu_type"),
        ("memory of a whole card", wants_memory(80), None),
        ("memory of none", wants_memory(81), "gpu_memory_bytes"),
        ("whole cards, though both are divided", a_job(gpus=2, gpu_type="H100"), None),
        ("instances by their type", a_job(gpus=3, gpu_type="H100-2g.20gb"), None),
    ],
)
def test_what_could_ever_be(_case: str, job: Demand, expected: str | None) -> None:
    node = node_of("n1", a_card("c", "1g.10gb@6"), a_card("d", "3g.40gb@0", busy=[0]))
    found = could_ever_fit(job, [node], [])
    assert (found.dimension if found else None) == expected


def test_what_can_never_be_is_said_with_what_there_could_be() -> None:
    node = node_of("n1", a_card("c"))
    found = could_ever_fit(wants("9g.90gb"), [node], [])
    assert found is not None
    assert found.message == (
        "needs 1 instance 9g.90gb; no card is divided so, or may be (profiles there are: 1g.10gb, "
        "1g.20gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb)"
    )
    memory = could_ever_fit(wants_memory(81), [node], [])
    assert memory is not None
    assert memory.message == ("needs 1 GPU with 81 GiB; the most on one node is 80 GiB (node n1)")


CARDS = st.lists(
    st.tuples(
        st.sampled_from(
            [None, None, "", "1g.10gb@6", "1g.10gb@6 1g.10gb@5 2g.20gb@2", "3g.40gb@4 4g.40gb@0"]
        ),
        st.sets(st.sampled_from([0, 2, 4, 5, 6])),
    ),
    min_size=1,
    max_size=3,
)
JOBS = st.lists(
    st.one_of(
        st.builds(wants, st.sampled_from([*BY_NAME]), st.sampled_from([1, 1, 2, 3])),
        st.builds(wants_memory, st.sampled_from([5, 15, 30, 60]), st.sampled_from([1, 1, 2])),
        st.builds(lambda count: a_job(gpus=count, gpu_type="H100"), st.sampled_from([1, 2])),
        st.builds(lambda count: a_job(gpus=count), st.sampled_from([1, 2])),
    ),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(nodes=st.lists(CARDS, min_size=1, max_size=2), jobs=JOBS, slow=st.booleans())
def test_a_queue_to_which_nothing_is_added_comes_to_rest(
    nodes, jobs: list[Demand], slow: bool
) -> None:
    """Jobs never end: each change must lead to a placement. Slow changes take a round."""
    queue = [replace(job, job_id=f"job-{at}", order=f"{at}") for at, job in enumerate(jobs)]
    world = {f"node-n{number}": _node(number, cards) for number, cards in enumerate(nodes)}
    under_way: list[Change] = []
    rounds = 0
    while True:
        result = planned(*queue, on=[*world.values()])
        if not result.placements and not result.changes and not under_way:
            break
        rounds += 1
        assert rounds <= 3 * len(jobs) + 1
        for change in under_way:
            world[change.node_id] = divided(world[change.node_id], change)
        by_id = {job.job_id: job for job in queue}
        for one in result.placements:
            job, node = by_id.pop(one.job_id), world[one.node_id]
            assert len(set(one.gpu_uuids)) == job.gpu_count
            assert all(_does(job, gpu) for gpu in _named(node, one.gpu_uuids))
            world[one.node_id] = with_job(node, job, one.gpu_uuids)
        queue = [*by_id.values()]
        under_way = [*result.changes] if slow else []
        for change in result.changes:
            world[change.node_id] = (begun if slow else divided)(world[change.node_id], change)
        for node in world.values():
            for card in node.cards:
                assert_possible(card)
    assert all(one.reason != "GPU_LAYOUT_CHANGING" for one in result.waiting)
    _assert_no_easy_one_waits(queue, [*world.values()])


def _node(number: int, cards) -> NodeState:
    return node_of(
        f"n{number}",
        *(a_card(f"{number}-{at}", layout, busy=busy) for at, (layout, busy) in enumerate(cards)),
    )


def _named(node: NodeState, uuids) -> list:
    found = [gpu for gpu in node.gpus if gpu.uuid in uuids]
    assert len(found) == len(uuids)
    assert not any(gpu.held for gpu in found)
    return found


def _does(job: Demand, gpu) -> bool:
    if job.mig_profile:
        return bool(gpu.profile == job.mig_profile)
    return gpu.memory_bytes >= job.gpu_memory_bytes if job.gpu_memory_bytes else not gpu.part


def _assert_no_easy_one_waits(queue: list[Demand], nodes: list[NodeState]) -> None:
    """While a card is idle as a whole, no job waits that one card could serve alone."""
    idle = any(
        not any(gpu.held for gpu in node.gpus if gpu.uuid.split("/")[0] == card.uuid)
        for node in nodes
        for card in node.cards
    )
    assert not (idle and any(job.gpu_count == 1 for job in queue))
