"""When jobs that found no place will start, and what is kept for the first of them until then.

For each of them in turn the first node and time are found at which it has room, by the ends of what runs
and of what this plan places, less what reservations keep and what those before it were promised. From
then on the node keeps what it needs (`reserved.py`): a job behind it may still be placed there when it is
over before, or leaves that. So nothing idles that can be used, and no promise is broken by those
behind it.

Where that rests on work of which nobody knows the end, no start is told, but the same is kept: on the node
where the last to have begun of what has to end first has begun before that of other nodes. Only what
is there already is waited for then, and never for longer than that, whatever comes behind. It is kept from a day
after that beginning on, or after 2, 4, 8 days when that is over; what may run for ever may not take it.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from windlass_server.scheduler.estimates import BEYOND, guessed
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.gang import Gang
from windlass_server.scheduler.islands_ahead import IslandsAhead
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.policies import Policies
from windlass_server.scheduler.reserved import Left, lower
from windlass_server.scheduler.rooms import Column, Room, enough_memory, gpu_keys, suitable
from windlass_server.scheduler.scores import total
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Running
from windlass_server.scheduler.timeline import Amounts, Endings, Timeline, Use, without_faults
from windlass_server.scheduler.topology import needs_island

# What is looked at before no start is said to be known: shapes of demands for which there was none, and
# times of nodes of which something is kept, for one demand.
_MOST_FAILURES = 64
# For how many jobs something is kept at most, in all queues.
_MOST_STARTS = 128
_MOST_TIMES = 512


@dataclass(frozen=True, slots=True)
class Start:
    """Where and when (microseconds since 1970) a waiting job has room, as far as is known."""

    node_id: str
    at: int


class Backfill:
    """What is foreseen while a plan is being made.

    Args:
        ledger: the nodes, whose room goes down as the plan goes on.
        running: what holds parts of them.
        policies: for how many of which queue something is kept.

    Attributes:
        starts: what was foreseen, by the jobs' ids.
        nodes: the indexes of all nodes where that is.
        unsure: jobs for which something is kept though nobody knows when they will start.
    """

    def __init__(self, ledger: Ledger, running: Sequence[Running], policies: Policies) -> None:
        self._ledger = ledger
        self._policies = policies
        self._depths: dict[tuple[str, tuple[str, ...] | None], int] = {}
        self._protected: Counter[str] = Counter()
        self._running = running
        self._endings: Endings | None = None
        self._placed = list[tuple[Demand, int, tuple[str, ...]]]()
        self._line: Timeline | None = None
        self._islands: IslandsAhead | None = None
        self._begun = list[Use]()
        # What holds parts of nodes of which something is kept.
        self._on: dict[int, list[Use]] = {}
        self._failed: set[Hashable] = set()
        # What was last looked at for a demand, of which node and when: nothing is promised in between.
        self._viewed: tuple[str, int, int, Room[Column]] | None = None
        self.starts: dict[str, Start] = {}
        self.nodes: dict[str, tuple[int, ...]] = {}
        self.unsure: set[str] = set()

    def placed(self, demand: Demand, index: int, gpu_uuids: tuple[str, ...]) -> None:
        """Take account of what the plan has placed."""
        self._placed.append((demand, index, gpu_uuids))
        self._line = None

    def protect(self, demand: Demand, shape: Hashable) -> None:
        """Keep for one of the first demands without room what it needs from its first start on, if there is one.

        Args:
            demand: one that has no room now.
            shape: of one shape are those that have room at the same places and times.
        """
        if self._protected[demand.queue] < self._depth(demand) and self.foresee(demand, shape):
            self._protected[demand.queue] += 1

    def foresee(self, demand: Demand, shape: Hashable) -> bool:
        """As `protect`, whatever the policy says; False when it would not even start when all has ended."""
        kept = len(self.starts) + len(self.unsure)
        # Whoever is to run inside a reservation has that kept for him already.
        done = (
            bool(demand.reservation) or kept >= _MOST_STARTS or len(self._failed) >= _MOST_FAILURES
        )
        if done or shape in self._failed or demand.job_id in self.unsure:
            return False
        line = self._timeline()
        if line is None:
            return False
        self._viewed = None
        if demand.nodes > 1:
            found = self._first_of_several(demand, line)
        else:
            found = self._first(demand, line)
        if found is None:
            self._failed.add(shape)
            return False
        at, gang = found
        begin = at if at < BEYOND else self._guessed(line, at, gang.indexes)
        for index in gang.indexes:
            gpu_type = self._type_there(gang.demand, line, index, at)
            there = line.amounts(index, at)
            whole = self._kept(gang.demand, index, at, there.gpus.get(gpu_type, 0))
            self._ledger.promise(whole, index, begin, there, gpu_type)
        if at < BEYOND:
            self.nodes[demand.job_id] = gang.indexes
            self.starts[demand.job_id] = Start(self._ledger.nodes[gang.indexes[0]].node_id, at)
        else:
            self.unsure.add(demand.job_id)
        return True

    def _type_there(self, demand: Demand, line: Timeline, index: int, at: int) -> str:
        """Of which type a demand will be given GPUs of a node on which it starts then, as a key."""
        if not demand.gpu_count:
            return ANY_GPU_TYPE
        if not _takes_plain_cards(demand):
            return _type_of(demand, self._view(demand, line, index, at))
        counts = self._cards_left(line.amounts(index, at), self._lefts(demand, line, index, at))
        return _plain_type(demand, counts, self._ledger.free.parts)

    def _kept(self, demand: Demand, index: int, at: int, gpus: int) -> Demand:
        """What a node keeps for a demand that starts there then, when it has so many GPUs of its type."""
        kept = self._ledger.whole(index, demand)
        if at >= BEYOND:  # neither is it known when it is over
            kept = replace(kept, time_limit=None, expected_run=None)
        if needs_island(demand) and self._islands_ahead().apart[index]:
            # It is not said which GPUs are kept: whoever took any could take one of its island.
            kept = replace(kept, gpu_count=gpus)
        return kept

    def _guessed(self, line: Timeline, at: int, indexes: Sequence[int]) -> int:
        """From when on nodes keep something that they have beyond all that is known.

        Not before that: what reservations keep of them, and what was promised to others, is left to those.
        """
        known = [
            each
            for index in indexes
            for each in (*line.times(index), *self._ledger.reserved.changes(index))
            if each < BEYOND
        ]
        return max([guessed(at, self._ledger.now), *known])

    def _depth(self, demand: Demand) -> int:
        kind = demand.queue, demand.pools
        known = self._depths.get(kind)
        if known is None:
            known = self._depths[kind] = self._policies.of_job(*kind).backfill.depth
        return known

    def _timeline(self) -> Timeline | None:
        """What the nodes will have; None when it is what they have now."""
        if self._line is None:
            ledger = self._ledger
            if self._endings is None:
                self._endings = Endings(ledger.nodes, ledger.now)
                self._endings.add_running(self._running, ledger.free.places)
                if ledger.reserved.keeps_any:
                    self._remember(_uses(self._running, ledger))
            placed = [self._use(*each) for each in self._placed]
            self._endings.add(placed)
            self._begun += placed
            self._remember(placed)
            self._placed.clear()
            if self._endings.any or ledger.reserved.keeps_any:
                self._line = Timeline(ledger.free, self._endings, ledger.full)
        return self._line

    def _remember(self, uses: Sequence[Use]) -> None:
        for use in uses:
            if self._ledger.reserved.keeps_of(use.node):
                self._on.setdefault(use.node, []).append(use)

    def _use(self, demand: Demand, index: int, gpu_uuids: tuple[str, ...]) -> Use:
        span = self._ledger.reserved.span(demand)
        return Use(
            node=index,
            end=None if span is None else self._ledger.now + span,
            cpu_millis=demand.cpu_millis,
            memory_bytes=demand.memory_bytes,
            gpu_uuids=gpu_uuids,
            gpu_type=self._ledger.gpu_type_of(index, gpu_uuids),
            shares=bool(demand.gpu_millis),
            project=demand.project,
            user=demand.user,
        )

    def _first_of_several(self, demand: Demand, line: Timeline) -> tuple[int, Gang] | None:
        """When a job of several nodes has room on enough of them at once, and which these are.

        Without what is kept of them nodes only get more; so the first time is found by halving, and a
        better one may be missed where something is kept.
        """
        nodes = line.earliest(demand)
        earliest = nodes[demand.min_nodes - 1 :]
        times = {at for at, _ in earliest} | self._changes(earliest)
        if earliest and needs_island(demand):
            apart = self._islands_ahead().apart
            each = (line.times(index) for _, index in nodes if apart[index])
            times |= {at for those in each for at in those if at > earliest[0][0]}
        return self._first_of(demand, line, sorted(times))

    def _first_of(
        self, demand: Demand, line: Timeline, times: Sequence[int]
    ) -> tuple[int, Gang] | None:
        """Of these times the first, as far as halving finds it."""
        best: tuple[int, Gang] | None = None
        low, high = 0, len(times) - 1
        while low <= high:
            middle = (low + high) // 2
            gang = self._together(demand, line, times[middle])
            if gang is not None:
                best, high = (times[middle], gang), middle - 1
            else:
                low = middle + 1
        return best

    def _changes(self, earliest: Sequence[tuple[int, int]]) -> set[int]:
        """When less is kept of these nodes than before, from the first of the times on."""
        reserved = self._ledger.reserved
        return {
            at
            for _, index in earliest
            if reserved.keeps_of(index)
            for at in reserved.changes(index)
            if at > earliest[0][0]
        }

    def _together(self, demand: Demand, line: Timeline, at: int) -> Gang | None:
        """The nodes that have room for a job of several at a time, each for its part."""
        ledger = self._ledger
        faults = tuple(one for one in demand.faults if (one.paused_until or 0) > at)
        asked = replace(demand, faults=faults)
        view = line.all_at(at)
        if needs_island(demand):
            ahead = self._islands_ahead()
            for index in ahead.apart.nonzero()[0].tolist():
                ahead.put(view, index, index, at)
        for index in ledger.reserved.nodes:
            for left in self._lefts(asked, line, index, at):
                lower(view, index, left)
        return ledger.gangs.choose(asked, view, lambda one: total(one, view, ledger.full))

    def _first(self, demand: Demand, line: Timeline) -> tuple[int, Gang] | None:
        """When it has room first, and on which node; of equals the first node."""
        best: tuple[int, int] | None = None
        left = _MOST_TIMES
        for at, index in line.earliest(demand):
            if best is not None and best <= (at, index):
                break
            if not self._ledger.reserved.keeps_of(index) and not needs_island(demand):
                best = at, index
                break
            times = self._times(line, index, at)[: max(left, 0)]
            left -= len(times)
            start = next(
                (each for each in times if self._has_room(demand, line, index, each)), None
            )
            if start is not None and (best is None or (start, index) < best):
                best = start, index
        return None if best is None else (best[0], Gang((best[1],), demand))

    def _times(self, line: Timeline, index: int, first: int) -> list[int]:
        """When a node may begin to have room for a demand that it has none for before `first`."""
        changes = {*line.times(index), *self._ledger.reserved.changes(index)}
        return sorted({first, *(at for at in changes if at > first)})

    def _has_room(self, demand: Demand, line: Timeline, index: int, at: int) -> bool:
        lefts = list[Left]()
        for left in self._lefts(demand, line, index, at):
            if (
                left.cpu_millis < demand.cpu_millis
                or left.memory_bytes < demand.memory_bytes
                or max(left.gpus.values(), default=0) < demand.gpu_count
            ):
                return False
            lefts.append(left)
        if _takes_plain_cards(demand):
            # What else a node must be it is at all times, or it would not have been looked at.
            counts = self._cards_left(line.amounts(index, at), lefts)
            return not demand.gpu_count or bool(
                _plain_keys(demand, counts, self._ledger.free.parts)
            )
        view = self._view(demand, line, index, at, lefts)
        return bool(fits(without_faults(demand), view)[0])

    def _view(
        self,
        demand: Demand,
        line: Timeline,
        index: int,
        at: int,
        lefts: Iterable[Left] | None = None,
    ) -> Room[Column]:
        """What of a node is left to a demand from a start on, for as long as it may run; `lefts`, if they are known."""
        if self._viewed is not None and self._viewed[:3] == (demand.job_id, index, at):
            return self._viewed[3]
        view = line.room_at(index, at)
        if needs_island(demand):
            self._islands_ahead().put(view, 0, index, at)
        for left in self._lefts(demand, line, index, at) if lefts is None else lefts:
            lower(view, 0, left)
        self._viewed = demand.job_id, index, at, view
        return view

    @staticmethod
    def _cards_left(there: Amounts, lefts: Iterable[Left]) -> Mapping[str, int]:
        """How many GPUs of each type are left of those that are there."""
        counts = dict(there.gpus)
        for left in lefts:
            for key, count in counts.items():
                counts[key] = min(count, left.gpus.get(key, 0))
        return counts

    def _islands_ahead(self) -> IslandsAhead:
        """Which GPUs will reach each other; called while there is a timeline, so that all that began is known."""
        if self._islands is None:
            self._islands = IslandsAhead(self._ledger, self._running)
        self._islands.add(self._begun)
        self._begun.clear()
        return self._islands

    def _lefts(self, demand: Demand, line: Timeline, index: int, at: int) -> Iterator[Left]:
        """The same at each time at which it is less than before."""
        reserved = self._ledger.reserved
        uses = self._on.get(index, ())
        for time in (at, *reserved.beginnings(demand, index, at)):
            there = line.amounts(index, time)
            yield reserved.left_at(demand, index, time, there, uses)


def _takes_plain_cards(demand: Demand) -> bool:
    """Whether numbers of CPU, memory and GPUs alone say if a node has room for it that may hold it at all."""
    return not (demand.takes_parts or demand.gpu_millis or demand.exclusive or needs_island(demand))


def _plain_keys(demand: Demand, counts: Mapping[str, int], parts: Collection[str]) -> Sequence[str]:
    """The types of which there are enough GPUs for a demand that takes plain cards, in the order of its wish."""
    if demand.gpu_type or demand.gpu_types:
        keys = [*gpu_keys(demand)]
    else:
        keys = [key for key in counts if key not in parts]
    return [key for key in keys if counts.get(key, 0) >= demand.gpu_count]


def _plain_type(demand: Demand, counts: Mapping[str, int], parts: Collection[str]) -> str:
    keys = _plain_keys(demand, counts, parts)
    if demand.gpu_type or demand.gpu_types:
        return keys[0]
    return min(keys, key=lambda key: (counts[key], key))


def _type_of(demand: Demand, room: Room[Column]) -> str:
    """Of which type a demand for GPUs will be given those of a node that has room for it, as a key."""
    counts = room.islands if needs_island(demand) else room.gpus
    if demand.takes_parts:
        keys = [
            key
            for key in suitable(demand, room, room.gpus)
            if not demand.gpu_memory_bytes or enough_memory(demand, room, key)[0]
        ]
    elif demand.gpu_type or demand.gpu_types:
        keys = [key for key in gpu_keys(demand) if key in room.gpus]
        return str(next(key for key in keys if counts[key][0] >= demand.gpu_count))
    else:
        keys = [key for key in room.gpus if key not in room.parts and key != ANY_GPU_TYPE]
    return min(
        (int(room.memory[key][0]) if demand.gpu_memory_bytes else 0, int(room.gpus[key][0]), key)
        for key in keys
        if counts[key][0] >= demand.gpu_count
    )[2]


def _uses(running: Sequence[Running], ledger: Ledger) -> list[Use]:
    """What is held of the nodes; what should be over by now is over at once."""
    places, soon = ledger.free.places, ledger.now + 1
    return [
        Use(
            places[one.node_id],
            None if one.expected_end is None else max(one.expected_end, soon),
            one.cpu_millis,
            one.memory_bytes,
            one.gpu_uuids,
            one.gpu_type,
            one.gpu_millis > 0,
            one.project,
            one.user,
        )
        for one in running
        if one.node_id in places
    ]
