"""Where instances find a place on a card. Slices of compute and of memory are counted apart.

Memory must begin at certain slices, and is taken from the end of the card on: small instances come to
lie where the large ones, which begin at slice 0, leave them room.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from windlass_server.scheduler.snapshot import Instance, Profile


class Slices:
    """A card's slices while instances are placed on it.

    Args:
        profiles: what the card can be divided into, by name.
        instances: what is on it; each of a profile that it has.
    """

    def __init__(self, profiles: Mapping[str, Profile], instances: Iterable[Instance] = ()) -> None:
        self._profiles = profiles
        self._compute_left = max((one.compute_slices for one in profiles.values()), default=0)
        self._memory_taken: set[int] = set()
        for instance in instances:
            self.take(instance)

    def takes(self, instance: Instance) -> bool:
        """Whether there is room for an instance at its place."""
        profile = self._profiles[instance.profile]
        return profile.compute_slices <= self._compute_left and self._memory_taken.isdisjoint(
            _memory_of(profile, instance.start)
        )

    def take(self, instance: Instance) -> None:
        """Give an instance its place."""
        profile = self._profiles[instance.profile]
        self._compute_left -= profile.compute_slices
        self._memory_taken.update(_memory_of(profile, instance.start))

    def place(self, name: str) -> Instance | None:
        """Give an instance of a profile the last place that there is for it; None when there is none."""
        for start in sorted(self._profiles[name].starts, reverse=True):
            instance = Instance(name, start)
            if self.takes(instance):
                self.take(instance)
                return instance
        return None

    def place_many(self, name: str, most: int) -> tuple[Instance, ...]:
        """Place as many of a profile as there is room for, and no more than `most`."""
        placed: list[Instance] = []
        while len(placed) < most and (instance := self.place(name)) is not None:
            placed.append(instance)
        return tuple(placed)


def whole_profiles(profiles: Iterable[Profile]) -> frozenset[str]:
    """The names of the profiles that take all of a card's compute: its only instance."""
    by_name = {one.name: one.compute_slices for one in profiles}
    return frozenset(name for name, compute in by_name.items() if compute == max(by_name.values()))


@lru_cache(maxsize=1024)
def most_of_each(profiles: tuple[Profile, ...]) -> Mapping[str, int]:
    """How many instances of each profile alone an empty card holds, by name."""
    by_name = {one.name: one for one in profiles}
    return {name: len(Slices(by_name).place_many(name, 64)) for name in by_name}


def _memory_of(profile: Profile, start: int) -> range:
    return range(start, start + profile.memory_slices)
