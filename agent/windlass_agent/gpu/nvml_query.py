"""Questions to NVIDIA's management library whose answers may be missing."""

import math
from collections.abc import Callable
from typing import Any


def text_of(value: str | bytes) -> str:
    """A text as the library has it: functions and structures differ, and so do its versions."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class NvmlQuery:
    """Asks the library.

    Args:
        library: The `pynvml` module, initialised; a test hands in another of the same names.
    """

    def __init__(self, library: Any) -> None:
        self.library = library
        # The second is none of the first, and what a driver that is too old for a query is told by.
        self._unanswered = (library.NVMLError, library.NVMLLibraryMismatchError)

    def ask(self, query: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML answers, or None when this card cannot tell."""
        try:
            return query(*arguments)
        except self._unanswered:
            return None

    def number(self, query: Callable[..., Any], *arguments: Any, scale: float = 1.0) -> float:
        """The same as a number; NaN when this card cannot tell."""
        answer = self.ask(query, *arguments)
        return math.nan if answer is None else float(answer) * scale

    def field(self, handle: Any, number: int) -> int | None:
        """One of NVML's numbered fields that is an unsigned number."""
        found = self.ask(self.library.nvmlDeviceGetFieldValues, handle, [number])
        if found is None or found[0].nvmlReturn != self.library.NVML_SUCCESS:
            return None
        return int(found[0].value.uiVal)

    def throttle_reasons(self, handle: Any) -> float:
        """The mask of clocks event reasons; drivers before 535 know it by its older name alone."""
        mask = self.number(self.library.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if math.isnan(mask):
            mask = self.number(self.library.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return mask

    def is_lost(self, handle: Any) -> bool:
        """Whether the card has fallen off the bus."""
        return bool(self._fails_by(handle) == self.library.NVML_ERROR_GPU_IS_LOST)

    def wants_reset(self, handle: Any) -> bool:
        """Whether the driver says that the card must be reset before it can be used again."""
        nvml = self.library
        if self._fails_by(handle) == nvml.NVML_ERROR_RESET_REQUIRED:
            return True
        action = self.field(handle, nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)
        return action in (
            nvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET,
            nvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET,
        )

    def _fails_by(self, handle: Any) -> int | None:
        nvml = self.library
        try:
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        except nvml.NVMLError as error:
            return int(error.value)
        return None
