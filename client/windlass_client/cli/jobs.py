"""`windlass jobs …`."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, cast

import typer

from windlass_client.cli import arrays, job_show, logs, submit_many
from windlass_client.cli.files import write_file
from windlass_client.cli.forecasts import forecast_table, served_as
from windlass_client.cli.output import ago, cell, moment, say, status_cell, table
from windlass_client.cli.session import (
    EXIT_INTERRUPTED,
    Session,
    command,
    group,
)
from windlass_client.cli.submit import pairs
from windlass_client.errors import InvalidArgument, NotFound
from windlass_client.quantities import (
    format_bytes,
    format_cpu_millis,
    format_gpus,
    format_span,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from windlass.jobs.v1 import job_content_pb2, job_pb2

app = group(
    "jobs",
    help="List, read, wait for and cancel jobs.",
    examples=[
        "windlass jobs list --status RUNNING",
        "windlass jobs why job-01k0…",
        "windlass jobs cancel job-01k0…",
    ],
)

submit_many.register(app)
arrays.register(app)

_MOST_JOBS = 1_000_000

JobArgument = Annotated[str, typer.Argument(metavar="JOB", show_default=False)]
JobsArgument = Annotated[list[str], typer.Argument(metavar="JOB...", show_default=False)]


def _statuses(begun: str) -> list[str]:
    """For the shell: the statuses, in the case in which one was begun."""
    from windlass_client.jobs import STATUS_NAMES

    return [name.lower() if begun.islower() else name for name in STATUS_NAMES]


_LIST_HELP = """List the jobs of a project, newest first.

[bold]Examples:[/bold]

    windlass jobs list --status RUNNING --status QUEUED

    windlass jobs list --label team=vision --since 1d --limit 0 -o json

    windlass jobs list --filter 'status = FAILED AND exit_code != 1' --order-by 'end_time desc'"""


@command(app, "list", help=_LIST_HELP)
def list_jobs(
    session: Session,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", "-s", help="Only this status; repeatable.", autocompletion=_statuses
        ),
    ] = None,
    queue: Annotated[str, typer.Option(help="Only this queue.")] = "",
    user: Annotated[str, typer.Option(help="Only of this principal.")] = "",
    name: Annotated[str, typer.Option("--name", "-n", help="Only of this name.")] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only with it; repeatable."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those accepted since then, such as 2h.")
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="AIP-160",
            help="Only where this holds, such as 'resources.gpu_count >= 8 AND NOT user = ada'.",
        ),
    ] = "",
    order_by: Annotated[str, typer.Option(help="Such as 'priority desc' or 'end_time desc'.")] = "",
    array: Annotated[
        str,
        typer.Option(
            metavar="JOB", help="The jobs of this array's indices, instead of all others."
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option(min=0, max=_MOST_JOBS, help="At most so many; 0 lists all.")
    ] = 50,
) -> None:
    """See `_LIST_HELP`."""
    from windlass.jobs.v1 import jobs_service_pb2
    from windlass_client.jobs import parse_status

    found = session.client.jobs.list(
        status=[parse_status(word) for word in status or []],
        queue=queue,
        user=user,
        name=name,
        labels=pairs(label or [], "--label"),
        created_after=session.moment(since) if since else None,
        where=where,
        order_by=order_by,
        array_job_id=array,
        page_size=min(limit + 1, 1000) if limit else 1000,
    )
    jobs = list(islice(found, limit + 1) if limit else found)
    if limit and len(jobs) > limit:
        jobs.pop()
        say(f"the first {limit} are shown; --limit 0 lists all")
    page = jobs_service_pb2.ListJobsResponse(jobs=jobs)
    nothing = "" if jobs else "no jobs"
    session.answer(page, lambda: jobs_table(jobs, session.now()), nothing=nothing)


@command(
    app,
    "get",
    examples=["windlass jobs get job-01k0…", "windlass jobs get job-01k0… -o json | jq -r .status"],
)
def get(session: Session, job_id: JobArgument) -> None:
    """Show a job: its status and why, where it runs, what it asked for, how it is isolated."""
    job = session.client.jobs.get(session.job(job_id))
    session.answer(job, lambda: job_table(job, session.now()))


_WHY_HELP = """Say why a job waits, and what would let it start at once.

The planner itself is asked, with the jobs before this one; nothing changes by it.

