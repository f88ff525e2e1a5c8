"""Encrypts the secrets of projects, under keys that are not in the database."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from windlass_server.errors import WrongState

_NONCE_BYTES = 12
_ID_LABEL = b"windlass/1/project-secrets-key-id\0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs: encrypted for one place it opens at no other."""

    project: str
    name: str
    version: int

    @property
    def bound(self) -> bytes:
        """What is authenticated along: neither names of projects nor of secrets have a NUL."""
        return f"{self.project}\0{self.name}\0{self.version}".encode()


class Keyring:
    """AES-256-GCM with a nonce of its own for each value.

    Args:
        keys: 32 bytes each: the first encrypts, all of them decrypt.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {key_id_of(key): AESGCM(key) for key in keys}
        self.current = key_id_of(keys[0])
        """Which key encrypts."""

    def seal(self, place: Place, value: bytes) -> bytes:
        """The value for this place, encrypted under the current key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, value, place.bound)

    def open(self, place: Place, key_id: str, sealed: bytes) -> bytes:
        """The value.

        Raises:
            WrongState: SECRET_UNREADABLE: its key is not here, or it was encrypted for another place.
        """
        cipher = self._ciphers.get(key_id)
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            if cipher is not None:
                return cipher.decrypt(nonce, rest, place.bound)
            why = f"is encrypted under key {key_id}, which this server does not have"
        except (InvalidTag, ValueError):
            why = "is not as it was stored"
        message = f"version {place.version} of secret {place.name!r} {why}"
        raise WrongState(message, reason="SECRET_UNREADABLE", subject=place.name) from None


def key_id_of(key: bytes) -> str:
    """A name for a key that says nothing of it."""
    return hashlib.sha256(_ID_LABEL + key).hexdigest()[:16]
