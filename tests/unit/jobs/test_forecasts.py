"""Whom a job would have stopped, as its owner is told."""

from tests.unit.scheduler.test_preemption import a_run, a_world, high
from tests.unit.scheduler.worlds import a_node
from windlass_server.access.policy import Caller, Role
from windlass_server.jobs.forecasts import Victim, victims_of
from windlass_server.scheduler.outlook import outlook


def test_a_job_of_a_project_that_the_caller_may_not_read_has_no_name():
    runs = [a_run("mine", gpus=[0], project="a"), a_run("foreign", gpus=[1], project="b")]
    world = a_world([high(gpus=2)], [a_node(gpus=2)], runs)
    ada = Caller(user="ada", roles={"a": Role.VIEWER})
    found = victims_of(ada, world, outlook(world, "high"))
    assert set(found) == {Victim("mine", "node-n1"), Victim("", "node-n1")}
