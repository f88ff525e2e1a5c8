"""How ways to place a task are compared, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from windlass_server.scheduler.packing.holes import hole_values
from windlass_server.scheduler.packing.kinds import KindPrices
from windlass_server.scheduler.packing.measures import Measures
from windlass_server.scheduler.packing.moves import Moves
from windlass_server.scheduler.packing.shapes import WHOLE, Classes, Floats, Integers, States

# As in the simulator of the FGD paper: what one node has at most.
_MOST_CPU = 128_000.0
_MOST_GPU = 8.0 * WHOLE
_TYPICAL = 0.95


class Policy(Protocol):
    """Compares ways to place a task.

    Attributes:
        any_of_equals: of the ways that cost least any is taken by chance, not the first.
    """

    any_of_equals: bool

    def costs(self, moves: Moves) -> Floats:
        """What each way costs; the least is taken."""
        ...

    def renew(self, states: States, nodes: Integers) -> bool:
        """Look at the whole fleet, as the number of nodes in each state; whether costs changed."""
        ...


class _Fixed:
    """What compares ways without regard to the rest of the fleet."""

    any_of_equals = False

    def renew(self, states: States, nodes: Integers) -> bool:
        """Nothing changes."""
        return False


class RandomFit(_Fixed):
    """Any way, each as likely."""

    any_of_equals = True

    def costs(self, moves: Moves) -> Floats:
        """All alike."""
        return np.zeros(len(moves.rows))


class BestFit(_Fixed):
    """Leaves least of CPU and GPUs, each as a share of what a node has at most."""

    def costs(self, moves: Moves) -> Floats:
        """The mean share that is left, rounded as in the paper's simulator, then the fullest GPU."""
        left = moves.after.cpu / _MOST_CPU + moves.after.idle / _MOST_GPU
        return -np.floor((1.0 - left / 2.0) * 100.0) + moves.used / (10.0 * WHOLE)


class DotProduct(_Fixed):
    """Least alike what is idle and what is asked for (Tetris, SIGCOMM 2014, as the paper has it)."""

    def costs(self, moves: Moves) -> Floats:
        """The dot product of both, rounded as in the paper's simulator, then the fullest GPU."""
        idle = moves.before.at(moves.rows)
        cpu = idle.cpu / _MOST_CPU * (moves.shape.cpu_millis / _MOST_CPU)
        gpu = idle.idle / _MOST_GPU * (moves.shape.size / _MOST_GPU)
        return -np.floor((1.0 - (cpu + gpu) / 2.0) * 100.0) + moves.used / (10.0 * WHOLE)


class FragmentationGradientDescent(_Fixed):
    """FGD: where fragmentation grows least (Weng et al., USENIX ATC 2023, section 4.3).

    As in the paper's simulator it looks at typical classes, which are 95 % of tasks, and steps are
    rounded to hundredths after a sigmoid: so nodes are often equals, and the first is taken. Without
    that it packs worse.
    """

    def __init__(self, classes: Classes) -> None:
        typical = classes.typical(_TYPICAL)
        self._measures = Measures(typical)
        self._popularity = typical.popularity

    def costs(self, moves: Moves) -> Floats:
        """The growth of fragmentation on the node."""
        fragmentation = self._measures.useless(moves.states) @ self._popularity
        growth = moves.growth(fragmentation)
        return -np.floor(100.0 / (1.0 + np.exp(np.round(growth, 6) / WHOLE)))


@dataclass(frozen=True, slots=True)
class Weights:
    """How much the parts of `HolesFirst` count.

    Attributes:
        holes: the worth of holes, for each GPU of it; so high that the rest decides between ways that
            cost the same worth.
        idle: what a class that alone filled the node would leave idle.
        scarcity: how much more a class counts that is short of room, squared.
    """

    holes: float = 1000.0
    idle: float = 0.5
    scarcity: float = 100.0


class HolesFirst:
    """First keeps the worth of holes in GPUs, then what is idle of use to those who are short of it.

    Three parts, all in thousandths of GPUs:

    - the worth of all holes (`holes.hole_values`), which a good fit keeps, times the price of their type
      of GPU (`kinds.KindPrices`), which leaves types to those who take no other;
    - fragmentation as FGD has it, but classes that are short of room count more: the weight of a class
      is p (1 + 100 s^2), where s is its share of the demand, times all that is idle, over what it
      could take if it alone filled the fleet;
    - what would be left idle on the node if one class alone filled it, for lack of CPU too, by plain
      popularity of the classes with GPUs.
    """

    any_of_equals = False

    def __init__(self, classes: Classes, weights: Weights = Weights()) -> None:
        self._weights = weights
        self._measures = Measures(classes)
        self._popularity = classes.popularity
        demand = classes.popularity * classes.size
        self._share_of_demand = demand / max(demand.sum(), 1e-12)
        with_gpus = np.where(classes.count > 0, classes.popularity, 0.0)
        self._of_idle = with_gpus / max(with_gpus.sum(), 1e-12)
        self._of_useless = classes.popularity
        self._holes = _worth(classes) * WHOLE
        self._kind_prices = KindPrices(classes)
        self._prices = np.ones(classes.admits.shape[1])

    def costs(self, moves: Moves) -> Floats:
        """What the node loses of all three."""
        return np.round(moves.growth(self._potential(moves.states)), 6)

    def renew(self, states: States, nodes: Integers) -> bool:
        """Weigh the classes by how short of room they are now, and price the types of GPU."""
        idle_gpus = (nodes * states.idle).astype(np.float64)
        by_kind = np.bincount(states.kinds, idle_gpus, len(self._prices)).astype(np.float64)
        self._prices = self._kind_prices.of(by_kind)
        idle = float(by_kind.sum())
        usable = nodes @ self._measures.fillable(states)
        short = self._share_of_demand * idle / np.maximum(usable, 1.0)
        weights = self._popularity * (1.0 + self._weights.scarcity * short**2)
        self._of_useless = weights / weights.sum()
        return True

    def _potential(self, states: States) -> Floats:
        useless, fillable = self._measures.both(states)
        lacking, filled = useless @ self._of_useless, fillable @ self._of_idle
        worth = self._holes[states.gpus].sum(axis=1) * self._prices[states.kinds]
        weights = self._weights
        potential: Floats = lacking + weights.idle * (states.idle - filled) - weights.holes * worth
        return potential


def _worth(classes: Classes) -> Floats:
    """The worth of holes by the sizes that classes take of a GPU; of whole GPUs as often as they do."""
    rates: dict[int, float] = {}
    for shape, share in zip(classes.shapes, classes.popularity, strict=True):
        if shape.gpu_count:
            rates[shape.gpu_millis] = rates.get(shape.gpu_millis, 0.0) + share * shape.gpu_count
    if not rates:
        return np.zeros(WHOLE + 1)
    sizes = sorted(rates)
    return hole_values(sizes, [rates[size] for size in sizes])


DEFAULT = "holes-first"

POLICIES: MappingProxyType[str, Callable[[Classes], Policy]] = MappingProxyType(
    {
        DEFAULT: HolesFirst,
        "fgd": FragmentationGradientDescent,
        "best-fit": lambda _: BestFit(),
        "dot-product": lambda _: DotProduct(),
        "random": lambda _: RandomFit(),
    }
)
"""How a policy is made for the classes that are in demand."""
