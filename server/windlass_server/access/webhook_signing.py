"""Signatures of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, version 1)."""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence

_PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    """A secret as receivers are given it."""
    return _PREFIX + base64.b64encode(os.urandom(_BYTES)).decode()


def headers(message_id: str, seconds: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that prove where a message comes from, and when it was sent.

    Args:
        message_id: the same for each attempt.
        seconds: the time of the attempt, since 1970.
        body: what is sent.
        secrets: the receiver may verify it with any of them.
    """
    signed = b".".join((message_id.encode(), str(seconds).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{_signature(one, signed)}" for one in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
