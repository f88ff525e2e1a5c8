"""Very many jobs in a database, by one statement."""

from typing import Any

from sqlalchemy import Connection, text

from tests.support.jobs import job_columns

_ID = "'job-000000000000000000' || substr(CAST(100000000 + i AS TEXT), 2)"


def fill(connection: Connection, count: int, by_row: dict[str, str], **values: Any) -> None:
    """Add jobs, whose ids are in the order of their numbers.

    Args:
        connection: to a database in which their projects are.
        count: how many, less than a hundred million.
        by_row: what columns are by an expression of `i`, the number of the job.
        values: what other columns are, instead of those of `job_columns`.
    """
    columns = {"job_id": _ID, **by_row}
    same = {name: value for name, value in job_columns(**values).items() if name not in columns}
    said = columns | {name: f":{name}" for name in same}
    names = ", ".join(f'"{name}"' for name in said)
    statement = (
        f"INSERT INTO jobs ({names}) WITH RECURSIVE numbers(i) AS"
        " (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :count)"
        f" SELECT {', '.join(said.values())} FROM numbers"
    )
    connection.execute(text(statement), {"count": count} | same)
