"""GPUs that do not exist: for trying windlass, and for testing it, on a machine without any.

They carry the names and numbers of real cards and heat up under work as those do, but never
pretend: the driver's version is `simulated` and every UUID begins with `SIM-`.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from windlass_agent.clock import SystemClock
from windlass_agent.gpu.device import (
    GpuDevice,
    GpuProcess,
    GpuSample,
    linked,
    program_of,
)
from windlass_agent.gpu.facts import (
    GpuFacts,
    GpuResetError,
    GpuXid,
)
from windlass_agent.gpu.fault_script import ALL_CARDS, ScriptedFault
from windlass_agent.gpu.mig import (
    GpuLayoutError,
    MigCard,
    MigPlacement,
    MigProfile,
    check_layout,
    profiles_of,
)
from windlass_agent.gpu.profiles import GpuProfile
from windlass_agent.gpu.simulated_cards import initial_layout, part_of, whole_cards
from windlass_agent.gpu.simulated_state import (
    SimulatedCard,
    advance,
    at_rest,
    break_or_heal,
    facts_of,
    memory_of,
    read,
)

_WALL = SystemClock()

Layouts = Mapping[str, Sequence[MigPlacement]]
"""What cards are divided into, by the UUIDs of the cards."""

_NO_LAYOUTS: Layouts = MappingProxyType({})


class SimulatedGpus:
    """Simulated cards.

    Args:
        profiles: One for each card.
        seed: Bytes that are this node's own and survive restarts, such as its public key: the same
            seed gives the same UUIDs.
        monotonic: The clock that cards warm up by, in seconds.
        program: Name of a process's program.
        missing: The indexes of cards that are not there.
        time_nanos: The wall clock, for XIDs.
        layouts: What `divide` has made of cards before; of others, it is what their profiles say.
        remember: Keeps what `divide` has made of cards, and raises OSError when it cannot.

    Safe to call from the event loop and from the sampling thread at the same time.
    """

    driver_version = "simulated"
    cuda_version = "12.8"
    can_reset = True
    can_divide = True

    def __init__(
        self,
        profiles: Sequence[GpuProfile],
        seed: bytes,
        monotonic: Callable[[], float],
        program: Callable[[int], str] = program_of,
        *,
        missing: Collection[int] = (),
        time_nanos: Callable[[], int] = _WALL.time_nanos,
        layouts: Layouts = _NO_LAYOUTS,
        remember: Callable[[Layouts], None] = lambda _: None,
    ) -> None:
        self._monotonic = monotonic
        self._program = program
        self._time_nanos = time_nanos
        self._remember = remember
        self._xids: list[GpuXid] = []
        self._heard: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._layouts = dict(layouts)
        self._whole = {
            device.uuid: at_rest(device, profile, monotonic())
            for device, profile in zip(whole_cards(profiles, seed), profiles, strict=True)
            if device.index not in missing
        }
        # As they are when nothing is divided.
        self._devices = {uuid: card.device for uuid, card in self._whole.items()}
        self._parts: dict[str, tuple[SimulatedCard, ...]] = {}
        for uuid, card in self._whole.items():
            kept = self._kept_layout(uuid)
            self._cut(uuid, initial_layout(card.profile) if kept is None else kept)
        self._cards = self._offered()

    def devices(self) -> Sequence[GpuDevice]:
        return tuple(card.device for card in self._cards.values())

    def cards(self) -> Sequence[MigCard]:
        known = ((uuid, self._profiles(uuid)) for uuid in self._whole)
        return tuple(
            MigCard(
                uuid, self._devices[uuid].gpu_type, uuid in self._parts, tuple(profiles.values())
            )
            for uuid, profiles in known
            if profiles
        )

    def divide(
        self, card_uuid: str, placements: Sequence[MigPlacement], held: Collection[str]
    ) -> None:
        with self._lock:
            card = self._whole.get(card_uuid)
            if card is None:
                raise GpuLayoutError(f"there is no GPU {card_uuid}")
            check_layout(self._profiles(card_uuid), placements)
            if card.lost:
                raise GpuLayoutError("Unable to determine the device handle: GPU is lost")
            for one in self._in_the_way(card_uuid, placements):
                if one.users or one.device.uuid in held:
                    raise GpuLayoutError(f"{one.device.uuid} is in use")
            layouts = {**self._layouts, card_uuid: tuple(placements)}
            try:
                self._remember(layouts)
            except OSError as error:
                raise GpuLayoutError(f"cannot keep it: {error}") from None
            self._layouts = layouts
            self._cut(card_uuid, placements)
            self._cards = self._offered()

    def sample(self) -> Sequence[GpuSample]:
        with self._lock:
            now = self._monotonic()
            return tuple(read(card, now) for card in self._cards.values())

    def processes(self) -> Sequence[GpuProcess]:
        with self._lock:
            return tuple(
                GpuProcess(card.device.uuid, pid, memory_of(card, load), self._program(pid))
                for card in self._cards.values()
                for pid, load in card.users.values()
                if pid and not card.lost
            )

    def facts(self) -> Sequence[GpuFacts]:
        with self._lock:
            now = self._monotonic()
            return tuple(facts_of(card, now) for card in self._cards.values())

    def take_xids(self) -> Sequence[GpuXid]:
        with self._lock:
            taken, self._xids = self._xids, []
            return taken

    def on_xid(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def reset(self, uuid: str) -> None:
        """Mends what a reset mends: not a fan, not a used up memory, not a card that is gone."""
        with self._lock:
            card = self._cards.get(uuid)
            if card is None:
                raise GpuResetError(f"there is no GPU {uuid}")
            if card.users:
                raise GpuResetError(f"{', '.join(card.users)} uses it")
            if card.device.instance is not None:
                raise GpuResetError("it is a part of a card that is divided")
            if card.lost:
                raise GpuResetError("Unable to determine the device handle: GPU is lost")
            if card.failing_resets:
                card.failing_resets -= 1
                raise GpuResetError("GPU Reset couldn't run because of an unknown error")
            card.reset_required, card.healthy = False, True
            card.ecc = replace(card.ecc, corrected_volatile=0, uncorrected_volatile=0)
            if card.rows.pending:
                remapped = card.rows.uncorrectable + 1
                card.rows = replace(card.rows, pending=False, uncorrectable=remapped)

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        return ()

    def close(self) -> None:
        return

    def set_busy(self, uuid: str, run_id: str, pid: int, load: float = 1.0) -> None:
        """A run uses the card from now on, beside those that share it.

        Args:
            uuid: The card; KeyError when there is none such.
            run_id: Who uses it.
            pid: The process that shall be seen on it; 0 when it is not known.
            load: How hard it works, 0 to 1.
        """
        with self._lock:
            card = self._cards[uuid]
            advance(card, self._monotonic())
            card.users[run_id] = pid, load

    def set_idle(self, run_id: str) -> None:
        """A run uses none of the cards any more."""
        with self._lock:
            for card in self._cards.values():
                if run_id in card.users:
                    advance(card, self._monotonic())
                    del card.users[run_id]

    def set_fault(
        self, uuid: str, *, unhealthy: bool = False, hot: bool = False, lost: bool = False
    ) -> None:
        """Breaks a card, or heals it when all are False.

        Args:
            uuid: The card; KeyError when there is none such.
            unhealthy: It must not be given to jobs.
            hot: Its fan fails: it heats up past what a real card slows down at.
            lost: It falls off the bus: unhealthy, and it tells nothing any more.
        """
        with self._lock:
            card = self._cards[uuid]
            advance(card, self._monotonic())
            card.healthy, card.hot, card.lost = not (unhealthy or lost), hot, lost

    def tell(self) -> None:
        """Says that there is something to look at, as it does of an XID."""
        self._heard()

    def inject(self, fault: ScriptedFault) -> None:
        """Makes a fault happen now; of a card that is not there, nothing."""
        with self._lock:
            # What is wrong with a card is wrong with all of its instances, and stays when they go.
            for card in {**self._whole, **self._cards}.values():
                if fault.target in (ALL_CARDS, card.device.index):
                    advance(card, self._monotonic())
                    break_or_heal(card, fault)
            if fault.name == "xid":
                self._xids += self._xids_of(fault)
        if fault.name == "xid":
            self._heard()

    def _xids_of(self, fault: ScriptedFault) -> list[GpuXid]:
        now = self._time_nanos()
        return [
            GpuXid(uuid, now, fault.number)
            for uuid, card in self._cards.items()
            if fault.target in (ALL_CARDS, card.device.index)
        ]

    def _profiles(self, card_uuid: str) -> dict[str, MigProfile]:
        device = self._devices[card_uuid]
        return profiles_of(device.gpu_type, device.memory_total_bytes)

    def _kept_layout(self, card_uuid: str) -> Sequence[MigPlacement] | None:
        """What was made of a card; None when it is another one than it was then."""
        try:
            check_layout(self._profiles(card_uuid), self._layouts.get(card_uuid, ()))
        except GpuLayoutError:
            return None
        return self._layouts.get(card_uuid)

    def _in_the_way(
        self, card_uuid: str, placements: Sequence[MigPlacement]
    ) -> list[SimulatedCard]:
        """What goes when a card is divided like this: perhaps the card as a whole."""
        wanted = set(placements)
        if card_uuid not in self._parts:
            return [self._whole[card_uuid]] if wanted else []
        return [part for part in self._parts[card_uuid] if _placement(part) not in wanted]

    def _cut(self, card_uuid: str, placements: Sequence[MigPlacement]) -> None:
        """Divides a card; the instances that stay are the same as before."""
        known, card = self._profiles(card_uuid), self._whole[card_uuid]
        stay = {_placement(part): part for part in self._parts.pop(card_uuid, ())}
        parts = tuple(
            stay.get(each)
            or replace(
                card,
                device=part_of(self._devices[card_uuid], known[each.profile], each.start),
                energy=0.0,
                users={},
            )
            for each in placements
        )
        if parts:
            self._parts[card_uuid] = parts

    def _offered(self) -> dict[str, SimulatedCard]:
        """The cards that are whole and the instances of the others, each linked to whom it reaches."""
        cards = [
            one for uuid, card in self._whole.items() for one in self._parts.get(uuid, (card,))
        ]
        devices = [self._devices.get(card.device.uuid, card.device) for card in cards]
        for card, device in zip(cards, linked(devices), strict=True):
            card.device = device
        return {card.device.uuid: card for card in cards}


def _placement(part: SimulatedCard) -> MigPlacement:
    instance = part.device.instance
    assert instance is not None
    return MigPlacement(instance.profile, instance.memory_start)
