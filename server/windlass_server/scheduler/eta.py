"""When a job that waits will start, as far as one can know: as the planner would place it.

By what is expected of all that runs and waits before it there is a time that holds nine times out of ten, by
what is likely one that holds half of the time. What ends early, what fails and what is submitted before it
is not foreseen.
"""

from dataclasses import dataclass, replace

from windlass_server.scheduler.estimates import likely
from windlass_server.scheduler.plan import Planned, planned
from windlass_server.scheduler.snapshot import Snapshot

# The first of those that have no place for which a start is looked for.
FORESEEN = 100


@dataclass(frozen=True, slots=True)
class Eta:
    """When a job will start (microseconds since 1970).

    Attributes:
        p50: half of the time by then; None: not known.
        p90: nine times out of ten by then; None: not known.
        unknown: why it is not known, in words; empty when it is.
    """

    p50: int | None
    p90: int | None
    unknown: str = ""


def eta(snapshot: Snapshot, made: Planned, job_id: str) -> Eta:
    """When a job will start that has no place in a plan, and is not held.

    Args:
        snapshot: of which the plan was made, up to this job; with what runs.
        made: the plan; more is foreseen in it.
        job_id: the job.
    """
    turn = next((turn for turn, each in enumerate(made.skipped) if each[0].job_id == job_id), None)
    if turn is None or turn >= FORESEEN:
        return Eta(
            None, None, f"more than {FORESEEN} jobs wait before it that have no place either"
        )
    p90 = _start(made, job_id)
    soon = replace(
        snapshot,
        running=tuple(replace(one, expected_end=one.likely_end) for one in snapshot.running),
    )
    p50 = _start(planned(soon, span=likely), job_id)
    if p90 is None or p50 is None:
        return Eta(None, None, "what it waits for, or what comes before it, may run for ever")
    return Eta(min(p50, p90), p90)


def _start(made: Planned, job_id: str) -> int | None:
    """When it starts; it is the last one of the queue, and may have a place by what is likely."""
    for demand, shape in made.skipped[:FORESEEN]:
        if demand.job_id not in made.backfill.starts:
            made.backfill.foresee(demand, shape)
    start = made.backfill.starts.get(job_id)
    if start is not None:
        return start.at
    placed = any(one.job_id == job_id for one in made.plan.placements)
    return made.rest.now if placed else None
