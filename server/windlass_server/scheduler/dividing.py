"""Cards while it is decided how they shall be divided."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from windlass_server.scheduler.rooms import gpu_key
from windlass_server.scheduler.slices import Slices, most_of_each
from windlass_server.scheduler.snapshot import Card, Instance, Profile

_MOST = 1 << 16


class CardDraft:
    """A card, and what is promised of it.

    Args:
        card: as it is.
        free: UUIDs of the node's devices that nobody has and that can be given.
        now: in microseconds since 1970.
    """

    def __init__(self, card: Card, free: set[str], now: int) -> None:
        self._card = card
        self._by_name, self.names, self._most = _profiles(card.profiles)
        self._keys = {name: key for key, name in self.names.items()}
        self.whole_key = gpu_key(card.gpu_type)
        resting = now < card.rests_until
        self._still = card.coming is not None or (card.failed and resting)
        # What was just made is for somebody who has not got it yet.
        self._fresh = resting
        target = card.instances if card.coming is None else card.coming
        there = [one for one in target if one.uuid]
        self._kept = [one for one in there if one.uuid not in free]
        self._idle = [one for one in there if one.uuid in free]
        self._new: list[Instance] = []
        # What is on its way and not promised yet.
        self.coming = Counter(one.profile for one in target if not one.uuid)
        self.comes_whole = card.coming == ()
        self.whole = not card.divided and card.coming is None and card.uuid in free
        self._merged = False
        self.changed = False

    @property
    def uuid(self) -> str:
        """Of the card as a whole."""
        return self._card.uuid

    @property
    def seen(self) -> frozenset[str]:
        """UUIDs of the instances that it has."""
        return frozenset(one.uuid for one in self._card.instances)

    @property
    def divided(self) -> bool:
        """Whether it is, or is to be, divided."""
        return self._card.divided or self.changed

    @property
    def mergeable(self) -> bool:
        """Whether it could be made whole: nothing on it is held or promised."""
        touched = self._kept or self._new or self.changed
        return self._card.divided and not (self._still or self._fresh or touched)

    @property
    def idle(self) -> tuple[Instance, ...]:
        """The instances that nobody has."""
        return tuple(self._idle)

    def by_type(self, instances: Iterable[Instance]) -> Counter[str]:
        """How many instances of it are of which type, by the key of that."""
        return Counter(self._keys[one.profile] for one in instances)

    def spare(self, name: str) -> int:
        """How many instances of a profile are there, and free."""
        return sum(one.profile == name for one in self._idle)

    def carve(
        self, name: str, most: int, spare: Mapping[str, int] | None = None
    ) -> tuple[tuple[Instance, ...], tuple[Instance, ...]]:
        """Instances of a profile that could be made, at most so many, and the idle ones in their way.

        Idle instances of the same profile are as good, and stay.

        Args:
            name: of the profile.
            most: how many at most.
            spare: how many instances of each type may go; None: all that are idle.
        """
        cut = self._card.divided or self.whole or self._new
        if self._still or self._merged or not cut:
            return (), ()
        stays = [*self._kept, *self._new]
        gentle = Slices(self._by_name, [*stays, *self._idle]).place_many(name, most)
        if len(gentle) >= most or not self._idle or self._fresh:
            return gentle, ()
        alike = [one for one in self._idle if one.profile == name]
        slices = Slices(self._by_name, [*stays, *alike])
        made = slices.place_many(name, most)
        if len(made) == len(gentle):
            return gentle, ()
        gone = tuple(one for one in self._idle if one not in alike and not _stay(slices, one))
        if spare is not None and not self.by_type(gone) <= Counter(spare):
            return gentle, ()
        return made, gone

    def could_be_made(self, name: str) -> int:
        """How many instances of a profile could be made."""
        if self.whole and not self._still:
            return self._most[name]
        return len(self.carve(name, _MOST)[0])

    def keep(self, name: str, count: int) -> int:
        """Promise free instances of a profile, at most so many; how many."""
        some = [one for one in self._idle if one.profile == name][:count]
        self._idle = [one for one in self._idle if one not in some]
        self._kept += some
        return len(some)

    def make(self, made: Sequence[Instance], gone: Sequence[Instance]) -> None:
        """Promise instances that have to be made."""
        self._idle = [one for one in self._idle if one not in gone]
        self._new += made
        self.whole, self.changed = False, True

    def merge(self) -> None:
        """Promise the card as a whole."""
        self._idle, self._merged, self.changed = [], True, True

    def target(self) -> tuple[Instance, ...]:
        """What it shall be divided into."""
        return tuple(sorted([*self._kept, *self._idle, *self._new], key=lambda one: one.start))


@lru_cache(maxsize=1024)
def _profiles(
    profiles: tuple[Profile, ...],
) -> tuple[Mapping[str, Profile], Mapping[str, str], Mapping[str, int]]:
    """Profiles by name, names by the keys of types, and how many of each an empty card holds."""
    by_name = {one.name: one for one in profiles}
    names = {gpu_key(one.gpu_type): one.name for one in profiles}
    return by_name, names, most_of_each(profiles)


def _stay(slices: Slices, instance: Instance) -> bool:
    """Whether an idle instance can stay where it is; if so it takes its place."""
    if fitting := slices.takes(instance):
        slices.take(instance)
    return fitting


def _drop(draft: "Draft", gone: Counter[str], spare: Counter[str]) -> None:
    """Note instances that go, which are not to spare any more."""
    draft.dropped_counts += gone
    spare.subtract(gone)


@dataclass(slots=True)
class Draft:
    """How so many devices of a type could be had on a node.

    Attributes:
        existing: so many are there, and free.
        coming: so many are being made.
        carved: instances to be made, and those in their way, by the index of their card.
        merged: indexes of cards to be made whole.
        broken_counts: whole cards that are broken into, by the key of their type.
        dropped_counts: idle instances that go, by the key of their type.
    """

    name_of: str
    existing: int = 0
    coming: int = 0
    carved: dict[int, tuple[tuple[Instance, ...], tuple[Instance, ...]]] = field(
        default_factory=dict
    )
    merged: list[int] = field(default_factory=list)
    broken_counts: Counter[str] = field(default_factory=Counter)
    dropped_counts: Counter[str] = field(default_factory=Counter)

    @property
    def dropped(self) -> int:
        """How many idle instances go."""
        return self.dropped_counts.total()

    @property
    def makes(self) -> bool:
        """Whether anything has to be made, or is."""
        return bool(self.coming or self.carved or self.merged)

    @property
    def broken(self) -> int:
        """How many whole cards are broken into."""
        return self.broken_counts.total()

    @property
    def lost_by_type(self) -> list[tuple[str, int]]:
        """Whole cards that are broken into, and idle instances that go, by the keys of their types."""
        return sorted((self.broken_counts + self.dropped_counts).items())


class NodeDraft:
    """The cards of a node while it is decided how they shall be divided."""

    def __init__(self, cards: Sequence[CardDraft]) -> None:
        self.cards = tuple(cards)

    @property
    def idle_whole(self) -> int:
        """How many whole cards nobody has."""
        return sum(card.whole for card in self.cards)

    @property
    def untouched(self) -> tuple[bool, int]:
        """What puts it behind others: no card is divided yet, and many are idle and whole."""
        return not any(card.divided for card in self.cards), self.idle_whole

    def could_be_made(self, key: str) -> int:
        """How many devices of a type could be made, or are being made, beside those that are there."""
        count = 0
        for card in self.cards:
            if key == card.whole_key:
                count += card.mergeable + card.comes_whole
            elif (name := card.names.get(key)) is not None:
                count += card.coming[name] + card.could_be_made(name)
        return count

    def draft(self, key: str, count: int, available: Mapping[str, int]) -> Draft | None:
        """How so many devices of a type could be had at the least cost; None when they cannot.

        Args:
            key: the type.
            count: how many.
            available: devices of each type that are free and not kept for others.
        """
        draft = Draft(key, existing=min(count, available.get(key, 0)))
        left = count - draft.existing
        on_its_way = sum(
            card.comes_whole if key == card.whole_key else card.coming[card.names.get(key, "")]
            for card in self.cards
        )
        draft.coming = min(left, on_its_way)
        left -= draft.coming
        # What is kept for others is neither broken into nor in the way.
        spare = Counter(available)
        left -= self._merge(draft, key, left, spare)
        left -= self._carve(draft, key, left, spare)
        return draft if left == 0 else None

    def commit(self, draft: Draft) -> int:
        """Promise what a draft says; the number of cards that change because of it."""
        before = sum(card.changed for card in self.cards)
        self._promise_existing(draft)
        for index, (made, gone) in draft.carved.items():
            self.cards[index].make(made, gone)
        for index in draft.merged:
            self.cards[index].merge()
        return sum(card.changed for card in self.cards) - before

    def _merge(self, draft: Draft, key: str, wanted: int, spare: Counter[str]) -> int:
        """Whole cards that are made of divided ones: those first on which the least is idle."""
        able = [
            index
            for index, card in enumerate(self.cards)
            if key == card.whole_key and card.mergeable
        ]
        able.sort(key=lambda index: len(self.cards[index].idle))
        for index in able:
            gone = self.cards[index].by_type(self.cards[index].idle)
            if len(draft.merged) < wanted and gone <= spare:
                draft.merged.append(index)
                _drop(draft, gone, spare)
        return len(draft.merged)

    def _carve(self, draft: Draft, key: str, wanted: int, spare: Counter[str]) -> int:
        """Instances that are made, on divided cards first and with the fewest idle ones in the way."""
        left = wanted
        order = sorted(range(len(self.cards)), key=lambda index: (self.cards[index].whole, index))
        for index in order:
            card = self.cards[index]
            name = card.names.get(key)
            if not left or name is None or (card.whole and not spare[card.whole_key]):
                continue
            made, gone = card.carve(name, left, spare)
            if not made:
                continue
            draft.carved[index] = made, gone
            _drop(draft, card.by_type(gone), spare)
            if card.whole:
                draft.broken_counts[card.whole_key] += 1
                spare[card.whole_key] -= 1
            left -= len(made)
        return wanted - left

    def _promise_existing(self, draft: Draft) -> None:
        existing, coming = draft.existing, draft.coming
        for card in self.cards:
            if draft.name_of == card.whole_key:
                if card.whole and existing:
                    card.whole, existing = False, existing - 1
                if card.comes_whole and coming:
                    card.comes_whole, coming = False, coming - 1
            elif (name := card.names.get(draft.name_of)) is not None:
                existing -= card.keep(name, existing)
                some = min(coming, card.coming[name])
                card.coming[name] -= some
                coming -= some