[bold]Examples:[/bold]

    windlass jobs why job-01k0…

    windlass jobs why job-01k0… -o json | jq .forecast.changes

    windlass submit --gpus 64 --validate-only -- true    [dim]# the same, before it is submitted[/dim]"""


@command(app, "why", help=_WHY_HELP)
def why(session: Session, job_id: JobArgument) -> None:
    """See `_WHY_HELP`."""
    answer = session.client.jobs.explain(session.job(job_id))
    session.answer(answer, lambda: forecast_table(answer.forecast))


@command(app, "events", examples=["windlass jobs events job-01k0…"])
def events(session: Session, job_id: JobArgument) -> None:
    """List what happened to a job, oldest first."""
    from windlass.jobs.v1 import jobs_service_pb2

    found = list(session.client.jobs.events(session.job(job_id), page_size=1000))
    page = jobs_service_pb2.ListJobEventsResponse(events=found)
    session.answer(page, lambda: events_table(found), nothing="" if found else "no events")


@command(
    app,
    "checkpoints",
    examples=[
        "windlass jobs checkpoints job-01k0…",
        "windlass jobs checkpoints job-01k0… --download newest --to - | tar -t",
    ],
)
def checkpoints(
    session: Session,
    job_id: JobArgument,
    download: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", help="Fetch this one, or the `newest`, as a tar file."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Where to; CHECKPOINT.tar by default, `-` is the output."
        ),
    ] = None,
) -> None:
    """List what a job has saved for its next attempts, newest first, or fetch it as a tar file."""
    from windlass.jobs.v1 import jobs_service_pb2

    if to is not None and download is None:
        raise InvalidArgument("--to goes with --download", reason="NOTHING_TO_WRITE")
    job_id = session.job(job_id)
    if download is None:
        found = list(session.client.jobs.checkpoints(job_id, page_size=1000))
        page = jobs_service_pb2.ListJobCheckpointsResponse(checkpoints=found)
        nothing = "" if found else "no checkpoints"
        session.answer(page, lambda: checkpoints_table(found), nothing=nothing)
        return
    wanted = _newest(session, job_id) if download == "newest" else download
    pieces = session.client.jobs.download_checkpoint(job_id, wanted)
    write_file(to or f"{wanted}.tar", pieces)


def _newest(session: Session, job_id: str) -> str:
    from windlass.jobs.v1 import job_pb2

    for one in session.client.jobs.checkpoints(job_id):
        if one.state == job_pb2.Checkpoint.SAVED:
            return one.checkpoint_id
    raise NotFound(f"job {job_id} has saved no checkpoint", reason="CHECKPOINT_NOT_FOUND")


@command(app, "wait", examples=["windlass jobs wait job-01k0… job-01k1… --timeout 2h"])
def wait(
    session: Session,
    job_ids: JobsArgument,
    timeout: Annotated[str | None, typer.Option(help="Give up after, such as 10m.")] = None,
) -> None:
    """Wait until jobs have ended; exit with the code of the first that failed."""
    from windlass.jobs.v1 import jobs_service_pb2
    from windlass_client.jobs import exit_code

    seconds = parse_duration(timeout).total_seconds() if timeout else None
    try:
        with arrays.progress() as tell:
            ended = session.each(
                (
                    session.client.jobs.wait(session.job(job_id), timeout=seconds, on_change=tell)
                    for job_id in job_ids
                ),
                logs.verdict,
                lambda jobs: jobs_service_pb2.ListJobsResponse(jobs=jobs),
            )
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(next((code for code in map(exit_code, ended) if code), 0))


def jobs_table(jobs: "Sequence[job_pb2.Job]", now: "datetime") -> "Table":
    """A line for each job."""
    from windlass.jobs.v1 import job_pb2

    made = table("JOB", "NAME", "STATUS", "GPUS", "USER", "AGE", "RAN", "WHY", right=["GPUS"])
    for job in jobs:
        made.add_row(
            cell(job.job_id),
            cell(job.name),
            status_cell(job_pb2.Job.Status.Name(job.status)),
            cell(_gpus(job)),
            cell(job.user),
            cell(ago(job.create_time, now)),
            cell(_ran(job, now)),
            cell(_why(job), "dim"),
        )
    return made


def _why(job: "job_pb2.Job") -> str:
    """Why it is where it is; of an array that runs how far it is."""
    if job.HasField("array_status") and not job.HasField("end_time"):
        status = job.array_status
        return f"{arrays.ended(status)} of {status.total_count} ended; {job.status_reason}"
    return job.status_reason


