"""What has become of earlier preemptions, as the scheduler sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class MakingRoom:
    """A waiting job for which others are being stopped.

    Attributes:
        job_id: the job.
        node_ids: where it gets its place: the node of each of its ranks.
        leaving: how many runs that were stopped for it have not left yet.
        stopped: how many there were.
        awaited: a node of it is not connected, which may well be back: then it is not known who has left.
    """

    job_id: str
    node_ids: tuple[str, ...]
    leaving: int
    stopped: int
    awaited: bool = False

    @property
    def under_way(self) -> bool:
        """Whether its place may still become free without anything more."""
        return self.leaving > 0 or self.awaited


@dataclass(frozen=True, slots=True)
class GaveWay:
    """When a job was last stopped for another (µs since 1970), and what that one's priority was."""

    at: int
    to_priority: int


@dataclass(frozen=True, slots=True)
class Preemptions:
    """What is remembered of earlier ones.

    Attributes:
        making_room: the jobs for which others are being stopped now.
        spent: how many jobs were stopped for each project within the last hour.
        spent_at: when each of these was stopped (µs), in any order.
        gave_way: the jobs that were stopped within the longest time that any policy minds, by id.
    """

    making_room: tuple[MakingRoom, ...] = ()
    spent: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    spent_at: Mapping[str, Sequence[int]] = field(default_factory=lambda: MappingProxyType({}))
    gave_way: Mapping[str, GaveWay] = field(default_factory=lambda: MappingProxyType({}))


NO_PREEMPTIONS = Preemptions()


class Waits(Protocol):
    """A waiting job."""

    @property
    def job_id(self) -> str: ...

    @property
    def priority(self) -> int: ...


W = TypeVar("W", bound=Waits)


def made_room_first(queue: Sequence[W], preemptions: Preemptions) -> Sequence[W]:
    """The queue with those for whom room is made before all whose priority is not higher.

    So nobody who was only ahead by his turn takes the place that was made free for another.
    """
    favoured = {one.job_id for one in preemptions.making_room}
    if not favoured:
        return queue
    first = [one for one in queue if one.job_id in favoured]
    first.sort(key=lambda one: -one.priority)
    ordered = list[W]()
    for one in queue:
        while first and first[0].priority >= one.priority:
            ordered.append(first.pop(0))
        if one.job_id not in favoured:
            ordered.append(one)
    return ordered + first


def places_of_others(
    preemptions: Preemptions, places: Mapping[str, int]
) -> Mapping[str, Sequence[int]]:
    """By the job for which room was made, where that was done for others and not for it; as `made_free`.

    These are not the first choice of a job that could just as well have its own place.
    """
    own: dict[str, set[int]] = {}
    for one in preemptions.making_room:
        there = {places[node_id] for node_id in one.node_ids if node_id in places}
        own.setdefault(one.job_id, set()).update(there)
    every = set[int]().union(*own.values())
    return {job_id: sorted(every - mine) for job_id, mine in own.items()}


def made_free(preemptions: Preemptions, places: Mapping[str, int]) -> Mapping[str, Sequence[int]]:
    """On which nodes room is still being made for which job; `places` are their indexes by id."""
    return {
        one.job_id: [places[node_id] for node_id in one.node_ids if node_id in places]
        for one in preemptions.making_room
        if one.under_way
    }
