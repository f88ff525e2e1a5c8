"""What a policy says, as the scheduler goes by it."""

from buf.validate import validate_pb2
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.resources.scheduling_policy_message import policy_of
from windlass_server.scheduler.policies import (
    BUILT_IN,
    PACKINGS,
    Aging,
    Backfill,
    FairShare,
    Policies,
    Policy,
    PreemptionRules,
)

Spec = scheduling_policy_pb2.SchedulingPolicy


def test_the_contract_knows_the_packings_that_there_are():
    rules = Spec.DESCRIPTOR.fields_by_name["packing"].GetOptions().Extensions[validate_pb2.field]
    assert set(getattr(rules.string, "in")) == {"", *PACKINGS}


def test_a_policy_that_says_nothing_changes_nothing():
    assert policy_of(Spec()) == Policy()
    assert Policies(policy_of(Spec())).of_cluster() == BUILT_IN


def test_parts_that_are_there_and_say_nothing_are_as_they_are_built_in():
    spec = Spec(aging={}, fair_share={}, backfill={}, preemption={})
    assert policy_of(spec) == Policy(
        aging=Aging(), fair_share=FairShare(), backfill=Backfill(), preemption=PreemptionRules()
    )


def test_nothing_that_is_said_is_taken_for_not_said():
    spec = Spec(backfill={"depth": 0}, preemption={"hourly_budget": 0, "back_off": {}})
    policy = policy_of(spec)
    assert policy.backfill == Backfill(0)
    assert policy.preemption == PreemptionRules(budget=0, back_off=0)
