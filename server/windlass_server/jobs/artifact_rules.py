"""What artifacts may be called, and what they are by their names. Pure."""

import enum
from collections.abc import Iterable

from windlass_server.errors import FieldViolation, InvalidInput

MAX_NAME = 512
"""The longest name, in characters."""
MAX_ARTIFACTS = 10_000
"""The most artifacts of a job."""


class Type(enum.IntEnum):
    """As jobs.v1.Artifact.Type."""

    MODEL = 1
    DATASET = 2
    CHECKPOINT = 3
    PLOT = 4
    LOG = 5
    OTHER = 6


_ENDINGS = {
    Type.MODEL: "safetensors onnx gguf pt pth h5 keras tflite",
    Type.DATASET: "parquet arrow feather csv tsv jsonl tfrecord npy npz",
    Type.CHECKPOINT: "ckpt",
    Type.PLOT: "png jpg jpeg gif svg webp pdf",
    Type.LOG: "log",
}
_BY_ENDING = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}


def type_of(name: str) -> Type:
    """What an artifact is by the ending of its name."""
    _, point, ending = name.rpartition(".")
    return _BY_ENDING.get(ending.lower(), Type.OTHER) if point else Type.OTHER


def is_name(name: str) -> bool:
    """Whether an artifact may be called so.

    Names are paths below a folder of whoever downloads the artifact: none may lead out of it, on any
    system.
    """
    if len(name) > MAX_NAME or "\\" in name or not name.isprintable():
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def require_name(name: str, field: str = "name") -> None:
    """Raise InvalidInput (ARTIFACT_NAME_INVALID) for a name that is none."""
    if is_name(name):
        return
    text = (
        "must be names joined by '/', none of them empty, '.' or '..', without '\\' and control "
        f"characters, at most {MAX_NAME} characters"
    )
    reason = "ARTIFACT_NAME_INVALID"
    violation = FieldViolation(field, text, reason)
    raise InvalidInput(f"{field}: {text}", reason=reason, violations=(violation,))


def pairs(metadata: Iterable[str]) -> dict[str, str]:
    """What `KEY=VALUE` say; InvalidInput (METADATA_KEY_REPEATED) when a key is there twice."""
    found: dict[str, str] = {}
    for one in metadata:
        key, _, value = one.partition("=")
        if key in found:
            text = f"has the key {key} twice"
            violation = FieldViolation("metadata", text, "METADATA_KEY_REPEATED")
            message = f"metadata: {text}"
            raise InvalidInput(message, reason="METADATA_KEY_REPEATED", violations=(violation,))
        found[key] = value
    return found


def media_type(given: str) -> str:
    """The media type that was given, as far as it is one; empty when it says nothing.

    What clients say who were told nothing counts as nothing.
    """
    usable = given.isascii() and given.isprintable() and "/" in given and len(given) <= 255
    unsaid = ("application/octet-stream", "application/x-www-form-urlencoded")
    return given if usable and given not in unsaid else ""
