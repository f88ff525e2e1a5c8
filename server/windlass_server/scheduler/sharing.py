"""The cards that several share, while a plan is being made.

Shares gather on few cards: each goes to the card that has least left beyond it, and a card that nobody
holds is broken into only where no other does. So whole cards stay whole for those who need them.
"""

from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import TypeAlias

import numpy as np

from windlass_server.scheduler.rooms import Column, Mask, gpu_key, share_left
from windlass_server.scheduler.snapshot import NodeState

_NOTHING = np.zeros(0, np.int64)

_Card: TypeAlias = tuple[str, str, int, int]
"""A card with room for a share: its UUID, the key of its type, what is left of it, and for how many more."""


class _Seen:
    """Remembers the cards of the nodes of the last plan, of which hardly any is another one in the next.

    Never changed, only replaced, so that several may plan at once.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[NodeState, Sequence[_Card]]] = {}

    def of(self, nodes: Sequence[NodeState]) -> Iterator[Sequence[_Card]]:
        """Of each node the cards that have something left, by their UUIDs."""
        last = self._last
        seen = {id(node): last.get(id(node)) or (node, _cards(node)) for node in nodes}
        if len(nodes) > 1:  # one alone is asked for between those of all
            self._last = seen
        return (seen[id(node)][1] for node in nodes)


def _cards(node: NodeState) -> Sequence[_Card]:
    if not node.max_sharers:
        return ()
    return [
        (gpu.uuid, gpu_key(gpu.gpu_type), left, node.max_sharers - gpu.sharers)
        for gpu in sorted(node.gpus, key=attrgetter("uuid"))
        if gpu.healthy and (left := share_left(gpu, node.max_sharers))
    ]


_SEEN = _Seen()


class SharedCards:
    """What is left of each shared card. Cards are told by their numbers here.

    Args:
        nodes: in the order by which a cycle counts them.
    """

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._uuids: list[str] = []
        self._types: dict[str, int] = {}
        self._node, self._type, self._left, self._free_places = (_NOTHING,) * 4
        found = [(index, *card) for index, cards in enumerate(_SEEN.of(nodes)) for card in cards]
        if found:
            indexes, self._uuids, keys, lefts, places = map(list, zip(*found, strict=True))
            self._node = np.array(indexes, np.int64)
            self._type = np.array([self._number(key) for key in keys], np.int64)
            self._left = np.array(lefts, np.int64)
            self._free_places = np.array(places, np.int64)

    def tightest(self, millis: int, able: Mask, types: Collection[str]) -> int | None:
        """The card that has least left of those that have enough; the first of equals, None without.

        Args:
            millis: what is asked for, in thousandths of a card.
            able: the nodes that it may be on.
            types: the keys of the types that it may be of; none: any.
        """
        fitting = (self._left >= millis) & able[self._node]
        if types:
            numbers = [self._types[key] for key in types if key in self._types]
            fitting &= np.isin(self._type, numbers)
        if not fitting.any():
            return None
        return int(np.where(fitting, self._left, np.iinfo(np.int64).max).argmin())

    def node_of(self, card: int) -> int:
        """Index of the node that a card is of."""
        return int(self._node[card])

    def uuid_of(self, card: int) -> str:
        """A card's UUID."""
        return self._uuids[card]

    def type_of(self, card: int) -> str:
        """The key of a card's type."""
        number = int(self._type[card])
        return next(key for key, known in self._types.items() if known == number)

    def join(self, card: int, millis: int) -> None:
        """Give a share of a card away; what is left of it is of no use when no other may share it."""
        self._free_places[card] -= 1
        self._left[card] -= millis if self._free_places[card] else self._left[card]

    def add(self, index: int, uuid: str, key: str, max_sharers: int) -> int:
        """Begin to share a card that nobody holds; its number."""
        self._uuids.append(uuid)
        self._node = np.append(self._node, index)
        self._type = np.append(self._type, self._number(key))
        self._left = np.append(self._left, 1000)
        self._free_places = np.append(self._free_places, max_sharers)
        return len(self._uuids) - 1

    def left_on(self, index: int) -> list[int]:
        """What is left of each shared card of a node, in thousandths; nothing where no other may share it."""
        return [int(left) for left in self._left[self._node == index]]

    def with_left(self, millis: int, index: int) -> int | None:
        """The first card of a node of which exactly so much is left; None without."""
        found = ((self._node == index) & (self._left == millis)).nonzero()[0]
        return int(found[0]) if len(found) else None

    def most_left(self, index: int, key: str) -> int:
        """The most that is left of one shared card of a type on a node."""
        of_type = (self._node == index) & (self._type == self._number(key))
        return int(self._left[of_type].max(initial=0))

    def _number(self, key: str) -> int:
        return self._types.setdefault(key, len(self._types))


def only(index: int, like: Column) -> Mask:
    """Of as many nodes as a column has this one."""
    mask = np.zeros(like.shape, np.bool_)
    mask[index] = True
    return mask
