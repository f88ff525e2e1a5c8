"""What jobs measure themselves."""

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class CustomMetricRow(SQLModel, table=True):
    """A part of a curve of one name of one run; see `telemetry.curves`.

    Part 0 is the newest points, to which others come; it has how many there are in the parts before it.
    """

    __tablename__ = "custom_metrics"
    __table_args__ = (Index("custom_metrics_of_job", "job_id", "name"),)

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    name: str = Field(primary_key=True)
    part: int = Field(primary_key=True)
    job_id: str
    # Of part 0: the number of the newest part, and how many points all others have together.
    parts: int
    points: int
    data: bytes = Field(sa_type=LargeBinary)


class MetricTallyRow(SQLModel, table=True):
    """What became of all that a run has sent, and up to where it was taken in."""

    __tablename__ = "metric_tallies"

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    job_id: str = Field(index=True)
    # Who counted the batches, and the newest that is in.
    source: int = Field(sa_type=BigInteger)
    position: int = Field(sa_type=BigInteger)
    values: int = Field(sa_type=BigInteger)
    malformed_lines: int = Field(sa_type=BigInteger)
    last_malformed: str
    dropped_values: int = Field(sa_type=BigInteger)
    # Of names beyond those that a run, and then a job, may use.
    refused_values: int = Field(sa_type=BigInteger)
    refused_by_job: int = Field(sa_type=BigInteger)
