"""Alembic's entry: migrates the connection that it was handed."""

from alembic import context
from sqlmodel import SQLModel

from windlass_server.storage import tables  # noqa: F401 - registers the tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, transactional_ddl=True)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        # Two servers that start at once migrate one after the other, however long one takes.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7239011)")
    context.run_migrations()
