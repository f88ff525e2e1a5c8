"""Credentials for others, which must be kept and must not be readable where they are kept."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from windlass_server.errors import WrongState

_NONCE_BYTES = 12


class Seal:
    """Encrypts secrets with AES-256-GCM, each for one purpose alone.

    What was sealed for one purpose opens for no other, so that a row copied over another is of no use.

    Args:
        key: 32 bytes, derived from the installation's master secret.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, purpose: str, secret: str) -> bytes:
        """The sealed secret: a nonce and what it encrypts."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> str:
        """The secret.

        Raises:
            WrongState: it was sealed by another master secret, or for another purpose.
        """
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, purpose.encode()).decode()
        except (InvalidTag, ValueError):
            message = "was stored under another secret key of this installation; give it again"
            raise WrongState(message, reason="SEAL_BROKEN", subject=purpose) from None