def job_table(job: "job_pb2.Job", now: "datetime") -> "Table":
    """Everything about a job, a line for each thing that is known."""
    from windlass.jobs.v1 import job_pb2

    made = table("", "")
    made.show_header = False
    made.add_row(cell("job", "bold"), cell(job.job_id))
    made.add_row(cell("status", "bold"), status_cell(job_pb2.Job.Status.Name(job.status)))
    for heading, value in _facts(job, now):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


job_show.register(app, job_table)


def _node_label(rule: "job_pb2.NodeLabelRule") -> str:
    from windlass.jobs.v1 import job_pb2

    word = job_pb2.NodeLabelRule.Operator.Name(rule.operator)
    rather = " (rather)" if rule.preferred else ""
    return " ".join(filter(None, (rule.key, word, ",".join(rule.values)))) + rather


def _dependency(one: "job_pb2.Dependency") -> str:
    from windlass.jobs.v1 import job_pb2

    way = job_pb2.Dependency.Type.Name(one.type)
    return f"{one.job_id} ({way})" if one.job_id else f"earlier ones of its name ({way})"


def _facts(job: "job_pb2.Job", now: "datetime") -> "list[tuple[str, str]]":
    import shlex

    ask = job.resources
    return [
        ("why", " ".join(filter(None, (job.status_reason, job.status_message)))),
        ("exit code", str(job.exit_code) if job.HasField("exit_code") else ""),
        ("signal", str(job.exit_signal) if job.HasField("exit_signal") else ""),
        ("name", job.name),
        ("project", job.project),
        ("user", job.user),
        ("queue", f"{job.queue}, priority {job.priority}"),
        ("served as", served_as(job)),
        ("labels", ", ".join(f"{k}={v}" for k, v in sorted(job.labels.items()))),
        *((f"note {k}", v) for k, v in sorted(job.annotations.items())),
        ("command", shlex.join(job.command)),
        ("script", _first_line(job.script)),
        ("source", _source(job.source)),
        ("python", " ".join([job.python.version, *job.python.requirements]).strip()),
        ("workdir", job.environment.working_directory),
        ("array", _array(job)),
        ("gpus", _gpus(job)),
        ("cpus", format_cpu_millis(ask.cpu_millis)),
        ("memory", format_bytes(ask.memory_bytes)),
        ("nodes", _nodes(job)),
        ("time limit", _duration(job)),
        ("alone", "the whole node" if job.exclusive_node else ""),
        ("reservation", job.reservation_id),
        ("spread", _spread(job)),
        ("node labels", ", ".join(map(_node_label, job.constraints.node_labels))),
        ("start after", moment(job.start_after) if job.HasField("start_after") else ""),
        ("deadline", moment(job.deadline) if job.HasField("deadline") else ""),
        ("waits for", ", ".join(map(_dependency, job.dependencies))),
        ("accepted", moment(job.create_time) if job.HasField("create_time") else ""),
        ("started", moment(job.start_time) if job.HasField("start_time") else ""),
        ("ended", moment(job.end_time) if job.HasField("end_time") else ""),
        ("ran", _ran(job, now)),
        ("attempt", str(job.attempt or "")),
        ("retry of", job.retry_of),
        ("again at", moment(job.next_attempt_time) if job.HasField("next_attempt_time") else ""),
        ("checkpoint", _checkpoint(job)),
        ("run", job.placement.run_id),
        ("node", job.placement.node_id),
        *((f"rank {one.rank}", f"{one.node_id}, {one.run_id}") for one in job.placements),
        ("cluster", job.placement.cluster),
        ("job there", job.placement.remote_job_id),
        ("gpu uuids", ", ".join(job.placement.gpu_uuids)),
        ("preemptible", "no" if job.HasField("preemptible") and not job.preemptible else ""),
        ("isolation", isolation_words(job)),
    ]


def _first_line(script: str) -> str:
    """What a script begins with, and how long it is."""
    lines = script.splitlines()
    more = f" … {len(lines)} lines" if len(lines) > 1 else ""
    return f"{lines[0]}{more}" if lines else ""


def _source(source: "job_content_pb2.JobSource") -> str:
    if source.HasField("git"):
        return f"{source.git.repository}@{source.git.commit}"
    return source.source_id


