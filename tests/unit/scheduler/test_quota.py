"""What quotas allow: within guarantees, borrowed, or not at all."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.scheduler.quota import AMOUNTS, Ask, Dimension, Quota, Use, Why
from windlass_server.scheduler.quota_words import refusal_text

GPU, CPU, MEMORY, RUNNING, QUEUED, _ = Dimension


def gpus(count: float) -> dict[Dimension, int]:
    """That many GPUs."""
    return {GPU: round(count * 1000)}


def a_quota(quota_id: str = "q1", project: str = "ml", **values: Any) -> Quota:
    return Quota(quota_id, project, **values)


def an_ask(
    amounts: Mapping[Dimension, int],
    project: str = "ml",
    user: str = "ann",
    types: Mapping[str, int] | None = None,
) -> Ask:
    return Ask(project, user, amounts, types or {})


def h100(count: float, **values: Any) -> Ask:
    return an_ask(gpus(count), types={"h100": round(count * 1000)}, **values)


# A project is guaranteed 8 GPUs, and so is the only other one of its cohort.
GUARANTEED = a_quota(guaranteed=gpus(8))
OTHER = a_quota("q2", "vision", guaranteed=gpus(8))

CASES: list[tuple[str, list[Quota], Ask, list[tuple[Why, Dimension]]]] = [
    ("no quota", [], h100(99), []),
    ("another project's", [a_quota(project="x", limit=gpus(0))], h100(99), []),
    ("up to the limit", [a_quota(limit=gpus(8), used=gpus(6))], h100(2), []),
    ("over the limit", [a_quota(limit=gpus(8), used=gpus(6))], h100(3), [(Why.LIMIT, GPU)]),
    ("a share too much", [a_quota(limit=gpus(1), used=gpus(1))], h100(0.1), [(Why.LIMIT, GPU)]),
    ("more than ever", [a_quota(limit=gpus(8))], h100(9), [(Why.NEVER, GPU)]),
    ("nothing asked of it", [a_quota(limit=gpus(0))], an_ask({CPU: 9}), []),
    ("a limit of nothing", [a_quota(limit={CPU: 0})], an_ask({CPU: 1}), [(Why.NEVER, CPU)]),
    ("below what is held", [a_quota(limit=gpus(8), used=gpus(9))], h100(1), [(Why.LIMIT, GPU)]),
    (
        "below what is held of something else",
        [a_quota(limit=gpus(8), used=gpus(9))],
        an_ask({CPU: 1}),
        [],
    ),
    ("jobs", [a_quota(limit={RUNNING: 1}, used={RUNNING: 1})], an_ask({RUNNING: 1}), [(Why.LIMIT, RUNNING)]),
    ("the same user", [a_quota(user="ann", limit=gpus(1))], h100(2), [(Why.NEVER, GPU)]),
    ("another user", [a_quota(user="bob", limit=gpus(1))], h100(2), []),
    ("the same type", [a_quota(gpu_type="H100", limit=gpus(1))], h100(2), [(Why.NEVER, GPU)]),
    ("another type", [a_quota(gpu_type="A100", limit=gpus(1))], h100(2), []),
    ("a type that is not known yet", [a_quota(gpu_type="H100", limit=gpus(1))], an_ask(gpus(2)), []),
    ("within the guarantee", [GUARANTEED], h100(8), []),
    ("borrowed", [GUARANTEED, OTHER], h100(16), []),
    ("nobody to borrow from", [a_quota(guaranteed=gpus(8), used=gpus(8))], h100(1), [(Why.NOTHING_TO_BORROW, GPU)]),
    ("more than all have", [GUARANTEED, OTHER], h100(17), [(Why.NEVER, GPU)]),
    (
        "what others use is not lent",
        [a_quota(guaranteed=gpus(8), used=gpus(8)), a_quota("q2", "vision", guaranteed=gpus(8), used=gpus(7))],
        h100(2),
        [(Why.NOTHING_TO_BORROW, GPU)],
    ),
    (
        "what is guaranteed is not refused for what others borrowed",
        [a_quota(guaranteed=gpus(8)), a_quota("q2", "vision", guaranteed=gpus(8), used=gpus(16))],
        h100(8),
        [],
    ),
    (
        "others of another cohort lend nothing",
        [a_quota(guaranteed=gpus(8)), a_quota("q2", "vision", cohort="x", guaranteed=gpus(8))],
        h100(9),
        [(Why.NEVER, GPU)],
    ),
    (
        "as much as may be borrowed",
        [a_quota(guaranteed=gpus(8), borrowing=gpus(2), used=gpus(8)), OTHER],
        h100(2),
        [],
    ),
    (
        "more than may be borrowed",
        [a_quota(guaranteed=gpus(8), borrowing=gpus(2), used=gpus(8)), OTHER],
        h100(3),
        [(Why.BORROWING_LIMIT, GPU)],
    ),
    (
        "no borrowing",
        [a_quota(guaranteed=gpus(8), borrowing=gpus(0), used=gpus(8)), OTHER],
        h100(1),
        [(Why.BORROWING_LIMIT, GPU)],
    ),
    (
        "borrowed up to a limit",
        [a_quota(guaranteed=gpus(8), limit=gpus(10), used=gpus(8)), OTHER],
        h100(3),
        [(Why.LIMIT, GPU)],
    ),
    (
        "what dominates is first",
        [a_quota(limit={CPU: 5, GPU: 1000, MEMORY: 9}, used={MEMORY: 9, CPU: 1})],
        an_ask({CPU: 5, GPU: 2000, MEMORY: 1}),
        [(Why.NEVER, GPU), (Why.LIMIT, CPU), (Why.LIMIT, MEMORY)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("quotas", "ask", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])  # fmt: skip
def test_what_is_refused(quotas: list[Quota], ask: Ask, why: list[tuple[Why, Dimension]]) -> None:
    refusals = Use(quotas).refusals(ask)
    assert [(one.why, one.dimension) for one in refusals] == why
    never = [one for one in why if one[0] is Why.NEVER]
    assert [(one.why, one.dimension) for one in Use(quotas).never(ask)] == never


def test_what_was_given_counts_and_what_ended_does_not() -> None:
    use = Use([a_quota(limit=gpus(8)), a_quota("q2", user="ann", gpu_type="H100", limit=gpus(4))])
    use.take(h100(4))
    assert [one.quota.quota_id for one in use.refusals(h100(1))] == ["q2"]
    assert not use.refusals(h100(4, user="bob"))
    use.take(h100(4, user="bob"))
    assert [one.quota.quota_id for one in use.refusals(h100(1))] == ["q1", "q2"]
    use.give_back(h100(4))
    assert not use.refusals(h100(4))


SENTENCES = [
    (a_quota(limit=gpus(8)), h100(9), "needs 9 GPUs; project ml may have 8 GPUs at most by its quota"),
    (
        a_quota(user="ann", gpu_type="H100", limit=gpus(8), used=gpus(8)),
        h100(0.5),
        "needs 0.5 H100; user ann in project ml has 8 H100 of the 8 H100 that its quota allows",
    ),
    (
        a_quota(limit={RUNNING: 2}, used={RUNNING: 2}),
        an_ask({RUNNING: 1}),
        "needs 1 running job; project ml has 2 running jobs of the 2 running jobs that its quota allows",
    ),
    (
        a_quota(guaranteed={MEMORY: 1 << 30}, borrowing={MEMORY: 1 << 29}, used={MEMORY: 1 << 30}),
        an_ask({MEMORY: 1 << 30}),
        "needs 1 GiB; project ml has 1 GiB and may borrow 0.5 GiB beyond the 1 GiB that it is guaranteed",
    ),
    (
        a_quota(guaranteed={CPU: 4000}, used={CPU: 4000}),
        an_ask({CPU: 3000}),
        ("needs 3 cores; project ml has 4 cores, and beyond the 4 cores that it is guaranteed others leave "
        "2 cores to borrow"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("quota", "ask", "sentence"), SENTENCES)
def test_a_sentence_has_the_numbers(quota: Quota, ask: Ask, sentence: str) -> None:
    others = [a_quota("q2", "b", guaranteed={CPU: 5000, MEMORY: 1 << 32}, used={CPU: 3000})]
    assert refusal_text(Use([quota, *others]).refusals(ask)[0]) == sentence


GUARANTEES = [
    ("no quota", [], h100(1), False),
    ("within", [a_quota(guaranteed=gpus(8), used=gpus(7))], h100(1), True),
    ("beyond", [a_quota(guaranteed=gpus(8), used=gpus(7))], h100(2), False),
    ("only a limit", [a_quota(limit=gpus(8))], h100(1), False),
    ("of its type", [a_quota(gpu_type="H100", guaranteed=gpus(8))], h100(1), True),
    ("of another type", [a_quota(gpu_type="A100", guaranteed=gpus(8))], h100(1), False),
    ("GPUs by a guarantee of CPU", [a_quota(guaranteed={CPU: 9})], an_ask({CPU: 1, GPU: 1}), False),
    ("CPU by a guarantee of CPU", [a_quota(guaranteed={CPU: 9})], an_ask({CPU: 1}), True),
    ("CPU by a guarantee of GPUs", [GUARANTEED], an_ask({CPU: 1}), False),
    ("beyond in one thing", [a_quota(guaranteed={GPU: 1, CPU: 1})], an_ask({GPU: 1, CPU: 2}), False),
]  # fmt: skip


@pytest.mark.parametrize(("quotas", "ask", "can"), [case[1:] for case in GUARANTEES], ids=[case[0] for case in GUARANTEES])  # fmt: skip
def test_what_can_be_counted_on(quotas: list[Quota], ask: Ask, can: bool) -> None:
    use = Use(quotas)
    assert use.within_guarantee(ask) is can
    # What one can count on, and has, is not borrowed.
    use.take(ask)
    assert use.borrows(ask) is (bool(use.guarantees) and not can)


def test_work_without_any_guarantee_is_borrowed_where_others_have_one() -> None:
    assert not Use([a_quota(limit=gpus(8))]).borrows(h100(1))
    assert Use([OTHER]).borrows(h100(1))


def test_what_can_be_borrowed_is_what_others_leave() -> None:
    use = Use([GUARANTEED, OTHER])
    assert use.borrowable(GUARANTEED, GPU) == 8000
    use.take(h100(3, project="vision"))
    assert use.borrowable(GUARANTEED, GPU) == 5000
    use.take(h100(10))
    assert (use.borrowable(GUARANTEED, GPU), use.borrowable(OTHER, GPU)) == (3000, 0)


_PROJECTS, _USERS, _TYPES = ("a", "b", "c"), ("u", "v"), ("", "H100", "A100")
_amount = st.integers(0, 6)
_amounts = st.dictionaries(st.sampled_from(AMOUNTS), _amount)


@st.composite
def _quotas(draw: st.DrawFn) -> list[Quota]:
    owners = st.tuples(
        st.sampled_from(_PROJECTS), st.sampled_from(("", *_USERS)), st.sampled_from(_TYPES)
    )
    quotas = []
    for number, (project, user, kind) in enumerate(draw(st.sets(owners, max_size=8))):
        guaranteed = {} if user else draw(_amounts)
        borrowing = {one: draw(_amount) for one in guaranteed if draw(st.booleans())}
        limit = draw(st.dictionaries(st.sampled_from((*AMOUNTS, RUNNING)), _amount))
        bounds = (guaranteed, borrowing, limit)
        if kind:
            bounds = tuple({GPU: one[GPU]} if GPU in one else {} for one in bounds)
        cohort = draw(st.sampled_from(("", "x")))
        quotas.append(Quota(f"q{number}", project, user, kind, cohort, *bounds))
    return quotas  # fmt: skip


@st.composite
def _asks(draw: st.DrawFn) -> Ask:
    amounts = {RUNNING: 1, CPU: draw(_amount), MEMORY: draw(_amount), GPU: draw(_amount)}
    kind = draw(st.sampled_from(("h100", "a100")))
    project, user = draw(st.sampled_from(_PROJECTS)), draw(st.sampled_from(_USERS))
    return Ask(project, user, amounts, {kind: amounts[GPU]} if amounts[GPU] else {})


def _held(quota: Quota, dimension: Dimension, holders: list[Ask]) -> int:
    """What the owner of a quota has, by an own count."""
    total = 0
    for one in holders:
        if one.project == quota.project and quota.user in ("", one.user):
            if not quota.gpu_type:
                total += one.amounts[dimension]
            elif dimension is GPU:
                total += one.gpus.get(quota.gpu_type.lower(), 0)
    return total


@given(_quotas(), st.lists(st.tuples(_asks(), st.booleans()), max_size=40))
def test_no_sequence_of_givings_and_ends_exceeds_a_quota(
    quotas: list[Quota], events: list[tuple[Ask, bool]]
) -> None:
    use, holders = Use(quotas), list[Ask]()
    for ask, ends in events:
        if ends and holders:
            use.give_back(holders.pop(0))
        refused = use.refusals(ask)
        guaranteed = use.within_guarantee(ask)
        # What is guaranteed is refused by limits alone, whatever others have.
        assert not guaranteed or {one.why for one in refused} <= {Why.LIMIT, Why.NEVER}
        if refused:
            continue
        before = {one.quota_id: {d: _held(one, d, holders) for d in AMOUNTS} for one in quotas}
        holders.append(ask)
        use.take(ask)
        for quota in quotas:
            for dimension in (*AMOUNTS, RUNNING):
                held = _held(quota, dimension, holders)
                assert use.used(quota, dimension) == held
                assert held <= quota.limit.get(dimension, held)
                if dimension not in quota.guaranteed:
                    continue
                assert held <= quota.guaranteed[dimension] + quota.borrowing.get(dimension, held)
                if held > max(quota.guaranteed[dimension], before[quota.quota_id][dimension]):
                    members = [
                        one for one in quotas
                        if (one.cohort, one.gpu_type) == (quota.cohort, quota.gpu_type)
                        and dimension in one.guaranteed
                    ]  # fmt: skip
                    assert sum(_held(one, dimension, holders) for one in members) <= sum(
                        one.guaranteed[dimension] for one in members
                    )


@given(_quotas(), st.lists(_asks(), max_size=20), st.randoms())
def test_the_order_of_quotas_changes_nothing(
    quotas: list[Quota], asks: list[Ask], random: Any
) -> None:
    shuffled = list(quotas)
    random.shuffle(shuffled)
    one, other = Use(quotas), Use(shuffled)
    for ask in asks:
        assert one.refusals(ask) == other.refusals(ask)
        if not one.refusals(ask):
            one.take(ask)
            other.take(ask)
