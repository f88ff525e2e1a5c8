"""`windlass templates …`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass_client.cli import logs
from windlass_client.cli.files import read_text
from windlass_client.cli.forecasts import forecast_table
from windlass_client.cli.output import cell, moment, say, table
from windlass_client.cli.overrides import job_overrides
from windlass_client.cli.session import Session, command, group
from windlass_client.cli.submit import pairs, wait_for
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.jobs.v1 import job_template_pb2


def list_templates(session: Session) -> None:
    """List the templates of the project, each in its newest version."""
    from windlass.jobs.v1 import job_templates_service_pb2

    found = list(session.client.templates.list(page_size=1000))
    page = job_templates_service_pb2.ListJobTemplatesResponse(templates=found)
    session.answer(page, lambda: templates_table(found), nothing="" if found else "no templates")


app = group(
    "templates",
    list_templates,
    help="Jobs with parameters, kept by the project.",
    examples=["windlass templates", "windlass templates run finetune --set lr=0.1"],
)
command(app, "list", examples=["windlass templates list", "windlass templates list -o json"])(
    list_templates
)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The template.", show_default=False)
]
FileArgument = Annotated[
    str,
    typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.", show_default=False),
]
VersionOption = Annotated[
    int, typer.Option("--version", min=0, help="Which version; default the newest.")
]

_CREATE_HELP = """Make a template of a file.

The file has a name, a description, parameters and a job, in which `{{ name }}` stands for the value of a parameter:

    name: finetune
    parameters:
    - {name: lr, type: NUMBER, default: 0.001, minimum: 0}
    job:
      command: [python3, train.py, "--lr={{ lr }}"]

[bold]Examples:[/bold]

    windlass templates create finetune.yaml

    windlass templates show finetune -o json | windlass templates create - --project other"""


@command(app, "create", help=_CREATE_HELP)
def create(session: Session, file: FileArgument) -> None:
    """See `_CREATE_HELP`."""
    made = session.client.templates.create(_read(file))
    session.answer(made, lambda: _title(made))


@command(app, "update", examples=["windlass templates update finetune.yaml"])
def update(session: Session, file: FileArgument) -> None:
    """Make the next version of a template of a file, which says all of it; as it was: none."""
    template = _read(file)
    now = session.client.templates.update(template, ["description", "parameters", "job"])
    session.answer(now, lambda: _title(now))


@command(
    app,
    "show",
    examples=["windlass templates show finetune", "windlass templates show finetune --version 3"],
)
def show(session: Session, name: NameArgument, version: VersionOption = 0) -> None:
    """Show a template, its parameters and its job."""
    found = session.client.templates.get(name, version=version)
    session.answer(found, lambda: template_table(found))


@command(app, "versions", examples=["windlass templates versions finetune"])
def versions(session: Session, name: NameArgument) -> None:
    """List the versions of a template, the newest first."""
    from windlass.jobs.v1 import job_templates_service_pb2

    found = list(session.client.templates.versions(name, page_size=1000))
    page = job_templates_service_pb2.ListJobTemplateVersionsResponse(versions=found)
    session.answer(page, lambda: templates_table(found))


@command(app, "delete", examples=["windlass templates delete finetune"])
def delete(session: Session, name: NameArgument) -> None:
    """Remove a template; jobs that it made stay as they are."""
    gone = session.client.templates.delete(name)
    session.answer(gone, lambda: f"{gone.name} deleted")


_RUN_HELP = """Submit a job of a template, and print its id.

What is overridden replaces what the template says; lists and messages are written as JSON.

