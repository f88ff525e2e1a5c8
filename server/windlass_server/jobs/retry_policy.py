"""The retry policy of a job, from its spec to what becomes of a run that has failed."""

import zlib
from typing import Any

from windlass.jobs.v1 import job_pb2, job_retry_pb2
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.retry_rules import FAILURES, Backoff, Policy, Retried, retried
from windlass_server.jobs.rules import Ending
from windlass_server.jobs.states import Status
from windlass_server.storage.tables import JobRow, RunRow


def by_policy(
    job: JobRow, run: RunRow, ending: Ending, exit_code: int | None, exit_signal: int | None
) -> Retried | None:
    """What becomes of a job whose run has ended, by its retry policy; None: what the end says.

    Args:
        job: the job, before the end.
        run: the run; by chance of its id jobs that have failed together wait for different times.
        ending: what the end says.
        exit_code: what the command returned, if it did.
        exit_signal: the signal that ended it, if one did.
    """
    if ending.event not in FAILURES or job.status == Status.CANCELLING:
        return None
    spec = job_pb2.Job.FromString(job.spec)
    if not spec.HasField("retry"):
        return None
    return retried(
        ending,
        policy_of(spec.retry),
        failed=job.retries,
        exit_code=exit_code,
        exit_signal=exit_signal,
        chance=zlib.crc32(run.run_id.encode()) / 0xFFFF_FFFF,
    )


def values_of(job: JobRow, again: Retried, now: int) -> dict[str, Any]:
    """The columns of a job that is queued again by its policy, at a time in microseconds."""
    values = {"retries": job.retries + 1}
    if again.delay:
        return values | {"held": int(Held.TIME), "start_after": now + again.delay}
    return values


def policy_of(asked: job_retry_pb2.RetryPolicy) -> Policy:
    """The policy with what it leaves out."""
    backoff, values = asked.backoff, dict[str, Any]()
    if backoff.HasField("initial"):
        values["initial"] = backoff.initial.ToMicroseconds()
    if backoff.HasField("max"):
        values["most"] = backoff.max.ToMicroseconds()
    for name in ("multiplier", "jitter"):
        if backoff.HasField(name):
            values[name] = getattr(backoff, name)
    return Policy(
        asked.max_attempts,
        Backoff(**values),
        tuple(asked.on_exit_codes),
        tuple(asked.on_signals),
        tuple(map(job_retry_pb2.RetryPolicy.Cause.Name, asked.on_causes)),
    )
