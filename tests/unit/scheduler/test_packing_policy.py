"""Where jobs go by what policies say of packing."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import Policies, Policy
from windlass_server.scheduler.snapshot import Demand, Snapshot

TIGHT, SPREAD = Policy(packing="tight"), Policy(packing="spread")
EMPTY, HALF = a_node("empty", gpus=8), a_node("half", gpus=8, held=4, cpu_free=16_000)


def node_of(job: Demand, policies: Policies) -> str:
    (placed,) = plan(Snapshot((job,), (EMPTY, HALF), policies=policies)).placements
    return placed.places[0].node_id.removeprefix("node-")


@pytest.mark.parametrize(
    ("policies", "queue", "pools", "node"),
    [
        (Policies(), "q", None, "half"),
        (Policies(TIGHT), "q", None, "half"),
        (Policies(SPREAD), "q", None, "empty"),
        (Policies(queues={"q": SPREAD}), "q", None, "empty"),
        (Policies(queues={"q": SPREAD}), "other", None, "half"),
        (Policies(SPREAD, queues={"q": TIGHT}), "q", None, "half"),
        (Policies(pools={"default": SPREAD}), "q", ("default",), "empty"),
        (Policies(pools={"default": SPREAD}), "q", ("default", "more"), "half"),
        (Policies(pools={"default": SPREAD}, queues={"q": TIGHT}), "q", ("default",), "half"),
    ],
)
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_a_job_goes_where_its_policy_packs_it(
    policies: Policies, queue: str, pools: tuple[str, ...] | None, node: str, gpus: int
):
    job = replace(a_job(gpus=gpus), queue=queue, pools=pools)
    assert node_of(job, policies) == node


def test_jobs_that_are_spread_go_to_different_nodes():
    nodes = tuple(a_node(f"n{number}", gpus=8) for number in range(4))
    queue = tuple(a_job(f"job-{number}", gpus=1) for number in range(4))
    placed = plan(Snapshot(queue, nodes, policies=Policies(SPREAD))).placements
    assert len({one.places[0].node_id for one in placed}) == 4
    placed = plan(Snapshot(queue, nodes)).placements
    assert len({one.places[0].node_id for one in placed}) == 1


def test_a_node_that_failed_the_job_is_the_last_choice_also_of_who_is_spread():
    job = a_job(gpus=1, faults={"empty": None})
    assert node_of(job, Policies(SPREAD)) == "half"
