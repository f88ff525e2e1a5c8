"""Conditions of partial indexes, in the words by which SQLite finds the index.

SQLAlchemy writes a boolean column as `column = 1` for SQLite, which does not conclude from that that an index
`WHERE column` has the row, and reads the whole table. PostgreSQL takes either.
"""

from sqlalchemy import text

JOB_IN_QUEUE = text("jobs.status = 1 AND jobs.held = 0")
JOB_AWAITS_TIME = text("jobs.status = 1 AND jobs.held = 2")
JOB_LIVE = text("jobs.ended_at IS NULL")
JOB_HAS_DEADLINE = text("jobs.ended_at IS NULL AND jobs.end_by IS NOT NULL")
JOB_NOT_ENDED = text("jobs.ended_at IS NULL")
DEPENDENCY_OPEN = text("job_dependencies.state = 0")
DEPENDENCY_STALLED = text("job_dependencies.state = 4")
RUN_KEPT = text("NOT runs.forgotten")
RUN_ACTIVE = text("runs.active")
REMOTE_RUN_KEPT = text("NOT remote_runs.forgotten")
NODE_AILS = text("nodes.ailing")
PREEMPTION_KEPT = text("preemptions.kept")
DRAIN_NODE_ACTIVE = text("drain_nodes.active")
JOB_LISTED = text("jobs.array_job_id IS NULL")
JOB_OF_ARRAY = text("jobs.array_job_id IS NOT NULL")
ARRAY_ACTIVE = text("job_arrays.active")