def _array(job: "job_pb2.Job") -> str:
    if job.HasField("array_index"):
        return f"index {job.array_index} of {job.array_job_id}"
    if not job.HasField("array_status"):
        return ""
    named = arrays.counts_of(job.array_status)
    counts = ", ".join(f"{count} {name}" for name, count in named.items())
    return f"{job.array_status.total_count} indices: {counts}"


def _checkpoint(job: "job_pb2.Job") -> str:
    if not job.HasField("checkpoint"):
        return ""
    saved = job.checkpoint
    return (
        f"{format_bytes(saved.size_bytes)} in {saved.entry_count} files, "
        f"by attempt {saved.attempt}, {moment(saved.create_time)}"
    )


def isolation_words(job: "job_pb2.Job") -> str:
    """What a job really ran with: level, cgroup limits, and why not more."""
    from windlass.types.v1 import types_pb2

    if not job.HasField("isolation"):
        return ""
    isolation = job.isolation
    words = [types_pb2.Isolation.Level.Name(isolation.level)]
    if isolation.cgroup_limits:
        words.append(f"cgroup {isolation.cgroup_version}: {', '.join(isolation.cgroup_limits)}")
    if isolation.degraded_reason:
        words.append(f"degraded: {isolation.degraded_reason}")
    return "; ".join(words)


def events_table(events: "Sequence[job_pb2.JobEvent]") -> "Table":
    """A line for each event."""
    from windlass.jobs.v1 import job_pb2

    made = table("TIME", "STATUS", "REASON", "ACTOR", "MESSAGE")
    for event in events:
        made.add_row(
            cell(moment(event.time)),
            status_cell(job_pb2.Job.Status.Name(event.status)),
            cell(event.reason),
            cell(event.actor),
            cell(event.message),
        )
    return made


def checkpoints_table(checkpoints: "Sequence[job_pb2.Checkpoint]") -> "Table":
    """A line for each checkpoint."""
    from windlass.jobs.v1 import job_pb2

    made = table("CHECKPOINT", "STATE", "ATTEMPT", "SIZE", "FILES", "SAVED")
    for one in checkpoints:
        made.add_row(
            cell(one.checkpoint_id),
            status_cell(job_pb2.Checkpoint.State.Name(one.state)),
            cell(str(one.attempt)),
            cell(format_bytes(one.size_bytes)),
            cell(str(one.entry_count)),
            cell(moment(one.create_time) if one.HasField("create_time") else ""),
        )
    return made


def _gpus(job: "job_pb2.Job") -> str:
    ask = job.resources
    if not ask.gpu_count:
        return ""
    words = [format_gpus(ask.gpu_count, ask.gpu_millis), ask.gpu_type, ask.mig_profile]
    if ask.gpu_memory_bytes:
        words.append(f">= {format_bytes(ask.gpu_memory_bytes)}")
    return " ".join(word for word in words if word)


def _nodes(job: "job_pb2.Job") -> str:
    least = f"{job.min_nodes} to " if 0 < job.min_nodes < job.nodes else ""
    count = f"{least}{job.nodes}" if job.nodes > 1 else ""
    near = [
        _within(job.topology.required, "in one"),
        _within(job.topology.preferred, "rather in one"),
    ]
    return ", ".join(filter(None, (count, *near)))


def _spread(job: "job_pb2.Job") -> str:
    if not job.HasField("spread"):
        return ""
    asked = job.spread
    others = f"with {asked.job_label}={job.labels[asked.job_label]}, " if asked.job_label else ""
    most = f", at most {asked.max_per_domain} in one" if asked.max_per_domain else ""
    return f"{others}over {asked.node_label or 'node'}s{most}"


def _within(level: int, how: str) -> str:
    from windlass.types.v1 import topology_pb2

    levels = topology_pb2.Topology.Level
    if level == levels.NVLINK:
        return f"GPUs {how} NVLink island"
    return (
        f"{how} {levels.Name(cast('topology_pb2.Topology.Level', level)).lower()}" if level else ""
    )


def _duration(job: "job_pb2.Job") -> str:
    if not job.HasField("time_limit"):
        return ""
    return format_span(job.time_limit.ToTimedelta().total_seconds())


def _ran(job: "job_pb2.Job", now: "datetime") -> str:
    if not job.HasField("start_time"):
        return ""
    from datetime import UTC

    end = job.end_time.ToDatetime(tzinfo=UTC) if job.HasField("end_time") else now
    return ago(job.start_time, end)
