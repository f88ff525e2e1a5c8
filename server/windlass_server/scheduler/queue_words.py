"""What queues keep jobs from, in the words of the sentences that people read."""

from windlass_server.scheduler.queue_limits import Excess
from windlass_server.scheduler.wording import count_text


def excess_text(one: Excess) -> str:
    """As in `queue nightly has 4 running jobs of the 4 that it allows`."""
    jobs = count_text(one.jobs, one.what)
    if one.user:
        return f"user {one.user} has {jobs} in queue {one.queue} of the {one.most} that it allows each user"
    return f"queue {one.queue} has {jobs} of the {one.most} that it allows"


def paused_text(queue: str) -> str:
    """Why nothing starts."""
    return f"queue {queue} is paused"
