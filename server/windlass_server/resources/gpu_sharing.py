"""Whether GPUs may be shared: when that is asked for, and when it is given."""

from collections.abc import Sequence

from windlass_server.errors import Conflict, FieldViolation, InvalidInput
from windlass_server.resources.pooling import PoolRules, rules_of
from windlass_server.storage.gpu_shares import Share
from windlass_server.storage.transaction import Transaction


def require_sharing(
    millis: int, usable: tuple[str, ...] | None, pools: Sequence[PoolRules], field: str
) -> None:
    """Do nothing when a share of a GPU could be had, or none is asked for.

    Args:
        millis: what is asked for of a GPU, in thousandths; 0 for no share.
        usable: the pools on whose nodes it may be; None for any.
        pools: all of them.
        field: where it stands in the request.

    Raises:
        InvalidInput: GPU_SHARING_NOT_ALLOWED, none of these pools lets jobs share GPUs.
    """
    asked = [pool for pool in pools if usable is None or pool.pool_id in usable]
    if not millis or any(pool.max_sharers for pool in asked):
        return
    if len(asked) == 1:
        message = f"pool {asked[0].pool_id!r} does not let jobs share GPUs"
    else:
        message = "none of the pools that the project may use lets jobs share GPUs"
    reason = "GPU_SHARING_NOT_ALLOWED"
    violations = (FieldViolation(field, message, reason),)
    raise InvalidInput(message, reason=reason, violations=violations)


def share_on(tx: Transaction, pool: str, millis: int) -> Share | None:
    """The share to take of a GPU of a node of a pool; None when whole ones are asked for.

    Raises:
        Conflict: GPU_SHARING_OFF, the pool does not let jobs share GPUs any more.
    """
    if not millis:
        return None
    most = {one.pool_id: one.max_sharers for one in rules_of(tx.pools.all())}.get(pool, 0)
    if not most:
        message = f"pool {pool!r} does not let jobs share GPUs any more"
        raise Conflict(message, reason="GPU_SHARING_OFF", pool=pool)
    return Share(millis, most)
