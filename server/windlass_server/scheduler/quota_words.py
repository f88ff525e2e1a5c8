"""Quotas in the words of the sentences that people read."""

from windlass_server.scheduler.quota import Dimension, Quota, Refusal, Why
from windlass_server.scheduler.wording import count_text, cpu_text, memory_text

_JOBS = {Dimension.RUNNING: "running job", Dimension.QUEUED: "waiting job"}


def amount_text(amount: int, dimension: Dimension, gpu_type: str = "") -> str:
    """As in `8 GPUs`, `0.5 H100`, `4 cores`, `16 GiB`, `3 running jobs` and `2 GiB of artifacts`."""
    if dimension in _JOBS:
        return count_text(amount, _JOBS[dimension])
    if dimension is Dimension.CPU:
        return cpu_text(amount)
    if dimension is Dimension.MEMORY:
        return memory_text(amount)
    if dimension is Dimension.ARTIFACTS:
        return f"{memory_text(amount)} of artifacts"
    return f"{amount / 1000:g} {gpu_type or ('GPU' if amount == 1000 else 'GPUs')}"


def owner_text(quota: Quota) -> str:
    """As in `project ml`, or `user ann in project ml`."""
    return f"{f'user {quota.user} in ' if quota.user else ''}project {quota.project}"


def refusal_text(refusal: Refusal) -> str:
    """What is asked for, what its owner has, and which rule that would break."""
    quota, dimension = refusal.quota, refusal.dimension

    def text(amount: int) -> str:
        return amount_text(amount, dimension, quota.gpu_type)

    owner, asks = owner_text(quota), f"needs {text(refusal.asked)}"
    if refusal.why is Why.NEVER:
        return f"{asks}; {owner} may have {text(refusal.bound)} at most by its quota"
    has = f"{owner} has {text(refusal.used)}"
    if refusal.why is Why.LIMIT:
        return f"{asks}; {has} of the {text(refusal.bound)} that its quota allows"
    guaranteed = quota.guaranteed[dimension]
    beyond = f"beyond the {text(guaranteed)} that it is guaranteed"
    if refusal.why is Why.BORROWING_LIMIT:
        return f"{asks}; {has} and may borrow {text(refusal.bound - guaranteed)} {beyond}"
    return f"{asks}; {has}, and {beyond} others leave {text(refusal.idle)} to borrow"


def said_text(quota: Quota) -> str:
    """What a quota says, as in `project ml: guaranteed 8 GPUs, limit 16 GPUs and 20 running jobs`."""
    parts = []
    for name, amounts in (
        ("guaranteed", quota.guaranteed),
        ("may borrow", quota.borrowing),
        ("limit", quota.limit),
    ):
        if amounts:
            words = (amount_text(amount, one, quota.gpu_type) for one, amount in amounts.items())
            parts.append(f"{name} {' and '.join(words)}")
    if quota.max_priority is not None:
        parts.append(f"priority {quota.max_priority} at most")
    return f"{owner_text(quota)}: {', '.join(parts)}"
