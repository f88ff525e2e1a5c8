"""What a node is told of its runs: rows as directives."""

from collections.abc import Iterator
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass.types.v1 import types_pb2
from windlass_server.jobs.preparation import is_prepared, preparation_of
from windlass_server.storage.tables import RunRow

_Want = agent_pb2.RunDirective
_State = agent_pb2.RunReport


def forget(run: RunRow) -> agent_pb2.RunDirective:
    """That the server has all of a run, so that its node may drop it."""
    return agent_pb2.RunDirective(
        run_id=run.run_id,
        epoch=run.epoch,
        generation=run.generation + 1,
        want=_Want.FORGOTTEN,
    )


def directive(row: Any) -> agent_pb2.RunDirective:
    """What the server wants of a run, from its row with those columns of its job that it takes.

    Secrets in it have no values yet.
    """
    spec = job_pb2.Job.FromString(row.spec)
    made = agent_pb2.RunDirective(
        run_id=row.run_id, epoch=row.epoch, generation=row.generation, want=row.want
    )
    made.grace_period.FromMicroseconds(row.grace)
    made.frozen = row.want_frozen
    if row.want != _Want.RUNNING or row.state == _State.EXITED:
        return made
    made.spec.CopyFrom(
        agent_pb2.RunSpec(
            job_id=row.job_id,
            project=row.project,
            name=row.name,
            attempt=row.attempt,
            command=spec.command,
            variables=spec.environment.variables,
            working_directory=spec.environment.working_directory,
            resources=types_pb2.ResourceRequest(
                cpu_millis=row.cpu_millis,
                memory_bytes=row.memory_bytes,
                gpu_count=spec.resources.gpu_count,
                gpu_type=spec.resources.gpu_type,
                mig_profile=spec.resources.mig_profile,
                gpu_memory_bytes=spec.resources.gpu_memory_bytes,
                gpu_millis=row.gpu_millis,
            ),
            gpu_uuids=row.gpu_uuids.split(",") if row.gpu_uuids else (),
            time_limit=spec.time_limit if spec.HasField("time_limit") else None,
            grace_period=spec.grace_period,
            min_isolation=spec.min_isolation,
            restore=_restore(row),
            gang=_gang(row),
            secrets=_asked_secrets(spec) if row.state == _State.STATE_UNSPECIFIED else (),
            array=_element(row, spec),
            debug_mode=spec.debug_mode,
        )
    )
    if is_prepared(spec):
        made.spec.preparation.CopyFrom(preparation_of(spec))
        # Whoever knows of no preparation must not run it without.
        del made.spec.command[:]
    return made


def _asked_secrets(spec: job_pb2.Job) -> Iterator[agent_pb2.GivenSecret]:
    """What a run that has not started asks for; the values are still to be put in."""
    for variable, reference in sorted(spec.environment.secrets.items()):
        yield agent_pb2.GivenSecret(variable=variable, file=reference.file)


def _element(row: Any, spec: job_pb2.Job) -> agent_pb2.ArrayElement | None:
    """Which index of an array it runs."""
    if row.array_job_id is None:
        return None
    return agent_pb2.ArrayElement(
        array_job_id=row.array_job_id, index=row.array_index, count=spec.array.count
    )


def _gang(row: Any) -> agent_pb2.Gang | None:
    """Which part of a job of several nodes it is, and where the others are."""
    if row.ranks is None:
        return None
    placements = job_pb2.Job.FromString(row.ranks).placements
    return agent_pb2.Gang(
        rank=row.rank,
        hosts=[placement.host for placement in placements],
        master_port=placements[0].master_port,
    )


def _restore(row: Any) -> agent_pb2.RestoreFrom | None:
    """The newest checkpoint of the attempts before this one."""
    if row.checkpoint is None:
        return None
    newest = job_pb2.Checkpoint.FromString(row.checkpoint)
    if newest.attempt >= row.attempt:
        return None
    return agent_pb2.RestoreFrom(checkpoint_id=newest.checkpoint_id, size_bytes=newest.size_bytes)
