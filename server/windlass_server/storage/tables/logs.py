"""Logs of runs that have ended, in the object store. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel


class LogArchiveRow(SQLModel, table=True):
    """The whole log of one run, which is one object made of chunks that are compressed each by itself."""

    __tablename__ = "log_archives"
    __table_args__ = (
        # Those that still have an object, the oldest first.
        Index(
            "log_archives_stored",
            "archived_at",
            sqlite_where=text("key <> ''"),
            postgresql_where=text("key <> ''"),
        ),
    )

    run_id: str = Field(primary_key=True)
    rank: int
    # Where the object is; empty when it has been removed.
    key: str
    # What the log has without compression, and the object with it.
    size_bytes: int = Field(sa_type=BigInteger)
    stored_bytes: int = Field(sa_type=BigInteger)
    lines: int = Field(sa_type=BigInteger)
    archived_at: int = Field(sa_type=BigInteger)
    # Since when nobody may read it any more; None while it is kept.
    expired_at: int | None = Field(default=None, sa_type=BigInteger)


class LogChunkRow(SQLModel, table=True):
    """A part of an archived log, from one boundary between frames to another."""

    __tablename__ = "log_chunks"

    run_id: str = Field(primary_key=True, foreign_key="log_archives.run_id")
    number: int = Field(primary_key=True)
    # Which bytes of the log it has.
    position: int = Field(sa_type=BigInteger)
    end_position: int = Field(sa_type=BigInteger)
    # The latest time (ns since 1970) of what lies up to its end.
    newest_nanos: int = Field(sa_type=BigInteger)
    # Line ends in it.
    lines: int
    # Which bytes of the object it is.
    object_offset: int = Field(sa_type=BigInteger)
    stored_bytes: int
