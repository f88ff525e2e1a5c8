"""How projects and users stand to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.test_order import WEEK, job
from windlass_server.scheduler.fair_share import GPU, Shares
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.policies import FairShare, Policies, Policy
from windlass_server.scheduler.snapshot import Snapshot
from windlass_server.scheduler.standing import standings

ADA, BOB, EVE = ("vision", "ada"), ("vision", "bob"), ("speech", "eve")


def test_nobody_stands_anywhere_where_nobody_had_anything():
    assert standings(Shares(), FairShare(), ()).all == ()


def test_a_project_is_followed_by_its_users_and_who_has_least_for_the_weight_is_first():
    shares = Shares({WEEK: {ADA: 4.0 * GPU, EVE: 4.0 * GPU}}, {ADA: GPU, BOB: GPU})
    found = standings(shares, FairShare(weights={("vision", ""): 2.0}), [("new", "zoe")])
    assert [(one.project, one.user, one.rank) for one in found.all] == [
        ("new", "", 1), ("new", "zoe", 1),
        ("vision", "", 2), ("vision", "bob", 2), ("vision", "ada", 3),
        ("speech", "", 3), ("speech", "eve", 4),
    ]  # fmt: skip
    vision = found.all[2]
    assert (vision.weight, vision.lately, vision.now) == (2.0, 4.0 * GPU, 2 * GPU)
    assert (vision.share, vision.entitled) == (0.6, 0.5)
    bob = found.all[3]
    assert (bob.share, bob.entitled) == (0.1, 0.25)
    assert found.evenness == pytest.approx(49 / (3 * (9 + 16)))


accounts = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(
    st.dictionaries(accounts, st.integers(0, 5).map(lambda n: float(n * GPU))),
    st.sets(accounts, min_size=1),
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x"])), st.sampled_from([0.5, 2.0])
    ),
)
def test_whose_rank_is_first_of_those_that_wait_has_the_first_turn(had, waiting, weights):
    rules, shares = FairShare(weights=weights), Shares({WEEK: had}, {})
    queue = tuple(job(f"{n:03}", "/".join(one)) for n, one in enumerate(sorted(waiting)))
    world = Snapshot(queue, (), policies=Policies(Policy(fair_share=rules)), shares=shares)
    first = in_turn(world)[0]
    found = standings(shares, rules, waiting)
    ranks = {(one.project, one.user): one.rank for one in found.all if one.user}
    assert (first.project, first.user) == min(waiting, key=lambda one: ranks[one])
    assert sum(one.entitled for one in found.all if one.user) == pytest.approx(1)
