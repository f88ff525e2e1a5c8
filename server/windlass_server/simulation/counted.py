"""What quotas count in virtual time, kept up with each job that starts or ends."""

from collections.abc import Iterable
from dataclasses import replace

from windlass_server.scheduler.quota import Ask, Quota


class Counted:
    """Quotas with what their owners have.

    Args:
        quotas: as they are when nobody has anything.
    """

    def __init__(self, quotas: Iterable[Quota]) -> None:
        self._quotas = {one.quota_id: one for one in quotas}
        self._of: dict[str, list[str]] = {}
        for quota in self._quotas.values():
            self._of.setdefault(quota.project, []).append(quota.quota_id)

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """As they are now."""
        return tuple(self._quotas.values())

    def take(self, ask: Ask) -> None:
        """Count what has got its place."""
        self._count(ask, 1)

    def give_back(self, ask: Ask) -> None:
        """Count what has ended."""
        self._count(ask, -1)

    def _count(self, ask: Ask, sign: int) -> None:
        for quota_id in self._of.get(ask.project, ()):
            quota = self._quotas[quota_id]
            used = dict(quota.used)
            for dimension, amount in ask.counted_by(quota).items():
                used[dimension] = used.get(dimension, 0) + sign * amount
            self._quotas[quota_id] = replace(quota, used=used)
