"""Why jobs that only a remote cluster can run are not there yet."""

from dataclasses import replace

import pytest

from tests.unit.resources.test_remote_policy import NOW, SECOND, SPILL, a_node, a_wish
from windlass.resources.v1.remote_cluster_pb2 import RemoteSettings, RemoteStatus
from windlass_server.resources.remote_clusters import RemoteCluster
from windlass_server.resources.remote_policy import Affinity, Policy
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.scheduler.plan import Waiting

LOCAL = Waiting("job-1", "INSUFFICIENT_GPUS", "needs 8 GPUs")
PREFERRED = Policy(affinity=Affinity())


def a_cluster(name="west", policy=SPILL, *, state=RemoteStatus.CONNECTED, jobs=0, **node):
    return RemoteCluster(name, 1, RemoteSettings(), b"", policy, state, (a_node(**node),), jobs)


def told(clusters, *, local=LOCAL, **wish):
    waits = RemoteWaits()
    waits.look(clusters, [a_wish(**({"gpus": 8, "never_here": True} | wish))], NOW)
    (one,) = waits.reworded([local])
    return one


@pytest.mark.parametrize(
    ("cluster", "wish", "reason", "words"),
    [
        (a_cluster(held=1), {}, "CLUSTER_FULL", "west has no node with enough of it free"),
        (a_cluster(), {}, "CLUSTER_ASKED", "west is asked what is free"),
        (a_cluster(policy=replace(SPILL, paused=True)), {}, "CLUSTER_PAUSED", "west is paused"),
        (a_cluster(state=RemoteStatus.UNREACHABLE), {}, "CLUSTER_UNREACHABLE", "does not answer"),
        (a_cluster(state=RemoteStatus.REFUSED), {}, "CLUSTER_REFUSES", "does not let"),
        (
            a_cluster(policy=replace(SPILL, max_jobs=2), jobs=2),
            {},
            "CLUSTER_AT_MAX_JOBS",
            "west has 2 jobs from here",
        ),
        (
            a_cluster(),
            {"refusals": (("west", NOW - 59 * SECOND),)},
            "REFUSED_BY_CLUSTER",
            "west did not take it",
        ),
        (a_cluster(), {"refusals": (("west", NOW - 60 * SECOND),)}, "CLUSTER_ASKED", "west"),
        # Preferred: it goes there though it has to wait there.
        (
            a_cluster(policy=replace(PREFERRED, max_jobs=1), jobs=1, gpus=4),
            {},
            "CLUSTER_AT_MAX_JOBS",
            "1 jobs",
        ),
    ],
)
def test_a_job_that_only_a_cluster_can_run_is_told_what_keeps_it_from_there(
    cluster, wish, reason, words
):
    one = told([cluster], **wish)
    assert (one.job_id, one.reason) == ("job-1", reason)
    assert words in one.message
    assert one.message.endswith("; here: needs 8 GPUs")


@pytest.mark.parametrize(
    ("clusters", "wish"),
    [
        ([], {}),
        # It can run here, too.
        ([a_cluster(held=1)], {"never_here": False, "waited": 60 * SECOND}),
        # That cluster would not have it, ever or yet.
        ([a_cluster(gpus=4)], {}),
        ([a_cluster(policy=replace(SPILL, projects=frozenset({"speech"})))], {}),
        ([a_cluster(policy=Policy())], {}),
        ([a_cluster(policy=replace(SPILL, paused=True))], {"pool": "fast"}),
    ],
)
def test_any_other_job_is_told_of_what_is_here(clusters, wish):
    assert told(clusters, **wish) == LOCAL


def test_where_there_are_no_nodes_a_job_that_has_waited_is_told_of_the_cluster():
    local = Waiting("job-1", "NO_NODES", "no node has joined yet")
    wish = {"never_here": False, "waited": 60 * SECOND}
    assert told([a_cluster(held=1)], local=local, **wish).reason == "CLUSTER_FULL"
    assert told([a_cluster(held=1)], local=local, never_here=False) == local


def test_of_several_clusters_the_nearest_gives_the_reason_and_all_are_named():
    gone = a_cluster("east", state=RemoteStatus.UNREACHABLE)
    one = told([gone, a_cluster(held=8)])
    assert one.reason == "CLUSTER_FULL"
    assert one.message.startswith("cluster west has no node with enough of it free; cluster east")


def test_a_job_that_is_gone_from_the_queue_is_forgotten():
    waits = RemoteWaits()
    waits.look([a_cluster(held=8)], [a_wish(gpus=8, never_here=True)], NOW)
    waits.look([a_cluster(held=8)], [], NOW)
    assert waits.reworded([LOCAL]) == [LOCAL]
