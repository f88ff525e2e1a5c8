"""The schema's history, one tree for both engines, applied at start."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from windlass_server.errors import BadConfiguration

# Raised with each new file in versions/; a test compares the two.
HEAD = "0051"


def migrate_connection(connection: Connection, target: str = HEAD) -> None:
    """Bring the database to `target`, inside the transaction that the caller began.

    Alembic takes longer to import than the whole check takes, so it is imported only when there is
    something to do.

    Raises:
        BadConfiguration: a newer windlass has used the database.
    """
    revision = current_revision(connection)
    if revision == target:
        return
    if revision is not None and revision > HEAD:
        message = f"the database is at revision {revision}; this windlass knows {HEAD} at most"
        raise BadConfiguration(message)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
