"""`windlass submit`."""

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from windlass_client.cli import logs
from windlass_client.cli.arrays import progress
from windlass_client.cli.content_options import (
    GitOption,
    PipOption,
    PythonOption,
    RequirementsOption,
    ScriptOption,
    SourceOption,
    asked_python,
    asked_script,
    asked_source,
    script_name,
)
from windlass_client.cli.forecasts import forecast_table
from windlass_client.cli.gpu_options import (
    GpuMemoryOption,
    GpuProfileOption,
    GpuShareOption,
    asked_memory,
    asked_share,
)
from windlass_client.cli.job_files import JobFile, clear, lay_over, read_jobs, to_yaml
from windlass_client.cli.moments import moment_ahead
from windlass_client.cli.notify_option import NotifyOption, asked_notifications
from windlass_client.cli.output import say
from windlass_client.cli.retry_options import (
    MaxAttemptsOption,
    RetryBackoffOption,
    RetryOnOption,
    asked_retry,
)
from windlass_client.cli.session import EXIT_INTERRUPTED, Session, command
from windlass_client.cli.submit_many import submit_all
from windlass_client.cli.waiting_options import (
    AfterAnyOption,
    AfterNotOkOption,
    AfterOkOption,
    AfterOption,
    DeadlineOption,
    FollowRetriesOption,
    SingletonOption,
    StartAfterOption,
    asked_dependencies,
)
from windlass_client.errors import InvalidArgument, WindlassError

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_array_pb2, job_pb2, job_spread_pb2
    from windlass.types.v1 import topology_pb2, types_pb2

_HELP = """Submit a command as a job and print its id.

No shell reads the command; write `bash -c '…'` where you need one.
Everything behind the first word that is no option is the command's.
It starts in a fresh private directory; --workdir names one of the node instead, not below /tmp.

[bold]Examples:[/bold]

    windlass submit --workdir "$PWD" -- python3 train.py --epochs 3

    windlass submit --gpus 8 --memory 512GiB --time-limit 12h -- torchrun /srv/vision/train.py

    windlass submit --gpus 8 --gpu-type H100,A100 --node-label zone=eu --exclusive -- ./bench

    windlass submit --gpus 4 --topology nvlink -- torchrun --nproc-per-node 4 train.py

    windlass submit -l app=serve --spread app:rack --max-per-domain 1 -- ./serve

    windlass submit --after-ok job-01k0… --start-after +2h -- python3 /srv/vision/evaluate.py

    windlass submit --max-attempts 3 --retry-on OUT_OF_MEMORY --retry-on 17 -- python3 flaky.py

    windlass submit --array 1000 --parallel 50 -- sh -c './simulate --seed $WINDLASS_ARRAY_INDEX'

    windlass submit --notify webhook-01k0…=failed,succeeded -- python3 train.py

    windlass submit --nodes 4 --gpus 8 --topology rack -- /srv/vision/start.sh

    windlass submit --secret HF_TOKEN=hf-token --secret-file KEY=deploy-key@2 -- python3 pull.py

    windlass submit --follow -e LR=0.1 -l team=vision -- sh -c 'echo $LR'

    windlass submit --script train.sh --source . --requirements requirements.txt --gpus 1

    windlass submit --git https://git.example/team/train.git@d670460b… --pip numpy -- python3 train.py

    windlass submit --gpus 8 --print-yaml -- torchrun train.py > job.yaml

    windlass submit -f job.yaml --gpus 4 -e LR=0.1

    JOB=$(windlass submit -- nvidia-smi); windlass logs $JOB -f

[bold]A file[/bold] has the fields of `POST /v1/jobs` in YAML or JSON, in one document or several; options and
a command behind it are laid over each of them. Sizes and times may be written as here: 4GiB, 1h30m."""

# Fields that an option says, where they are called otherwise.
_FIELDS: Mapping[str, Sequence[str]] = {
    "command": ["command", "script"],
    "script": ["command", "script"],
    "git": ["source"],
    "requirements": ["python"],
    "pip": ["python"],
    "gpus": ["resources.gpu_count"],
    "gpu_type": ["resources.gpu_type", "gpu_types"],
    "gpu_profile": ["resources.mig_profile"],
    "gpu_memory": ["resources.gpu_memory_bytes"],
    "gpu_share": ["resources.gpu_millis"],
    "cpus": ["resources.cpu_millis"],
    "memory": ["resources.memory_bytes"],
    "workdir": ["environment.working_directory"],
    "exclusive": ["exclusive_node"],
    "debug": ["debug_mode"],
    "node_label": ["constraints"],
    "prefer_node_label": ["constraints"],
    "reservation": ["reservation_id"],
    "after": ["dependencies"],
    "after_ok": ["dependencies"],
    "after_not_ok": ["dependencies"],
    "after_any": ["dependencies"],
    "singleton": ["dependencies"],
    "max_attempts": ["retry"],
    "notify": ["notifications"],
}


