"""What a node may say of itself, and what of it is free. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from windlass_server.errors import FieldViolation

MAX_CPU_MILLIS = 1_000_000_000
MAX_MEMORY_BYTES = 1 << 60
MAX_GPUS = 1024
MAX_LABELS = 64
_MAX_TEXT = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class GpuShape:
    """What a node says of one GPU."""

    uuid: str
    gpu_type: str


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What a node says of itself, as far as it is judged.

    Attributes:
        texts: its texts by the name of their field.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: tuple[GpuShape, ...]
    texts: Mapping[str, str]
    labels: Mapping[str, str]


def shape_violations(shape: NodeShape) -> tuple[FieldViolation, ...]:
    """What of it cannot be, all of it; empty when it can be stored and scheduled on."""
    found = [*_amount_violations(shape), *_gpu_violations(shape), *_text_violations(shape)]
    return tuple(FieldViolation(f"inventory.{name}", text, "INVALID") for name, text in found)


def free(has: int, held: int) -> int:
    """What is not held; 0 also when a node has less than its runs hold."""
    return max(has - held, 0)


def _amount_violations(shape: NodeShape) -> list[tuple[str, str]]:
    found = []
    for name, value, limit in (
        ("cpu_millis", shape.cpu_millis, MAX_CPU_MILLIS),
        ("memory_bytes", shape.memory_bytes, MAX_MEMORY_BYTES),
    ):
        if not 0 <= value <= limit:
            found.append((name, f"must be from 0 to {limit}"))
    return found


def _gpu_violations(shape: NodeShape) -> list[tuple[str, str]]:
    found = []
    if len(shape.gpus) > MAX_GPUS:
        found.append(("gpus", f"must be at most {MAX_GPUS}"))
    if len({gpu.uuid for gpu in shape.gpus}) != len(shape.gpus):
        found.append(("gpus", "must have different UUIDs"))
    # A comma separates UUIDs where several are stored in one text.
    if not all(_is_text(gpu.uuid) and gpu.uuid and "," not in gpu.uuid for gpu in shape.gpus):
        found.append(("gpus.uuid", "must be a text without commas"))
    if not all(_is_text(gpu.gpu_type) for gpu in shape.gpus):
        found.append(("gpus.gpu_type", f"must be a text of at most {_MAX_TEXT} characters"))
    return found


def _text_violations(shape: NodeShape) -> list[tuple[str, str]]:
    found = [
        (name, f"must be at most {_MAX_TEXT} printable characters")
        for name, text in shape.texts.items()
        if not _is_text(text)
    ]
    if len(shape.labels) > MAX_LABELS:
        found.append(("labels", f"must be at most {MAX_LABELS}"))
    if not all(_is_text(key) and _is_text(value) for key, value in shape.labels.items()):
        found.append(("labels", f"must have at most {_MAX_TEXT} printable characters"))
    return found


def _is_text(text: str) -> bool:
    return len(text) <= _MAX_TEXT and _CONTROL.search(text) is None
