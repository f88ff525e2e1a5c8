"""How much is measured, and what is aimed at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        jobs: jobs that are there before anything is measured.
        connections: how many calls are in flight, one measurement each.
        rounds: how often each side is measured; the sides take turns.
        seconds: how long one measurement takes.
        warm_up_seconds: how long the load runs before that.
        starts: how often the server is started.
        launches: how many jobs are launched one after the other.
        trivial_jobs: how many jobs are launched together.
        followers: how many follow one log.
        fleet_nodes: simulated nodes of the fleet.
        fleet_seconds: how long callers come beside the fleet.
        end_to_end_jobs: how many jobs go through a fleet.
        plan_nodes: nodes of a plan.
        plan_jobs: jobs of a plan.
        packing_seeds: how often each policy packs a trace.
        traces: the folder with the trace.
        played_jobs: jobs that are played in virtual time.
        listed_jobs: jobs of which a page is asked for.
    """

    jobs: int = 10_000
    connections: tuple[int, ...] = (16, 64)
    rounds: int = 3
    seconds: int = 5
    warm_up_seconds: int = 1
    starts: int = 5
    launches: int = 100
    trivial_jobs: int = 500
    followers: int = 1_000
    fleet_nodes: int = 1_000
    fleet_seconds: int = 120
    end_to_end_jobs: int = 10_000
    plan_nodes: int = 5_000
    plan_jobs: int = 50_000
    packing_seeds: int = 10
    traces: str = "traces/openb"
    played_jobs: int = 10_000
    listed_jobs: int = 1_000_000


QUICK = Settings(
    jobs=2_000,
    rounds=1,
    seconds=2,
    warm_up_seconds=1,
    starts=3,
    launches=20,
    trivial_jobs=100,
    fleet_nodes=100,
    fleet_seconds=10,
    end_to_end_jobs=1_000,
    plan_nodes=500,
    plan_jobs=5_000,
    packing_seeds=1,
    played_jobs=500,
    listed_jobs=50_000,
)

# Our rate over the peer's, at least.
REST_GET, REST_LIST, REST_SUBMIT = 5.0, 6.0, 4.0
GRPC_GET, GRPC_LIST = 1.2, 1.2
ENVOY_GET = 2.5
MEMORY_GET, MEMORY_LIST = 3.0, 1.5

ROUTE_US, ROUTE_GROWTH = 3.0, 1.5
FOLLOWER_P99_MS = 250.0
LOGS_MBS, LINE_P99_MS = 50.0, 200.0
START_SECONDS = 2.0
IDLE_MIB = 160.0
LAUNCH_P50_MS = 40.0
JOBS_PER_SECOND = 60.0
INGEST_PERCENT, AGENT_PERCENT = 70.0, 1.0
BESIDE_P99_MS, LIST_NODES_MS = 150.0, 100.0
GROWTH_MIB = 2.0
# Without the wire, so the rest of what taking in may cost is left for that.
KEEP_PERCENT, WEEK_MS = 25.0, 50.0

PLACEMENTS_PER_SECOND, WHEN_FULL = 5_000.0, 0.5
GANG_PLAN_MS, CYCLE_MS, BLOCKED_PLAN_MS = 50.0, 20.0, 20.0
FIRST_PAGE_MS = 20.0
ARRAY_SECONDS = 2.0
ENDED_PER_SECOND, SUBMITTED_PER_SECOND = 300.0, 1_000.0
GIVEN_OUT_AT_100, PACKING_SECONDS = 95.8, 8.0

# Slurm 23.11 on a machine of this size: not measured here.
SLURM_SRUN_TRUE = "Slurm srun true: 46 ms"
SLURM_JOBS_PER_SECOND = "Slurm: 43 jobs/s"
