"""The options of what a job waits for: other jobs, and its time."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from windlass_client.errors import InvalidArgument

AfterOption = Annotated[
    list[str] | None,
    typer.Option("--after", metavar="JOB", help="Wait until it has started; repeatable."),
]
AfterOkOption = Annotated[
    list[str] | None,
    typer.Option("--after-ok", metavar="JOB", help="Wait until it has succeeded; repeatable."),
]
AfterNotOkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--after-not-ok", metavar="JOB", help="Wait until it has ended without success; repeatable."
    ),
]
AfterAnyOption = Annotated[
    list[str] | None,
    typer.Option("--after-any", metavar="JOB", help="Wait until it has ended; repeatable."),
]
FollowRetriesOption = Annotated[
    bool,
    typer.Option("--follow-retries", help="With --after-ok: where it fails, wait for its retry."),
]
SingletonOption = Annotated[
    bool,
    typer.Option("--singleton", help="Wait until your earlier jobs of its name have ended."),
]
StartAfterOption = Annotated[
    str | None,
    typer.Option(
        help="Not before, such as +2h or 2026-12-24T20:00Z; default at once.", show_default=False
    ),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option(
        help="When it must have ended, such as +8h or 2026-12-24T20:00Z; default never.",
        show_default=False,
    ),
]


def asked_dependencies(ways: Mapping[str, Iterable[str] | None]) -> dict[str, str]:
    """What a job waits for, by the other jobs' ids, of the jobs of each way.

    Raises:
        InvalidArgument: a job is named twice.
    """
    found: dict[str, str] = {}
    for way, job_ids in ways.items():
        for job_id in job_ids or ():
            if job_id in found:
                raise InvalidArgument(f"{job_id} is waited for twice", reason="BAD_DEPENDENCY")
            found[job_id] = way
    return found
