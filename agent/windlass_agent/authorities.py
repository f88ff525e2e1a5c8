"""How operators name the CA that an agent shall trust."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

_PIN = re.compile(r"sha256([0-9a-f]{64})")


def pins(value: Any) -> tuple[str, ...]:
    """SHA-256 digests in lower case, from `sha256:AB:CD...` or `sha256:abcd...`, comma between two.

    Raises:
        ValueError: one of them is none.
    """
    parts = value if isinstance(value, list) else str(value).split(",")
    found = [_PIN.fullmatch(str(part).strip().replace(":", "").lower()) for part in parts]
    if not found or not all(found):
        raise ValueError(f"{value!r} is not sha256: and 64 hexadecimal digits")
    return tuple(pin[1] for pin in found if pin)


def shown(digests: Sequence[str]) -> str:
    """What `pins` takes."""
    return ",".join(f"sha256:{digest}" for digest in digests)


def pem(value: Any) -> bytes:
    """A file from its base64. ValueError when it is none."""
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None
