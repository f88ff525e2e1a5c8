"""Jobs in the words in which clusters choose among them."""

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.places import rules_in, spread_in
from windlass_server.jobs.preparation import is_prepared
from windlass_server.resources.remote_policy import Wish
from windlass_server.scheduler.snapshot import Demand, Topology


def demand_of(job: job_pb2.Job, job_id: str = "") -> Demand:
    """What a job asks of one node, wherever that is."""
    return Demand(
        job_id=job_id,
        priority=job.priority,
        cpu_millis=job.resources.cpu_millis,
        memory_bytes=job.resources.memory_bytes,
        gpu_count=job.resources.gpu_count,
        gpu_type=job.resources.gpu_type,
        mig_profile=job.resources.mig_profile,
        gpu_memory_bytes=job.resources.gpu_memory_bytes,
        min_isolation=job.min_isolation,
        order=job_id,
        gpu_millis=job.resources.gpu_millis,
        nodes=max(job.nodes, 1),
        whole_cards=job.nodes > 1,
        min_nodes=job.min_nodes or max(job.nodes, 1),
        topology=Topology(job.topology.required, job.topology.preferred),
        gpu_types=tuple(job.gpu_types),
        labels=rules_in(job.constraints),
        exclusive=job.exclusive_node,
        apart=spread_in(job),
        reservation=job.reservation_id,
    )


def wish_of(
    job: job_pb2.Job,
    job_id: str = "",
    *,
    waited: int = 0,
    refusals: tuple[tuple[str, int], ...] = (),
) -> Wish:
    """A job, with its defaults, as clusters are asked for it; the rest as `Wish` has it."""
    return Wish(
        project=job.project,
        labels=dict(job.labels),
        demand=demand_of(job, job_id),
        waited=waited,
        refusals=refusals,
        pool=job.pool,
        has_secrets=bool(job.environment.secrets),
        prepared=is_prepared(job),
        debug_mode=job.debug_mode,
    )
