"""XIDs as the driver reports them: waited for, never polled."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from windlass_agent.gpu.facts import GpuXid

_WAIT_MILLIS = 500
_PAUSE_SECONDS = 1.0
MAX_WAITING = 4096


class XidEvents:
    """A thread that waits for XIDs.

    Args:
        library: The `pynvml` module, initialised.
        handles: The cards by their UUIDs.
        devices_of: The devices that an XID is of, by the UUID of the card and the number of its
            instance, which is none of its own where it is of the whole card.
        time_nanos: The wall clock.
        heard: Called from the thread when there is something to take.
        waiting: Where they are put, beside what one that was closed has left there.
    """

    def __init__(
        self,
        library: Any,
        handles: Mapping[str, Any],
        devices_of: Callable[[str, int], Sequence[str]],
        time_nanos: Callable[[], int],
        heard: Callable[[], None],
        waiting: deque[GpuXid],
    ) -> None:
        self._nvml = library
        self._devices_of = devices_of
        self._time_nanos = time_nanos
        self._heard = heard
        self._waiting = waiting
        self._closed = threading.Event()
        self._set = library.nvmlEventSetCreate()
        registered = [self._register(handle) for handle in handles.values()]
        self._thread: threading.Thread | None = None
        if any(registered):
            self._thread = threading.Thread(target=self._wait, name="xids", daemon=True)
            self._thread.start()

    def take(self) -> Sequence[GpuXid]:
        """What has come since the last call, oldest first."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken

    def close(self) -> None:
        """Ends the thread; takes half a second at most. Calling it twice is harmless."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._nvml.nvmlEventSetFree(self._set)

    def _register(self, handle: Any) -> bool:
        """Whether the card tells of its XIDs; those in virtual machines may not."""
        nvml = self._nvml
        try:
            nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, self._set)
        except nvml.NVMLError:
            return False
        return True

    def _wait(self) -> None:
        nvml = self._nvml
        while not self._closed.is_set():
            try:
                event = nvml.nvmlEventSetWait_v2(self._set, _WAIT_MILLIS)
                uuid = nvml.nvmlDeviceGetUUID(event.device)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_TIMEOUT:
                    self._closed.wait(_PAUSE_SECONDS)  # a lost card makes it fail at once
                continue
            name = uuid.decode(errors="replace") if isinstance(uuid, bytes) else uuid
            for device in self._devices_of(name, int(event.gpuInstanceId)):
                self._waiting.append(GpuXid(device, self._time_nanos(), int(event.eventData)))
            self._heard()
