"""GPUs as NVIDIA's management library sees them.

Handles are looked up once and kept: looking them up for each sample is what makes exporters slow.
A field that a card does not support reads as NaN and takes nothing else with it.
"""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import pynvml
import structlog

from windlass_agent.gpu.device import (
    GpuDevice,
    GpuProcess,
    GpuProvider,
    GpuSample,
    MigMode,
    NoGpus,
    program_of,
    unreadable,
)
from windlass_agent.gpu.facts import GpuFacts, GpuResetError, GpuXid
from windlass_agent.gpu.mig import (
    GpuLayoutError,
    MigCard,
    MigPlacement,
    MigProfile,
    check_layout,
    profiles_of,
)
from windlass_agent.gpu.nvml_cards import (
    Card,
    card_uuid_of,
    instances,
    is_divided,
    offered,
    open_all,
    open_card,
    peers_of,
)
from windlass_agent.gpu.nvml_divide import Change, NvmlCard, destroy
from windlass_agent.gpu.nvml_events import MAX_WAITING, XidEvents
from windlass_agent.gpu.nvml_facts import facts_of
from windlass_agent.gpu.nvml_query import NvmlQuery, text_of
from windlass_agent.gpu.nvml_samples import processes_of, sample_card, sample_part

_log = structlog.get_logger(__name__)

# What CUDA opens beside the card itself.
_SHARED_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")

_RESET_SECONDS = 120


