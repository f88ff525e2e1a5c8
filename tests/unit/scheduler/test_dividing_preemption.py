"""Others are stopped so that their card can be divided for a job, or made whole: then it is kept for that."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.cards import a_card, begun, divided, node_of, placed
from tests.unit.scheduler.crowds import (
    MINUTE,
    NOW,
    ON,
    a_run,
    high,
    policies,
    price,
    stopped,
    without,
)
from tests.unit.scheduler.worlds import GIB, a_job
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.policies import Policies
from windlass_server.scheduler.preempting import MakingRoom, Preemptions
from windlass_server.scheduler.snapshot import Demand, NodeState, Running, Snapshot

pytestmark = pytest.mark.timeout(60)

PART = "1g.10gb"


def part(count: int = 1, profile: str = PART, **values: object) -> Demand:
    return high(count, mig_profile=profile, **values)


def holder(job_id: str, *uuids: str, gpu_type: str = "H100", **values: object) -> Running:
    run = a_run(job_id, "n1", **values)  # type: ignore[arg-type]
    return replace(run, gpu_uuids=uuids, gpu_type=gpu_type)


def a_world(
    jobs: Sequence[Demand],
    node: NodeState,
    runs: Sequence[Running],
    leaving: int | None = None,
) -> Snapshot:
    """`leaving`: so many still leave that were stopped for the first of the jobs; None: nobody was."""
    there = () if leaving is None else (MakingRoom("high", (node.node_id,), leaving, 1),)
    node = replace(
        node,
        cpu_free=node.cpu_millis - sum(run.cpu_millis for run in runs),
        memory_free=node.memory_bytes - sum(run.memory_bytes for run in runs),
    )
    return Snapshot(
        tuple(jobs),
        (node,),
        now=NOW,
        policies=policies(ON),
        running=tuple(runs),
        preemptions=Preemptions(making_room=there),
    )


def reasons(result: Plan) -> dict[str, str]:
    return {one.job_id: str(one.reason) for one in result.waiting}


WHOLE_CARD = node_of("n1", a_card("c0", busy=[0]))
TWO_PARTS = node_of("n1", a_card("c0", "3g.40gb@0 3g.40gb@4", busy=[0, 4]))
HALF = "H100-3g.40gb"
HALVES = [
    holder("a", "c0/0", gpu_type=HALF, unsaved=MINUTE),
    holder("b", "c0/4", gpu_type=HALF),
]


@pytest.mark.parametrize(
    ("_case", "job", "node", "runs", "expected"),
    [
        ("a whole card", part(), WHOLE_CARD, [holder("low", "c0")], "low"),
        ("as many as fit on it", part(7), WHOLE_CARD, [holder("low", "c0")], "low"),
        ("more than fit on it", part(8), WHOLE_CARD, [holder("low", "c0")], ""),
        ("not of an equal", part(), WHOLE_CARD, [holder("low", "c0", priority=100)], ""),
        (
            "not of who stays",
            part(), WHOLE_CARD, [holder("low", "c0", preemptible=False)], "",
        ),
        ("not where there is no CPU", part(cpu_millis=64_000), WHOLE_CARD, [holder("low", "c0")], ""),
        ("a part that is cut smaller, the cheaper", part(), TWO_PARTS, HALVES, "a"),
        ("both, for a larger one", part(profile="7g.80gb"), TWO_PARTS, HALVES, "a b"),
        ("both, so that the card is whole", high(1), TWO_PARTS, HALVES, "a b"),
        (
            "memory of a part",
            high(1, gpu_memory_bytes=9 * GIB), WHOLE_CARD, [holder("low", "c0")], "low",
        ),
        ("never for who wants the node alone", part(exclusive=True), WHOLE_CARD, [], ""),
        (
            "nobody where a card is idle",
            part(), node_of("n1", a_card("c0", busy=[0]), a_card("c1")), [holder("low", "c0")], "",
        ),
        (
            "nobody while a card rests",
            part(), node_of("n1", a_card("c0", "", failed=True, rests_until=NOW + 1)), [], "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_whose_cards_are_divided(_case, job, node, runs, expected):
    assert stopped(plan(a_world([job], node, runs))) == set(expected.split())


def test_the_card_is_kept_until_it_is_divided_and_the_job_gets_its_part():
    small = replace(a_job("small", gpus=1), time_limit=MINUTE)
    going = [holder("low", "c0", leaving=True)]
    result = plan(a_world([part(), small], WHOLE_CARD, going, leaving=1))
    assert (result.placements, result.changes, result.evictions) == ((), (), ())
    assert reasons(result)["high"] == "MAKING_ROOM"

    # All have left: the card is idle, and not for the one behind.
    idle = node_of("n1", a_card("c0"))
    result = plan(a_world([part(), small], idle, [], leaving=0))
    assert (result.placements, result.evictions) == ((), ())
    assert reasons(result)["high"] == "GPU_LAYOUT_CHANGING"
    (change,) = result.changes
    assert plan(a_world([part(), small], idle, [])).placements, "nothing was made free for it"

    # While it is being divided, and when it is.
    between = plan(a_world([part(), small], begun(idle, change), [], leaving=0))
    assert (between.placements, between.changes, between.evictions) == ((), (), ())
    assert reasons(between)["high"] == "GPU_LAYOUT_CHANGING"
    after = plan(a_world([part(), small], divided(idle, change), [], leaving=0))
    assert [one.job_id for one in after.placements] == ["high"]


def test_cards_that_the_job_does_not_need_are_for_others_meanwhile():
    small = replace(a_job("small", gpus=1), time_limit=MINUTE)
    node = node_of("n1", a_card("c0", busy=[0]), a_card("c1"))
    going = [holder("low", "c0", leaving=True)]
    # Eight parts need both cards, seven need one.
    assert plan(a_world([part(8), small], node, going, leaving=1)).placements == ()
    (given,) = plan(a_world([part(7), small], node, going, leaving=1)).placements
    assert given.job_id == "small"


def test_what_is_divided_for_another_is_not_counted_on():
    """Each has a card of its own made free, or has it divided without that."""
    node = node_of("n1", a_card("c0", busy=[0]), a_card("c1"))
    jobs = [part(7), replace(part(7), job_id="next", order="next", priority=50)]
    result = plan(a_world(jobs, node, [holder("low", "c0")]))
    assert [change.card_uuid for change in result.changes] == ["c1"]
    assert stopped(result, "next") == {"low"}
    assert reasons(result) == {"high": "GPU_LAYOUT_CHANGING", "next": "MAKING_ROOM"}


# --- properties ----------------------------------------------------------------------------------

LAYOUTS = ["3g.40gb@0 3g.40gb@4", "1g.10gb@0 1g.10gb@1 3g.40gb@4", None]


@st.composite
def crowded(draw: st.DrawFn) -> Snapshot:
    """A node or two of a card or two, of which most is held, and a job that asks for parts or for a card."""
    nodes, runs = [], list[Running]()
    for name in ("n1", "n2")[: draw(st.integers(1, 2))]:
        cards = []
        for number in range(draw(st.integers(1, 2))):
            uuid, layout = f"{name}-c{number}", draw(st.sampled_from(LAYOUTS))
            there = [(one.start, one.profile) for one in placed(layout or "", uuid)] or [(0, "")]
            held = [one for one in there if draw(st.sampled_from([True, True, False]))]
            cards.append(a_card(uuid, layout, busy=[start for start, _ in held]))
            for start, profile in held:
                run = holder(
                    f"run-{len(runs)}",
                    f"{uuid}/{start}" if layout else uuid,
                    gpu_type=f"H100-{profile}" if layout else "H100",
                    unsaved=draw(st.sampled_from([0, 1, 3])) * MINUTE,
                    priority=draw(st.sampled_from([0, 0, 1, 200])),
                )
                runs.append(replace(run, node_id=f"node-{name}", run_id=f"{run.job_id}-run"))
        node = node_of(name, *cards)
        here = [run for run in runs if run.node_id == node.node_id]
        nodes.append(
            replace(
                node,
                cpu_free=node.cpu_millis - 1000 * len(here),
                memory_free=node.memory_bytes - GIB * len(here),
            )
        )
    asked = draw(st.sampled_from(["1g.10gb", "3g.40gb", "7g.80gb", ""]))
    job = replace(high(draw(st.integers(1, 2))), mig_profile=asked)
    if not asked and draw(st.booleans()):
        job = replace(job, gpu_memory_bytes=15 * GIB)
    return Snapshot((job,), tuple(nodes), now=NOW, policies=policies(ON), running=tuple(runs))


def helped(world: Snapshot, gone: Sequence[Running]) -> bool:
    """Whether the job has its place, or cards are divided for it, when these have left."""
    there = tuple(run for run in world.running if run not in gone)
    state = without(world.nodes, gone)
    after = replace(world, nodes=tuple(state.values()), running=there, policies=Policies())
    result = plan(after)
    return bool(result.placements) or reasons(result)["high"] == "GPU_LAYOUT_CHANGING"


@given(crowded())
@settings(max_examples=80)
def test_who_goes_is_enough_and_no_better_set_is(world: Snapshot):
    result = plan(world)
    chosen = [run for run in world.running if run.job_id in stopped(result)]
    able = [run for run in world.running if run.priority < 100]
    sets = [
        some
        for size in range(len(able) + 1)
        for some in combinations(able, size)
        if helped(world, some)
    ]
    if not sets:
        assert chosen == []
    else:
        assert price(chosen) == price(min(sets, key=price))
        assert helped(world, chosen)


@given(crowded(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(world: Snapshot, rng):
    mixed = replace(
        world,
        nodes=tuple(rng.sample(world.nodes, len(world.nodes))),
        running=tuple(rng.sample(world.running, len(world.running))),
    )
    assert plan(mixed) == plan(world)
