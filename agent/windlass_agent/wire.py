"""Between the agent's own shapes and those of `windlass.agents.v1`."""

from collections.abc import Callable, Sequence

from google.protobuf import duration_pb2, timestamp_pb2

from windlass.agents.v1 import agent_pb2 as pb
from windlass.types.v1 import types_pb2
from windlass_agent.bounds import MAX_DETAIL, text
from windlass_agent.run_types import (
    Commit,
    Isolation,
    Level,
    Packages,
    Restore,
    RunExit,
    RunRequest,
    RunState,
)
from windlass_agent.task_secrets import GivenSecret

_DEFAULT_CPU_MILLIS = 1000
_DEFAULT_MEMORY_BYTES = 256 << 20


def report_of(state: RunState, applied_generation: int) -> pb.RunReport:
    """What to tell the server of a run."""
    report = pb.RunReport(
        run_id=state.run_id,
        epoch=state.epoch,
        state=pb.RunReport.State.Name(state.phase),
        applied_generation=applied_generation,
        doing=text(state.doing, MAX_DETAIL),
        frozen=state.frozen,
    )
    if state.isolation is not None:
        report.isolation.CopyFrom(isolation_of(state.isolation))
    if state.start_time_ns is not None:
        report.start_time.CopyFrom(_time(state.start_time_ns))
    if state.exit is not None:
        report.exit.CopyFrom(exit_of(state.exit))
    return report


def exit_of(end: RunExit) -> pb.RunExit:
    """How a run ended, for the server."""
    return pb.RunExit(
        cause=pb.RunExit.Cause.Name(end.cause),
        exit_code=end.exit_code,
        exit_signal=end.exit_signal,
        end_time=_time(end.end_time_ns),
        log_end=end.log_end,
        message=text(end.message, MAX_DETAIL),
        checkpoint_problem=text(end.checkpoint_problem, MAX_DETAIL),
        artifact_problem=text(end.artifacts.problem, MAX_DETAIL),
        artifact_count=end.artifacts.count,
        artifact_bytes=end.artifacts.size,
    )


def isolation_of(isolation: Isolation) -> types_pb2.Isolation:
    """What is enforced, for the server."""
    return types_pb2.Isolation(
        level=types_pb2.Isolation.Level.Name(isolation.level),
        cgroup_limits=isolation.cgroup_limits,
        cgroup_version=isolation.cgroup_version,
        degraded_reason=text(isolation.degraded_reason, MAX_DETAIL),
    )


def request_of(
    directive: pb.RunDirective,
    device_paths: Callable[[Sequence[str]], Sequence[str]],
    gpu_memory: Callable[[str], int],
) -> RunRequest:
    """The task that a directive wants to run, with the defaults of the contract filled in."""
    spec, preparation = directive.spec, directive.spec.preparation
    gpu_uuids = tuple(spec.gpu_uuids)
    share = spec.resources.gpu_millis
    return RunRequest(
        run_id=directive.run_id,
        epoch=directive.epoch,
        command=tuple(spec.command or preparation.command),
        script=preparation.script,
        source_id=preparation.archive.source_id,
        commit=Commit(preparation.git.repository, preparation.git.commit)
        if preparation.HasField("git")
        else None,
        packages=Packages(tuple(preparation.python.requirements), preparation.python.version)
        if preparation.HasField("python")
        else None,
        job_id=spec.job_id,
        project=spec.project,
        name=spec.name,
        attempt=spec.attempt,
        variables=dict(spec.variables),
        working_directory=spec.working_directory,
        cpu_millis=spec.resources.cpu_millis or _DEFAULT_CPU_MILLIS,
        memory_bytes=spec.resources.memory_bytes or _DEFAULT_MEMORY_BYTES,
        gpu_uuids=gpu_uuids,
        gpu_millis=share,
        gpu_memory_bytes=gpu_memory(gpu_uuids[0]) if share and gpu_uuids else 0,
        device_paths=tuple(device_paths(gpu_uuids)),
        time_limit_seconds=_seconds(spec.time_limit) if spec.HasField("time_limit") else None,
        grace_seconds=_seconds(spec.grace_period) if spec.HasField("grace_period") else 30.0,
        min_isolation=Level(spec.min_isolation),
        restore=Restore(spec.restore.checkpoint_id, spec.restore.size_bytes)
        if spec.HasField("restore")
        else None,
        rank=spec.gang.rank,
        hosts=tuple(spec.gang.hosts),
        master_port=spec.gang.master_port,
        secrets=tuple(GivenSecret(one.variable, one.value, one.file) for one in spec.secrets),
        has_secrets=bool(spec.secrets),
        debug_mode=spec.debug_mode,
        array_job_id=spec.array.array_job_id,
        array_index=spec.array.index,
        array_count=spec.array.count,
    )


def grace_of(directive: pb.RunDirective) -> float:
    """Seconds between SIGTERM and SIGKILL."""
    return _seconds(directive.grace_period)


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToNanoseconds() / 1e9


def _time(nanos: int) -> timestamp_pb2.Timestamp:
    time = timestamp_pb2.Timestamp()
    time.FromNanoseconds(nanos)
    return time
