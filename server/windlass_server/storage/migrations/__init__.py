"""The schema's history, one tree for both engines, applied at start."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

# Raised with each new file in versions/; a test compares the two.
HEAD = "0001"


def migrate(engine: Engine) -> None:
    """Bring the database behind `engine` to HEAD."""
    with engine.connect() as connection:
        migrate_connection(connection)


def migrate_connection(connection: Connection) -> None:
    """Bring the database to HEAD, inside the caller's transaction where there is one.

    Alembic takes longer to import than the whole check takes, so it is imported only when there is
    something to do.
    """
    if current_revision(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
