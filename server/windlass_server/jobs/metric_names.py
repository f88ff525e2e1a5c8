"""What of a job can be asked for, by the short names of things and by those that the job has used itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.telemetry.fields import NUMBERS

SHORT: Mapping[str, str] = {
    "cpu": "cpu_used_millis",
    "memory": "memory_used_bytes",
    "io_read": "io_read_bytes_per_second",
    "io_write": "io_write_bytes_per_second",
    "network_receive": "network_receive_bytes_per_second",
    "network_send": "network_send_bytes_per_second",
    "gpu_utilization": "gpu_utilization_percent",
    "gpu_memory": "gpu_memory_used_bytes",
    "gpu_power": "gpu_power_watts",
    "gpu_temperature": "gpu_temperature_celsius",
}
CUSTOM = "custom."
_ALL = "custom.*"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request names.

    Attributes:
        fields: numbers of what nodes measure, by the words that were used.
        custom: names of the job's own.
    """

    fields: Mapping[str, int]
    custom: Sequence[str]


def asked_for(words: Sequence[str], names: Sequence[str]) -> Asked:
    """What some words mean.

    Args:
        words: of the request.
        names: those that the job has used itself.

    Raises:
        InvalidInput: `METRIC_UNKNOWN` for a word that means nothing.
    """
    fields: dict[str, int] = {}
    custom: dict[str, None] = {}
    for place, word in enumerate(words):
        field = word.lower()
        number = NUMBERS.get(SHORT.get(field, field))
        if word == _ALL:
            custom |= dict.fromkeys(names)
        elif word.startswith(CUSTOM) and word != CUSTOM:
            custom[word.removeprefix(CUSTOM)] = None
        elif number is not None:
            fields[word] = number
        else:
            raise _unknown(place, word)
    return Asked(fields, tuple(custom))


def _unknown(place: int, word: str) -> InvalidInput:
    known = ", ".join([*SHORT, *sorted(NUMBERS), f"{CUSTOM}NAME", _ALL])
    message = f"nothing is measured by the name {word!r}; there are {known}"
    violation = FieldViolation(f"metrics[{place}]", message, "METRIC_UNKNOWN")
    return InvalidInput(message, reason="METRIC_UNKNOWN", violations=(violation,))