class NvmlGpus:
    """Real cards.

    Args:
        library: The `pynvml` module, initialised; a test hands in another of the same names.
        process_name: Name of the program of a process id, or empty when it is gone.
        time_nanos: The wall clock, for XIDs.
        reset_command: Resets a card when given its bus id; empty when this process may not.
        can_divide: Whether this process may divide cards.
    """

    def __init__(
        self,
        library: Any,
        process_name: Callable[[int], str],
        time_nanos: Callable[[], int],
        reset_command: Sequence[str] = (),
        *,
        can_divide: bool = False,
    ) -> None:
        self._nvml = library
        self._query = NvmlQuery(library)
        self._process_name = process_name
        self._time_nanos = time_nanos
        self._reset_command = tuple(reset_command)
        self.can_divide = can_divide
        self._closed = False
        self._heard: Callable[[], None] = lambda: None
        self._xids: deque[GpuXid] = deque(maxlen=MAX_WAITING)
        self.driver_version = text_of(library.nvmlSystemGetDriverVersion())
        self.cuda_version = _cuda_version(self._query.ask(library.nvmlSystemGetCudaDriverVersion))
        # What cards of a model can be divided into, which NVML tells of those alone that are divided.
        self._profiles: dict[str, tuple[MigProfile, ...]] = {}
        self._whole = open_all(self._query)
        self._parts = {uuid: instances(self._query, card) for uuid, card in self._whole.items()}
        self._cards, self._mig_cards = offered(self._whole, self._parts), self._divisible()
        self._events = self._listen()

    @property
    def can_reset(self) -> bool:
        return bool(self._reset_command)

    def devices(self) -> Sequence[GpuDevice]:
        return tuple(card.device for card in self._cards)

    def cards(self) -> Sequence[MigCard]:
        return self._mig_cards

    def sample(self) -> Sequence[GpuSample]:
        return tuple(self._sample(card) for card in self._cards)

    def processes(self) -> Sequence[GpuProcess]:
        return tuple(
            process
            for card in self._cards
            for process in processes_of(
                self._query, card.device.uuid, card.handle, self._process_name
            )
        )

    def facts(self) -> Sequence[GpuFacts]:
        return tuple(
            facts_of(self._query, card.device.uuid, card.whole)
            if card.whole is not None
            else GpuFacts(card.device.uuid, lost=True)
            for card in self._cards
        )

    def take_xids(self) -> Sequence[GpuXid]:
        return self._events.take()

    def on_xid(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        granted = [
            path
            for card in self._cards
            if card.device.uuid in uuids
            for path in (card.path, *card.keys)
        ]
        return (*dict.fromkeys(granted), *_SHARED_DEVICES) if granted else ()

    def reset(self, uuid: str) -> None:
        if not self._reset_command:
            raise GpuResetError("nvidia-smi is not there, or the agent does not run as root")
        card = next((card for card in self._cards if card.device.uuid == uuid), None)
        if card is None:
            raise GpuResetError(f"there is no GPU {uuid}")
        if card.device.instance is not None:
            raise GpuResetError("it is a part of a card that is divided")
        self._reset_card(card)

    def divide(
        self, card_uuid: str, placements: Sequence[MigPlacement], held: Collection[str]
    ) -> None:
        card = self._whole.get(card_uuid)
        if card is None or card.handle is None:
            raise GpuLayoutError(f"there is no GPU {card_uuid}, or it is lost")
        if not self.can_divide:
            raise GpuLayoutError("the agent does not run as root")
        try:
            change = self._change(card, placements)
            if change.any:
                self._check_idle(card, change, held)
            self._events.close()
            try:
                self._cut(card_uuid, change)
            finally:
                # Also where there was nothing to do: somebody may have done it by hand.
                self._look_again(card_uuid)
        except self._nvml.NVMLError as error:
            raise GpuLayoutError(str(error)) from None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._events.close()
            self._nvml.nvmlShutdown()

    def _reset_card(self, card: Card) -> None:
        # The driver resets no card that anybody has open, ourselves included.
        self._events.close()
        self._nvml.nvmlShutdown()
        try:
            done = subprocess.run(  # noqa: S603
                [*self._reset_command, card.device.pci_bus_id],
                capture_output=True,
                text=True,
                check=False,
                timeout=_RESET_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GpuResetError(str(error)) from None
        finally:
            self._reopen()
        if done.returncode:
            said = (done.stderr + done.stdout).strip().splitlines()
            raise GpuResetError(said[-1] if said else f"nvidia-smi returned {done.returncode}")

    def _change(self, card: Card, placements: Sequence[MigPlacement]) -> Change:
        """What there is to do; GpuLayoutError when the card cannot be so."""
        if is_divided(card):
            return self._mig(card).change(placements)
        known = {one.uuid: one.profiles for one in self._mig_cards}.get(card.device.uuid, ())
        check_layout({profile.name: profile for profile in known}, placements)
        return Change(was=False, mode=bool(placements), new=tuple(placements))

    def _check_idle(self, card: Card, change: Change, held: Collection[str]) -> None:
        gone = {instance.number for instance in change.gone}
        parts = self._parts[card.device.uuid] if is_divided(card) else (card,)
        for part in parts:
            uuid = part.device.uuid
            if part.number in gone or part is card:
                users = processes_of(self._query, uuid, part.handle, self._process_name)
                if users or uuid in held:
                    by = ", ".join(f"process {one.pid}" for one in users) or "a run"
                    raise GpuLayoutError(f"{uuid} is in use by {by}")

    def _cut(self, card_uuid: str, change: Change) -> None:
        for instance in change.gone:
            destroy(self._nvml, instance)
        if change.was is not change.mode:
            self._set_mode(card_uuid, on=change.mode)
        if not change.mode:
            return
        card = self._whole[card_uuid]
        mig = self._mig(card)
        # NVML tells now what before was only likely.
        self._profiles[card.device.model] = mig.profiles
        try:
            mig.check(change.new)
            for placement in change.new:
                mig.create(placement)
        except (GpuLayoutError, self._nvml.NVMLError):
            # A card that was whole and has come to nothing is of more use whole.
            if not change.was and not mig.instances():
                self._set_mode(card_uuid, on=False)
            raise

    def _set_mode(self, card_uuid: str, *, on: bool) -> None:
        self._nvml.nvmlDeviceSetMigMode(self._whole[card_uuid].handle, int(on))
        if self._mode(card_uuid) is not on:
            self._reset_into_mode(self._whole[card_uuid], on=on)

    def _mode(self, card_uuid: str) -> bool:
        """Whether it is on; by a new handle, for a change makes the driver take up the card anew."""
        handle = self._nvml.nvmlDeviceGetHandleByUUID(card_uuid.encode())
        self._whole[card_uuid] = replace(self._whole[card_uuid], handle=handle)
        return bool(self._nvml.nvmlDeviceGetMigMode(handle)[0])

    def _reset_into_mode(self, card: Card, *, on: bool) -> None:
        """Some cards, and all that somebody has open, change their mode with a reset alone."""
        try:
            if not self._reset_command:
                raise GpuResetError("nvidia-smi is not there")
            self._reset_card(card)
            if self._mode(card.device.uuid) is not on:
                raise GpuResetError("one changed nothing")
        except GpuResetError as error:
            handle = self._whole[card.device.uuid].handle
            self._query.ask(self._nvml.nvmlDeviceSetMigMode, handle, int(not on))
            raise GpuLayoutError(f"its MIG mode needs a reset to change: {error}") from None

    def _look_again(self, card_uuid: str) -> None:
        """What has become of a card; one that does not answer is kept, as one that is lost."""
        nvml, card = self._nvml, self._whole[card_uuid]
        self._events.close()
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(card_uuid.encode())
            others = [one for uuid, one in self._whole.items() if uuid != card_uuid]
            peers = peers_of(self._query, handle, others)
            self._whole[card_uuid] = open_card(self._query, card.device.index, handle, peers)
            self._parts[card_uuid] = instances(self._query, self._whole[card_uuid])
        except nvml.NVMLError:
            self._whole[card_uuid] = replace(card, handle=None)
            lost = (replace(part, handle=None, parent=None) for part in self._parts[card_uuid])
            self._parts[card_uuid] = tuple(lost)
        self._cards, self._mig_cards = offered(self._whole, self._parts), self._divisible()
        self._events = self._listen()

    def _reopen(self) -> None:
        """Finds the cards again after the library was let go; one that is not found is lost."""
        find = self._nvml.nvmlDeviceGetHandleByUUID
        there = self._query.ask(_initialised, self._nvml) is not None
        self._whole = {
            uuid: replace(card, handle=self._query.ask(find, uuid.encode()) if there else None)
            for uuid, card in self._whole.items()
        }
        self._parts = {
            uuid: tuple(
                replace(
                    part,
                    handle=self._query.ask(find, part.device.uuid.encode()) if there else None,
                    parent=self._whole[uuid].handle,
                )
                for part in parts
            )
            for uuid, parts in self._parts.items()
        }
        self._cards = offered(self._whole, self._parts)
        self._events = self._listen()

    def _listen(self) -> XidEvents:
        handles = {uuid: one.handle for uuid, one in self._whole.items() if one.handle is not None}
        return XidEvents(
            self._nvml, handles, self._devices_of, self._time_nanos, self._tell, self._xids
        )

    def _devices_of(self, card_uuid: str, number: int) -> list[str]:
        """The devices that an XID of a card is of: one of its instances, or all that it has."""
        parts = [card for card in self._cards if card_uuid_of(card) == card_uuid]
        named = [card for card in parts if card.number == number]
        return [card.device.uuid for card in named or parts]

    def _tell(self) -> None:
        self._heard()

    def _divisible(self) -> tuple[MigCard, ...]:
        """The cards that can be divided, and into what."""
        for card in self._whole.values():
            if is_divided(card) and card.handle is not None:
                self._profiles[card.device.model] = self._mig(card).profiles
        known = ((card.device, self._profiles_of(card.device)) for card in self._whole.values())
        return tuple(
            MigCard(device.uuid, device.gpu_type, device.mig is MigMode.ENABLED, profiles)
            for device, profiles in known
            if profiles
        )

    def _profiles_of(self, device: GpuDevice) -> tuple[MigProfile, ...]:
        if device.mig is MigMode.NOT_CAPABLE:
            return ()
        likely = profiles_of(device.gpu_type, device.memory_total_bytes)
        return self._profiles.get(device.model) or tuple(likely.values())

    def _mig(self, card: Card) -> NvmlCard:
        return NvmlCard(self._query, card.handle, card.device)

    def _sample(self, card: Card) -> GpuSample:
        if card.handle is None:
            return unreadable(card.device.uuid)
        if card.device.instance is not None:
            return sample_part(self._query, card.device.uuid, card.handle, card.parent)
        return sample_card(self._query, card.device.uuid, card.handle)


def open_nvml(time_nanos: Callable[[], int], library: Any = pynvml) -> GpuProvider:
    """The machine's real GPUs; none, quietly, on a machine without NVIDIA's driver."""
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        _log.debug("no NVIDIA driver", reason=str(error))
        return NoGpus()
    try:
        return NvmlGpus(
            library, program_of, time_nanos, _reset_command(), can_divide=os.geteuid() == 0
        )
    except library.NVMLError as error:
        _log.warning("the NVIDIA driver does not answer; running without GPUs", reason=str(error))
        library.nvmlShutdown()
        return NoGpus()


def _reset_command() -> tuple[str, ...]:
    """Only root resets cards."""
    found = shutil.which("nvidia-smi")
    return (found, "--gpu-reset", "-i") if found and os.geteuid() == 0 else ()


def _initialised(library: Any) -> bool:
    library.nvmlInit()
    return True


def _cuda_version(number: int | None) -> str:
    """NVML says 12080 for 12.8."""
    return "" if number is None else f"{number // 1000}.{number % 1000 // 10}"
