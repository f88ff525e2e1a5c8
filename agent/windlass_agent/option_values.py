"""The values of options: what a flag, a variable or a TOML file says, as what it means.

Each reads a flag's text or a value of TOML and raises ValueError, with a sentence for the operator.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from windlass_agent import quantities
from windlass_agent.gpu.fault_script import ScriptedFault, parse_faults
from windlass_agent.gpu.mig import parse_layout
from windlass_agent.gpu.profiles import PROFILES, GpuProfile

MAX_GPUS = 1024
LOG_QUOTA_BYTES = 1 << 30
"""How large a log may become unless the operator says so."""
DEBUG_KEEP_SECONDS = 3600.0
"""How long the folders of runs in debug mode are kept unless the operator says so."""
LOG_RATE_BYTES = 16 << 20
"""By how much a log may grow in a second unless the operator says so."""
ENVIRONMENT_LIMIT_BYTES = 20 << 30
"""How much virtual environments of Python may take unless the operator says so."""
_LABEL_KEY = re.compile(r"[a-z0-9A-Z](?:[a-z0-9A-Z._/-]{0,61}[a-z0-9A-Z])?")
_MAX_LABELS = 64


def text(value: Any) -> str:
    """Any text but none."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that is not empty")
    return value


def address(value: Any) -> str:
    """HOST:PORT. ValueError when it is none."""
    host, _, port = text(value).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not HOST:PORT")
    return str(value)


def host(value: Any) -> str:
    """A host name or an address. ValueError when it is none."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?", text(value)):
        raise ValueError(f"{value!r} is no host name or address")
    return str(value)


def absolute_path(value: Any) -> Path:
    """A path, from where the agent was started or from `~`."""
    return Path(text(value)).expanduser().absolute()


def absolute_paths(value: Any) -> tuple[Path, ...]:
    """Paths, separated by commas or in a list."""
    parts = value if isinstance(value, list) else text(value).split(",")
    return tuple(absolute_path(part) for part in parts if part)


def flag(value: Any) -> bool:
    """Yes or no, in the usual words."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in words:
        raise ValueError(f"{value!r} is not true or false")
    return words[value.lower()]


def choice(*choices: str) -> Callable[[Any], str]:
    """What reads one of these words."""

    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
        return str(value)

    return parse


def labels(value: Any) -> dict[str, str]:
    """Labels from `KEY=VALUE,...`, a list of such, or a table. ValueError when there is a bad one."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part]
    if isinstance(value, list):
        value = dict(_label(str(part)) for part in value)
    for key, label in value.items():
        good = isinstance(label, str) and label.isprintable() and len(label) <= 63
        if not good or not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"{key!r} = {label!r} is not a label (at most 63 letters each)")
    if len(value) > _MAX_LABELS:
        raise ValueError(f"a node has at most {_MAX_LABELS} labels")
    return dict(value)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return key, value


def simulated_gpus(value: Any) -> tuple[GpuProfile, ...]:
    """The cards that `8xH100`, `8xA100:nvlink=4,2xL40S` or `2xH100/3g.40gb+4g.40gb` stands for.

    `nvlink` says how many neighbours one switch joins: 8 by default, 1 for none.

    ValueError when it is none of these.
    """
    cards: list[GpuProfile] = []
    for part in text(value).split(","):
        found = re.fullmatch(
            r"\s*(?:(\d{1,4})x)?([A-Za-z0-9]+)(:nvlink=([1-9]\d?))?(?:/(.+))?\s*", part
        )
        profile = PROFILES.get(found[2].upper()) if found else None
        if found is None or profile is None:
            raise ValueError(f"{part!r} is not COUNTxTYPE with a TYPE of {', '.join(PROFILES)}")
        if found[3]:
            if not profile.data_center:
                raise ValueError(f"{part!r}: {found[2]} has no NVLink")
            profile = replace(profile, nvlink_island=int(found[4]))
        if found[5]:
            profile = replace(profile, layout=parse_layout(found[2].upper(), found[5]))
        cards += [profile] * int(found[1] or 1)
    if not 0 < len(cards) <= MAX_GPUS:
        raise ValueError(f"a node has 1 to {MAX_GPUS} simulated GPUs")
    return tuple(cards)


def fault_script(value: Any) -> tuple[ScriptedFault, ...]:
    """The faults of a script, or of the file that `@PATH` names."""
    script = text(value)
    if script.startswith("@"):
        path = absolute_path(script[1:])
        try:
            script = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {path}: {error}") from None
    return parse_faults(script)


def cpu(value: Any) -> int:
    """CPU in thousandths of a core."""
    return quantities.cpu_millis(str(value))


def memory(value: Any) -> int:
    """Memory in bytes."""
    return quantities.memory_bytes(str(value))


def log_quota(value: Any) -> int:
    """How large a log may become: 0, or at least 1 MiB."""
    return _zero_or_at_least(quantities.memory_bytes(str(value)), 1 << 20, "1MiB")


def log_rate(value: Any) -> int:
    """By how much a log may grow in a second: 0, or at least 256 KiB."""
    return _zero_or_at_least(quantities.memory_bytes(str(value)), 256 << 10, "256KiB")


def debug_keep(value: Any) -> float:
    """How long folders of runs are kept, in seconds: 0, or up to 7 days."""
    kept = quantities.seconds(str(value))
    if kept > 7 * 86_400:
        message = f"{value!r} is longer than 7 days"
        raise ValueError(message)
    return kept


def index_url(value: Any) -> str:
    """Where Python packages come from: an http or https URL without a password, which jobs could read."""
    parts = urlsplit(text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable():
        message = f"{value!r} is no http or https URL"
        raise ValueError(message)
    if parts.password is not None:
        message = "must have no password: jobs can read it"
        raise ValueError(message)
    return str(value)


def _zero_or_at_least(value: int, least: int, words: str) -> int:
    if 0 < value < least:
        message = f"at least {words}, or 0 for no limit"
        raise ValueError(message)
    return value


def comma(values: Sequence[object]) -> str:
    """Several values as one flag says them."""
    return ",".join(map(str, values))


def shown_labels(values: Mapping[str, str]) -> str:
    """Labels as one flag says them."""
    return comma([f"{key}={value}" for key, value in values.items()])
