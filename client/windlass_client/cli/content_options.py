"""Options that say what a job brings along: a script, files, a commit, Python packages."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.files import read_text
from windlass_client.cli.output import say
from windlass_client.cli.progress import bar
from windlass_client.cli.session import Session
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import format_bytes

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_content_pb2

ScriptOption = Annotated[
    str | None,
    typer.Option(
        "--script",
        "-s",
        metavar="FILE",
        help="Run this file's text instead of a command; - is the input.",
    ),
]
SourceOption = Annotated[
    Path | None,
    typer.Option(
        "--source",
        metavar="DIR",
        help="Start among the files of this folder, or archive; uploaded where it is new.",
    ),
]
GitOption = Annotated[
    str | None,
    typer.Option("--git", metavar="URL@COMMIT", help="Start among the files of this commit."),
]
RequirementsOption = Annotated[
    str | None,
    typer.Option("--requirements", metavar="FILE", help="Python packages to install, a line each."),
]
PipOption = Annotated[
    list[str] | None,
    typer.Option("--pip", metavar="NAME", help="A Python package to install; repeatable."),
]
PythonOption = Annotated[
    str, typer.Option("--python", metavar="VERSION", help="Such as 3.12; default the node's own.")
]


def asked_script(file: str | None, command: Sequence[str] | None) -> str:
    """The text of a script; empty for none. Raises InvalidArgument."""
    if file is None:
        return ""
    if command:
        message = "a job has a command or a --script, not both"
        raise InvalidArgument(message, reason="COMMAND_AND_SCRIPT")
    text = read_text(file)
    if not text.strip():
        raise InvalidArgument(f"{file} is empty", reason="BAD_FILE")
    return text


def script_name(script: str | None, file: str | None) -> str:
    """What a job is called that runs a script and that nothing else names."""
    return Path(script).name[:128] if script and script != "-" and file is None else ""


def asked_source(
    session: Session, source: Path | None, git: str | None
) -> "job_content_pb2.JobSource | None":
    """The files of a job; a folder is brought to the server now. Raises InvalidArgument."""
    from windlass.jobs.v1 import job_content_pb2
    from windlass_client.sources import parse_git

    if git is not None:
        if source is not None:
            message = "--source and --git exclude each other"
            raise InvalidArgument(message, reason="TWO_SOURCES")
        return parse_git(git)
    if source is None:
        return None
    return job_content_pb2.JobSource(source_id=brought(session, source))


def brought(session: Session, path: Path) -> str:
    """The id of a folder or an archive that the server has, or gets now."""
    from windlass_client.sources import packed

    with packed(path) as archive:
        size = archive.size
        for one in session.client.sources.list(sha256=archive.sha256, page_size=1):
            return one.source_id
        say(f"uploading {path}: {format_bytes(size)}")
        with bar(str(path), size) as advance:
            made = session.client.sources.send(archive, on_progress=advance)
    return made.source_id


def asked_python(
    file: str | None, names: Sequence[str] | None, version: str
) -> "job_content_pb2.PythonEnvironment | None":
    """The Python packages of a job; None for none. Raises InvalidArgument."""
    from windlass.jobs.v1 import job_content_pb2

    requirements = [*(_requirements(file) if file is not None else ()), *(names or ())]
    if not requirements and not version:
        return None
    return job_content_pb2.PythonEnvironment(requirements=requirements, version=version)


def _requirements(file: str) -> list[str]:
    """The requirements of a file, as pip has them; options in it are refused."""
    found = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("-") or text.endswith("\\"):
            message = f"{file}:{number}: only requirements can be said, such as numpy>=2"
            raise InvalidArgument(message, reason="BAD_FILE")
        found.append(text)
    return found
