"""Which jobs of a node have to go so that a demand fits there: as few as will do, then the cheapest.

What a victim costs is the work that it loses: what its GPUs have done since its last checkpoint. Sets of
victims are compared by how many they are, then by what they lose, then by their priorities (the
highest first), then by when they started (the youngest first), and at last by the node and their ids.

Victims that hold the same of a node are of one kind, and of a kind the cheapest go first. So a node
whose jobs are alike has one set of each size, and to try all sets is to try how many of each kind.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TypeAlias

from windlass_server.scheduler.future import Future, Signature, signature
from windlass_server.scheduler.snapshot import WHOLE, Demand, Running
from windlass_server.scheduler.topology import needs_island

Cost: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...], str, tuple[str, ...]]

MILLISECOND = 1_000
"""In microseconds."""
MOST_SETS = 2_000
"""Sets of one size that are compared on one node; where there are more, one of which nobody can be spared is taken."""
# The same where it has to be found out for each how cards are divided then.
_MOST_DIVIDING = 64


@dataclass(frozen=True, slots=True)
class Victim:
    """A job that may be stopped, with all of its runs: a gang goes as a whole.

    Attributes:
        job_id: the job.
        priority: its own.
        started_at: when the first of its runs began (µs).
        loss: what its GPUs have done since its last checkpoint, in thousandths of a GPU times ms: so that what
            thousands of GPUs have done in a year is still a number that arrays can hold.
        runs: its runs, wherever they are.
    """

    job_id: str
    priority: int
    started_at: int
    loss: int
    runs: tuple[Running, ...]

    @classmethod
    def of(cls, runs: Sequence[Running], now: int) -> "Victim":
        """The job of these runs, which are all that it has."""
        return cls(
            runs[0].job_id,
            runs[0].priority,
            min(run.started_at for run in runs),
            sum(gpu_millis(run) * (max(now - run.saved_at, 0) // MILLISECOND) for run in runs),
            tuple(sorted(runs, key=lambda run: run.run_id)),
        )

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """The cheapest first."""
        return self.loss, self.priority, -self.started_at, self.job_id

    def on(self, node_id: str) -> tuple[Running, ...]:
        """Its runs on a node."""
        return tuple(run for run in self.runs if run.node_id == node_id)


Kinds: TypeAlias = Sequence[Sequence[Victim]]
Fits: TypeAlias = Callable[[Sequence[Victim]], bool]


def gpu_millis(run: Running) -> int:
    """What a run holds of GPUs, in thousandths of one."""
    return run.gpu_millis or WHOLE * len(run.gpu_uuids)


def cost(victims: Iterable[Victim], node_id: str) -> Cost:
    """By what sets of victims are compared; the least is best."""
    chosen = list(victims)
    return (
        len(chosen),
        sum(one.loss for one in chosen),
        tuple(sorted((one.priority for one in chosen), reverse=True)),
        tuple(sorted(-one.started_at for one in chosen)),
        node_id,
        tuple(sorted(one.job_id for one in chosen)),
    )


def kinds_of(
    victims: Iterable[Victim], held: Callable[[Sequence[Running]], Signature], node_id: str
) -> Kinds:
    """The victims by what they hold of a node, the cheapest of each kind first."""
    kinds: dict[Signature, list[Victim]] = {}
    for one in victims:
        kinds.setdefault(held(one.on(node_id)), []).append(one)
    return [sorted(kind, key=lambda one: one.rank) for _, kind in sorted(kinds.items())]


def fewest(
    kinds: Kinds,
    node_id: str,
    fits: Fits,
    *,
    least: int,
    bound: Cost | None,
    most: int = MOST_SETS,
) -> tuple[Victim, ...] | None:
    """The best set of a node's victims without which a demand fits there; None when none is.

    Args:
        kinds: those with a run on the node.
        node_id: the node.
        fits: whether the demand fits without these; if it does without some, then also without more.
        least: no smaller set will do.
        bound: what the set has to be better than.
        most: sets of one size that are compared.
    """
    everybody = [one for kind in kinds for one in kind]
    if not fits(everybody):
        return None
    for size in range(max(least, 1), len(everybody) + 1):
        if bound is not None and size > bound[0]:
            return None
        sets = list(islice(_sets(kinds, size), most + 1))
        if len(sets) > most:
            return _few(everybody, node_id, fits, bound)
        for price, chosen in sorted(((cost(one, node_id), one) for one in sets), key=_price):
            if bound is not None and price >= bound:
                break
            if size == len(everybody) or fits(chosen):
                return chosen
    return None


def fewest_on(
    future: Future,
    index: int,
    demand: Demand,
    victims: Iterable[Victim],
    *,
    gone: Sequence[Running] = (),
    least: int,
    bound: Cost | None,
) -> tuple[Victim, ...] | None:
    """As `fewest`, of a node as it will be; `gone` are runs that leave it in any case.

    What leaves that a reservation is for, leaves its room to the reservation.
    """
    node = future.node(index)
    able = [one for one in victims if not future.leaves_to_reservation(index, one.runs)]
    joined = needs_island(demand)
    kinds = kinds_of(able, lambda runs: signature(node, runs, joined=joined), node.node_id)

    def fits_without(chosen: Sequence[Victim]) -> bool:
        runs = [run for victim in chosen for run in victim.on(node.node_id)]
        return future.holds(index, demand, [*gone, *runs])

    return fewest(kinds, node.node_id, fits_without, least=least, bound=bound)


def fewest_dividing(
    future: Future, index: int, demand: Demand, victims: Iterable[Victim], *, bound: Cost | None
) -> tuple[Victim, ...] | None:
    """As `fewest_on`, where a demand may also fit when cards are divided otherwise: it matters who has which."""
    node = future.node(index)
    able = [one for one in victims if not future.leaves_to_reservation(index, one.runs)]

    def fits_without(chosen: Sequence[Victim]) -> bool:
        runs = [run for victim in chosen for run in victim.on(node.node_id)]
        return future.could_hold(index, demand, runs)

    kinds = [[one] for one in sorted(able, key=lambda one: one.rank)]
    return fewest(kinds, node.node_id, fits_without, least=1, bound=bound, most=_MOST_DIVIDING)


def _price(pair: tuple[Cost, tuple[Victim, ...]]) -> Cost:
    return pair[0]


def _sets(kinds: Kinds, size: int) -> Iterator[tuple[Victim, ...]]:
    """The cheapest of each kind, in all numbers that make so many victims."""
    behind = [*accumulate((len(kind) for kind in reversed(kinds)), initial=0)][::-1]

    def choose(first: int, left: int) -> Iterator[tuple[Victim, ...]]:
        if not left:
            yield ()
        elif left <= behind[first]:
            for count in range(min(left, len(kinds[first])), -1, -1):
                for rest in choose(first + 1, left - count):
                    yield (*kinds[first][:count], *rest)

    return choose(0, size)


def _few(
    everybody: Sequence[Victim], node_id: str, fits: Fits, bound: Cost | None
) -> tuple[Victim, ...] | None:
    """A set of which nobody can be spared; those who hold least are spared first."""
    chosen = list(everybody)
    for one in sorted(everybody, key=lambda one: (_amounts(one, node_id), one.rank)):
        without = [other for other in chosen if other is not one]
        if without and fits(without):
            chosen = without
    return tuple(chosen) if bound is None or cost(chosen, node_id) < bound else None


def _amounts(victim: Victim, node_id: str) -> tuple[int, int, int]:
    runs = victim.on(node_id)
    return (
        sum(gpu_millis(run) for run in runs),
        sum(run.cpu_millis for run in runs),
        sum(run.memory_bytes for run in runs),
    )
