"""What projects and users had lately, with what is long ago forgotten by halves. Pure.

What somebody uses is measured in GPUs: a node's resources go together in some proportion, so CPU and memory
count as the GPUs that they keep from others when they are more than those that are held. A whole GPU
is `GPU` of it, so that sums are of whole numbers and come out the same in any order.

Usage decays exactly: a constant rate `r` from `t` to `t + d` makes of a value `U`

    U(t + d) = U(t) * 2 ** (-d / H)  +  r * H / ln 2 * (1 - 2 ** (-d / H))

for a half-life `H`: no sweep is needed, and it does not matter how often one looks. `U * ln 2 / H` is
the mean rate of the time gone by, each moment weighted by what is left of it, and is what the order of jobs
goes by: it is in GPUs as what is held now is.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

GPU = 1_000_000
"""A whole GPU, as usage counts."""

# 16 cores count as a GPU, and so do 128 GiB; in these units nothing overflows 64 bits.
_CPU_MILLIS = 16_000
_MIB = 1 << 20
_MEMORY_MIB = 128 << 10
_SLICES = 7
# As in `1g.10gb` and `H100-1g.10gb`.
_PROFILE = re.compile(r"(?:^|-)([1-7])g\.")

Integers: TypeAlias = npt.NDArray[np.int64]

Account: TypeAlias = tuple[str, str]
"""A project and a user in it."""


@lru_cache(maxsize=4096)
def charge(gpus: int, cpu_millis: int, memory_bytes: int) -> int:
    """What holding so much counts as, in millionths of a GPU: the most of the three, rounded up.

    Args:
        gpus: millionths of a GPU.
        cpu_millis: thousandths of a core; 16 cores count as a GPU.
        memory_bytes: 128 GiB count as a GPU.
    """
    return int(charges(np.array([gpus]), np.array([cpu_millis]), np.array([memory_bytes]))[0])


def charges(gpus: Integers, cpu_millis: Integers, memory_bytes: Integers) -> Integers:
    """As `charge`, of many at once."""
    # Negated, so that dividing rounds up.
    cpu = -cpu_millis * (GPU // 1000) // (_CPU_MILLIS // 1000)
    memory = -memory_bytes // _MIB * GPU // _MEMORY_MIB
    return np.maximum(np.maximum(gpus, 1), -np.minimum(cpu, memory))


def part_of_card(profile: str) -> int:
    """What an instance of a divided card counts as, by its profile or type; a whole card when it is none."""
    found = _PROFILE.search(profile)
    return int(found[1]) * GPU // _SLICES if found else GPU


def decayed(value: float, rate: float, time: float, half_life: float) -> float:
    """What becomes of a value within a time in which the rate was constant; see the module.

    Args:
        value: rate times time, of 0 or more.
        rate: of 0 or more.
        time: of 0 or more, in the unit of `half_life`.
        half_life: more than 0.
    """
    halvings = -time / half_life
    gained = -math.expm1(halvings * math.log(2)) * half_life / math.log(2)
    return value * math.exp2(halvings) + rate * gained


def by_project(accounts: Mapping[Account, float]) -> dict[str, float]:
    """What all users of each project have together."""
    projects: dict[str, list[float]] = {}
    for (project, _), amount in accounts.items():
        projects.setdefault(project, []).append(amount)
    # Exactly rounded, so that it is the same in any order.
    return {project: math.fsum(amounts) for project, amounts in projects.items()}


@dataclass(slots=True)
class _Usage:
    """Of one account: a value as of `at`, and what it holds since then."""

    at: int
    value: float = 0.0
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """What accounts had lately and have now, in millionths of a GPU. Who is not named had nothing.

    Attributes:
        lately: by half-life (µs): their decayed mean.
        now: what they hold.
    """

    lately: Mapping[int, Mapping[Account, float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    now: Mapping[Account, int] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, half_life: int) -> dict[Account, float]:
        """What each account has had and has."""
        had = dict(self.lately.get(half_life, {}))
        for account, rate in self.now.items():
            had[account] = had.get(account, 0.0) + rate
        return had


NO_SHARES = Shares()


class Tally:
    """Usage of accounts, kept up as things are taken and given back: each change costs the same.

    What it is told may come late and in any order; the sum is the same. Times are microseconds.
    """

    def __init__(self, half_life: int) -> None:
        self.half_life = half_life
        self._usage: dict[Account, _Usage] = {}

    def opened(self, account: Account, rate: int, start: int) -> None:
        """Something is held from `start` on, until told otherwise."""
        usage = self._at_least(account, start)
        usage.value += self._gained(rate, usage.at - start)
        usage.rate += rate

    def closed(self, account: Account, rate: int, end: int) -> None:
        """What was opened is held no more since `end`."""
        usage = self._at_least(account, end)
        usage.value = max(0.0, usage.value - self._gained(rate, usage.at - end))
        usage.rate -= rate

    def held(self, account: Account, rate: int, start: int, end: int) -> None:
        """Something was held for a time that is over."""
        if end > start:
            usage = self._at_least(account, end)
            value = decayed(0.0, rate, end - start, self.half_life)
            usage.value += decayed(value, 0, usage.at - end, self.half_life)

    def lately(self, now: int) -> dict[Account, float]:
        """The decayed mean of each account, in the unit of rates; before the last change: as of that."""
        per_value = math.log(2) / self.half_life
        return {
            account: decayed(usage.value, usage.rate, max(0, now - usage.at), self.half_life)
            * per_value
            for account, usage in self._usage.items()
        }

    def now(self) -> dict[Account, int]:
        """What each account holds, of those that hold anything."""
        return {account: usage.rate for account, usage in self._usage.items() if usage.rate}

    def _at_least(self, account: Account, at: int) -> _Usage:
        """The usage of an account, brought forward to `at` unless it is beyond that."""
        usage = self._usage.get(account)
        if usage is None:
            usage = self._usage[account] = _Usage(at)
        elif usage.at < at:
            usage.value = decayed(usage.value, usage.rate, at - usage.at, self.half_life)
            usage.at = at
        return usage

    def _gained(self, rate: int, time: int) -> float:
        return decayed(0.0, rate, time, self.half_life)


def jain_index(amounts: Iterable[float]) -> float:
    """How evenly something is shared, from 1 / n (one has all) to 1 (all have the same).

    Jain, Chiu and Hawe, DEC-TR-301 (1984): `sum(x) ** 2 / (n * sum(x ** 2))`; 1 of nothing.
    """
    values = [*amounts]
    most = max(values, default=0.0)
    if most <= 0.0:
        return 1.0
    parts = [value / most for value in values]
    return math.fsum(parts) ** 2 / (len(parts) * math.fsum(part * part for part in parts))