[bold]Examples:[/bold]

    windlass templates run finetune --set lr=0.1 --follow

    windlass templates run finetune --set lr=0.1 --version 2 --override queue=nightly -e SEED=3

    windlass templates run finetune --set lr=0.1 --validate-only -o json"""


@command(app, "run", help=_RUN_HELP)
def run(
    session: Session,
    name: NameArgument,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Of a parameter; repeatable."),
    ] = None,
    version: VersionOption = 0,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override", metavar="FIELD=VALUE", help="Otherwise than the template; repeatable."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeatable."),
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Submit nothing; show the job as it would be.")
    ] = False,
    request_id: Annotated[
        str | None, typer.Option(help="Submitting again with the same id answers the same job.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end; exit with the job's code.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print its log, then as --wait.")
    ] = False,
) -> None:
    """See `_RUN_HELP`."""
    job = session.client.templates.run(
        name,
        pairs(set_ or [], "--set"),
        version=version,
        overrides=job_overrides(override or [], pairs(env or [], "--env")),
        validate_only=validate_only,
        request_id=request_id,
    )
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


def _read(file: str) -> "job_template_pb2.JobTemplate":
    """The template of a file. Raises InvalidArgument."""
    import yaml
    from google.protobuf.json_format import ParseDict, ParseError

    from windlass.jobs.v1 import job_template_pb2

    where = "standard input" if file == "-" else file
    try:
        tree = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{where}: this is no YAML: {error}", reason="BAD_FILE") from None
    if not isinstance(tree, dict) or "job" not in tree:
        message = f"{where} has no template in it: a name, parameters and a job"
        raise InvalidArgument(message, reason="BAD_FILE")
    for one in tree.get("parameters") or []:
        if isinstance(one, dict) and isinstance(one.get("type"), str):
            one["type"] = one["type"].upper()
    template = job_template_pb2.JobTemplate()
    # What a server answered can be given to it again.
    for name in ("project", "version", "user", "create_time", "etag"):
        tree.pop(name, None)
    try:
        return ParseDict(_plain(tree), template)
    except (ParseError, ValueError, TypeError) as error:
        raise InvalidArgument(f"{where}: {error}", reason="BAD_FILE") from None


def _plain(part: Any) -> Any:
    """A part of a file with dates as they were written, and names that are texts."""
    if isinstance(part, dict):
        return {str(name): _plain(one) for name, one in part.items()}
    if isinstance(part, list):
        return [_plain(one) for one in part]
    return part if part is None or isinstance(part, str | int | float | bool) else str(part)


def _title(template: "job_template_pb2.JobTemplate") -> str:
    return f"{template.name} version {template.version}"


def templates_table(found: "Sequence[job_template_pb2.JobTemplate]") -> "Table":
    """A line for each template, or for each version of one."""
    made = table("NAME", "VERSION", "PARAMETERS", "BY", "SINCE", "DESCRIPTION", right=["VERSION"])
    for one in found:
        made.add_row(
            cell(one.name),
            cell(str(one.version)),
            cell(", ".join(parameter.name for parameter in one.parameters) or "-"),
            cell(one.user),
            cell(moment(one.create_time)),
            cell(one.description),
        )
    return made


def template_table(one: "job_template_pb2.JobTemplate") -> "Table":
    """Everything about a template."""
    import yaml
    from google.protobuf.json_format import MessageToDict

    made = table("", "")
    made.show_header = False
    rows = [("template", _title(one)), ("description", one.description)]
    rows += [(f"--set {each.name}=", _takes(each)) for each in one.parameters]
    job = yaml.safe_dump(MessageToDict(one.job), sort_keys=False).strip()
    rows += [("job", job), ("by", f"{one.user}, {moment(one.create_time)}")]
    for heading, value in rows:
        for line in value.splitlines():
            made.add_row(cell(heading, "bold"), cell(line))
            heading = ""  # noqa: PLW2901 - once
    return made


def _takes(parameter: "job_template_pb2.TemplateParameter") -> str:
    """As in `NUMBER, at least 0, default 0.1: the step of the optimiser`."""
    from google.protobuf.json_format import MessageToDict

    kind = type(parameter).Type.Name(parameter.type)
    parts = [f"one of {', '.join(parameter.choices)}" if parameter.choices else kind]
    if parameter.HasField("minimum"):
        parts.append(f"at least {parameter.minimum:g}")
    if parameter.HasField("maximum"):
        parts.append(f"at most {parameter.maximum:g}")
    if parameter.pattern:
        parts.append(f"as {parameter.pattern}")
    if parameter.HasField("default"):
        default = str(MessageToDict(parameter.default)).removesuffix(".0")
        parts.append(f"default {default}")
    else:
        parts.append("needed")
    about = f": {parameter.description}" if parameter.description else ""
    return ", ".join(parts) + about
