"""Which jobs have a place here, as all that counts them does."""

from sqlalchemy import text

# As jobs.v1.Job.Status: these have a place or leave it, and what is SUSPENDED (10) has one while it is frozen.
# Those at other clusters have none here, and of arrays their indices have.
HAS_PLACE = text(
    "jobs.status IN (2, 3, 4, 10, 11) AND (jobs.status <> 10 OR jobs.frozen)"
    " AND jobs.cluster = '' AND jobs.array_count = 0"
)