class Isolation(enum.StrEnum):
    """The levels that a job can insist on, weakest first."""

    RLIMITS = "rlimits"
    NAMESPACES = "namespaces"
    SANDBOX = "sandbox"


class Domain(enum.StrEnum):
    """Within what the parts of a job can lie."""

    NVLINK = "nvlink"
    NODE = "node"
    RACK = "rack"
    BLOCK = "block"


def register(app: typer.Typer) -> None:
    """Add the command."""
    settings = {"allow_interspersed_args": False}
    command(app, "submit", help=_HELP, context_settings=settings)(submit)


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """The mapping of `KEY=VALUE` words. Raises InvalidArgument."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InvalidArgument(f"{option} {word!r} is not KEY=VALUE", reason="BAD_PAIR")
        found[key] = value
    return found


def submit(
    session: Session,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", show_default=False)
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="Jobs in YAML or JSON; - is the input."),
    ] = None,
    print_yaml: Annotated[
        bool,
        typer.Option(
            "--print-yaml", help="Submit nothing; write what all this asks for as a file."
        ),
    ] = False,
    script: ScriptOption = None,
    source: SourceOption = None,
    git: GitOption = None,
    requirements: RequirementsOption = None,
    pip: PipOption = None,
    python: PythonOption = "",
    name: Annotated[str, typer.Option("--name", "-n", help="A name for people.")] = "",
    gpus: Annotated[
        int, typer.Option("--gpus", "-g", min=0, help="GPUs, whole unless a kind is said.")
    ] = 0,
    gpu_type: Annotated[
        str, typer.Option(help="Such as H100; or H100,A100: the best first; any by default.")
    ] = "",
    gpu_profile: GpuProfileOption = "",
    gpu_memory: GpuMemoryOption = None,
    gpu_share: GpuShareOption = None,
    cpus: Annotated[
        str, typer.Option(help="Cores, such as 4 or 0.5; default 1.", show_default=False)
    ] = "0",
    memory: Annotated[
        str, typer.Option(help="Such as 4GiB; default 256MiB.", show_default=False)
    ] = "0",
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeatable."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="VARIABLE=NAME",
            help="A secret of the project, also NAME@VERSION; repeatable.",
        ),
    ] = None,
    secret_file: Annotated[
        list[str] | None,
        typer.Option(
            "--secret-file",
            metavar="VARIABLE=NAME",
            help="The same, but the variable names a file; repeatable.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="Label; repeatable."),
    ] = None,
    annotation: Annotated[
        list[str] | None,
        typer.Option(
            "--annotation", metavar="KEY=TEXT", help="A note, not to select by; repeatable."
        ),
    ] = None,
    queue: Annotated[
        str, typer.Option(help="The queue that it waits in; see windlass queues.")
    ] = "",
    priority: Annotated[
        int | None,
        typer.Option(help="-1000 to 1000; higher runs first. Default that of the queue, or 0."),
    ] = None,
    time_limit: Annotated[str | None, typer.Option(help="Such as 1h30m; default none.")] = None,
    grace_period: Annotated[
        str | None, typer.Option(help="From SIGTERM to SIGKILL; default 10s.")
    ] = None,
    workdir: Annotated[
        str, typer.Option(metavar="PATH", help="Absolute; default a fresh private directory.")
    ] = "",
    min_isolation: Annotated[
        Isolation | None,
        typer.Option(case_sensitive=False, help="Run with no weaker isolation than this."),
    ] = None,
    pool: Annotated[
        str, typer.Option(help="Only its nodes; default any pool that the project may use.")
    ] = "",
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="Its node alone and whole; the rest is the least.")
    ] = False,
    node_label: Annotated[
        list[str] | None,
        typer.Option(
            "--node-label",
            metavar="KEY=A,B",
            help="Only nodes with it; also KEY!=A, KEY, !KEY; repeatable.",
        ),
    ] = None,
    prefer_node_label: Annotated[
        list[str] | None,
        typer.Option(
            "--prefer-node-label", metavar="KEY=A,B", help="The same, but only rather; repeatable."
        ),
    ] = None,
    spread: Annotated[
        str,
        typer.Option(
            metavar="JOB_LABEL[:NODE_LABEL]",
            help="Away from jobs with the same value of the label; over nodes, or over their labels.",
        ),
    ] = "",
    max_per_domain: Annotated[
        int, typer.Option(min=0, max=512, help="With --spread: wait rather than be more in one.")
    ] = 0,
    reservation: Annotated[
        str, typer.Option(metavar="ID", help="Inside this reservation alone, or it waits.")
    ] = "",
    after: AfterOption = None,
    after_ok: AfterOkOption = None,
    after_not_ok: AfterNotOkOption = None,
    after_any: AfterAnyOption = None,
    follow_retries: FollowRetriesOption = False,
    singleton: SingletonOption = False,
    max_attempts: MaxAttemptsOption = 0,
    retry_on: RetryOnOption = None,
    retry_backoff: RetryBackoffOption = None,
    start_after: StartAfterOption = None,
    deadline: DeadlineOption = None,
    nodes: Annotated[
        int, typer.Option(min=1, max=512, help="So many nodes at once, each with the above.")
    ] = 1,
    min_nodes: Annotated[
        int | None, typer.Option(min=1, max=512, help="Make do with so many; default all.")
    ] = None,
    topology: Annotated[
        Domain | None,
        typer.Option(
            case_sensitive=False,
            help="All nodes in one rack or block; nvlink: GPUs of each joined by it; or none.",
        ),
    ] = None,
    prefer_topology: Annotated[
        Domain | None,
        typer.Option(case_sensitive=False, help="The same, where that can be had."),
    ] = None,
    preemptible: Annotated[
        bool | None,
        typer.Option(
            "--preemptible/--no-preemptible",
            help="It may be stopped for a higher priority, where a policy lets that be.",
            show_default=False,
        ),
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|INDICES",
            help="Once for each index: 1000 for 0 to 999, or such as 0-9,17; in WINDLASS_ARRAY_INDEX.",
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=0, max=100_000, help="With --array: at most so many at once.")
    ] = 0,
    notify: NotifyOption = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Keep its folders for a while; its log tells what nodes do."),
    ] = False,
    validate_only: Annotated[
        bool,
        typer.Option(
            "--validate-only",
            help="Submit nothing; say where it would start, or why not, and costs.",
        ),
    ] = False,
    request_id: Annotated[
        str | None, typer.Option(help="Submitting again with the same id answers the same job.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end; exit with the job's code.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print its log, then as --wait.")
    ] = False,
) -> None:
    """See `_HELP`."""
    ways = {
        "AFTER": after,
        "AFTER_OK": after_ok,
        "AFTER_NOT_OK": after_not_ok,
        "AFTER_ANY": after_any,
    }
    asked = submission(
        session,
        command or [],
        script=asked_script(script, command),
        source=asked_source(session, source, git),
        python=asked_python(requirements, pip, python),
        name=name or script_name(script, file),
        labels=pairs(label or [], "--label"),
        annotations=pairs(annotation or [], "--annotation"),
        env=pairs(env or [], "--env"),
        secrets=pairs(secret or [], "--secret"),
        secret_files=pairs(secret_file or [], "--secret-file"),
        working_directory=workdir,
        gpus=gpus,
        gpu_type="" if "," in gpu_type else gpu_type,
        gpu_types=gpu_type.split(",") if "," in gpu_type else (),
        exclusive_node=exclusive,
        spread=_spread(spread, max_per_domain),
        reservation_id=reservation,
        node_labels=node_label or (),
        preferred_node_labels=prefer_node_label or (),
        gpu_profile=gpu_profile,
        gpu_memory=asked_memory(gpu_memory),
        gpu_share=asked_share(gpu_share),
        cpus=cpus,
        memory=memory,
        queue=queue,
        priority=priority,
        time_limit=time_limit,
        grace_period=grace_period,
        min_isolation=_level(min_isolation),
        pool=pool,
        dependencies=asked_dependencies(ways),
        follow_retries=follow_retries,
        singleton=singleton,
        retry=asked_retry(max_attempts, retry_on or (), retry_backoff),
        start_after=moment_ahead(start_after, session.now()) if start_after else None,
        deadline=moment_ahead(deadline, session.now()) if deadline else None,
        nodes=nodes if nodes > 1 else 0,
        min_nodes=min_nodes or 0,
        topology=_topology(topology, prefer_topology),
        preemptible=preemptible,
        debug_mode=debug,
        array=_array(array, parallel, in_file=file is not None),
        notifications=asked_notifications(notify or ()),
    )
    jobs = _laid_over(session, asked, file)
    if print_yaml:
        typer.echo("---\n".join(to_yaml(one.job) for one in jobs), nl=False)
    elif len(jobs) > 1:
        if follow or validate_only or request_id:
            message = (
                "--follow, --validate-only and --request-id go with one job, and the file has more"
            )
            raise InvalidArgument(message, reason="SEVERAL_JOBS")
        _submit_several(session, jobs, wait=wait)
    else:
        _submit_one(session, jobs[0], request_id, validate_only, wait=wait, follow=follow)


def submission(session: Session, command: Sequence[str], **values: Any) -> "job_pb2.Job":
    """The job that `JobCalls.submit` would send. Raises InvalidArgument."""
    from windlass_client.calls import built
    from windlass_client.jobs import JobCalls

    return built(JobCalls.submit.build, session.client.jobs, command, **values).request.job


def _laid_over(session: Session, asked: "job_pb2.Job", file: str | None) -> list[JobFile]:
    """The jobs of a file with what else is asked for laid over each, or only that."""
    from windlass.jobs.v1 import job_pb2

    if file is None:
        if not asked.command and not asked.script:
            message = "say a command, such as: windlass submit -- python3 train.py; or a --script, or a --file"
            raise InvalidArgument(message, reason="NO_COMMAND")
        jobs = [JobFile(job_pb2.Job(), "the command line", 1)]
    else:
        jobs = read_jobs(file)
    known = job_pb2.Job.DESCRIPTOR.fields_by_name
    for one in jobs:
        for option in session.given:
            for path in _FIELDS.get(option, [option] if option in known else []):
                clear(one.job, path)
        own_project = one.job.project
        lay_over(one.job, asked)
        if own_project and session.shared.project is None:
            one.job.project = own_project
    return jobs


def _submit_several(session: Session, jobs: Sequence[JobFile], *, wait: bool) -> None:
    job_ids, failed = submit_all(session, jobs)
    if wait:
        ended = [session.client.jobs.wait(job_id) for job_id in job_ids]
        for one in ended:
            say(logs.verdict(one))
        failed = failed or next((code for code in map(_exit_code, ended) if code), 0)
    if failed:
        raise typer.Exit(failed)


def _exit_code(job: "job_pb2.Job") -> int:
    from windlass_client.jobs import exit_code

    return exit_code(job)


def _submit_one(
    session: Session,
    one: JobFile,
    request_id: str | None,
    validate_only: bool,
    *,
    wait: bool,
    follow: bool,
) -> None:
    if follow and one.job.HasField("array"):
        message = (
            "an array has no output of its own: --wait for it, and read windlass logs JOB/INDEX"
        )
        raise InvalidArgument(message, reason="FOLLOW_OF_ARRAY")
    try:
        job = session.client.jobs.submit_job(
            one.job, request_id=request_id, validate_only=validate_only
        )
    except WindlassError as error:
        raise one.told(error) from None
    if validate_only:
        say("the job is valid; nothing was submitted")
        session.answer(job, lambda: forecast_table(job.forecast))
    elif follow:
        say(f"submitted {job.job_id}")
        logs.follow_to_end(session, job.job_id)
    elif wait:
        wait_for(session, job.job_id)
    else:
        session.answer(job, lambda: job.job_id)


def _level(wanted: Isolation | None) -> "types_pb2.Isolation.Level | None":
    from windlass.types.v1 import types_pb2

    if wanted is None:
        return None
    return cast("types_pb2.Isolation.Level", types_pb2.Isolation.Level.Value(wanted.name))


def _spread(asked: str, most: int) -> "job_spread_pb2.Spread | None":
    from windlass.jobs.v1 import job_spread_pb2

    if not asked:
        if most:
            message = "--max-per-domain needs --spread: with whom, or over what?"
            raise InvalidArgument(message, reason="SPREAD_OVER_NOTHING")
        return None
    job_label, _, node_label = asked.partition(":")
    return job_spread_pb2.Spread(job_label=job_label, node_label=node_label, max_per_domain=most)


def _array(asked: str | None, parallel: int, *, in_file: bool) -> "job_array_pb2.JobArray | None":
    from windlass_client.arrays import JobArray, parse_array

    if asked is None:
        if parallel and in_file:
            return JobArray(parallel=parallel)
        if parallel:
            raise InvalidArgument("--parallel goes with --array", reason="PARALLEL_OF_NOTHING")
        return None
    return parse_array(asked, parallel)


def _topology(required: Domain | None, preferred: Domain | None) -> "topology_pb2.Topology | None":
    from windlass.types.v1 import topology_pb2

    if required is None and preferred is None:
        return None
    return topology_pb2.Topology(
        required=required and required.name, preferred=preferred and preferred.name
    )


def wait_for(session: Session, job_id: str) -> None:
    """Wait for the end of a job that was just submitted, and exit with its code."""
    say(f"submitted {job_id}")
    try:
        with progress() as tell:
            final = session.client.jobs.wait(job_id, on_change=tell)
    except KeyboardInterrupt:
        say(f"\n{job_id} goes on; wait for it again with: windlass jobs wait {job_id}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    say(logs.verdict(final))
    session.answer(final, lambda: job_id)
    logs.exit_as(final)
