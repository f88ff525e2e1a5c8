"""The installation's one master secret, and the keys that are derived from it.

Each key has a purpose of its own, so that none can be used to attack another: HKDF-SHA256
(RFC 5869) with the master secret as input, no salt, and one of these labels as `info`:

| label | what for |
|---|---|
| `windlass/1/user-token-signing` | seed of the Ed25519 key that signs users' tokens |
| `windlass/1/api-key-pepper` | digests of API keys |
| `windlass/1/join-token-pepper` | digests of join tokens |
| `windlass/1/page-tokens` | authenticity of page tokens |
| `windlass/1/seals` | encryption of credentials for other installations |
| `windlass/1/project-secrets` | encryption of the secrets of projects, unless keys for that are configured |

Whoever holds the master secret can sign tokens: several replicas must share it, nobody else.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from windlass_server.access import private_files
from windlass_server.errors import BadConfiguration

FILE_NAME = "secret.key"
_BYTES = 32
_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Secrets:
    """The derived keys."""

    signing_key: Ed25519PrivateKey = field(repr=False)
    api_key_pepper: bytes = field(repr=False)
    join_token_pepper: bytes = field(repr=False)
    page_token_key: bytes = field(repr=False)
    seal_key: bytes = field(repr=False)
    project_secrets_key: bytes = field(repr=False)


def derive(master: bytes) -> Secrets:
    """The keys of a master secret of 32 bytes."""
    return Secrets(
        signing_key=Ed25519PrivateKey.from_private_bytes(_expand(master, "user-token-signing")),
        api_key_pepper=_expand(master, "api-key-pepper"),
        join_token_pepper=_expand(master, "join-token-pepper"),
        page_token_key=_expand(master, "page-tokens"),
        seal_key=_expand(master, "seals"),
        project_secrets_key=_expand(master, "project-secrets"),
    )


def load_secrets(data_dir: Path, configured: str = "") -> Secrets:
    """The keys of this installation.

    Args:
        data_dir: the folder whose `secret.key` holds the master secret; made on first start.
        configured: the master secret as 64 hexadecimal digits, for replicas that share no folder;
            the file is then neither read nor made.

    Raises:
        BadConfiguration: the secret is not one, others can read it, or it cannot be stored.
    """
    if configured:
        return derive(_parse(configured, "the configured secret"))
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            private_files.create(path, os.urandom(_BYTES).hex() + "\n")
        mode = path.stat().st_mode
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        message = f"cannot use {path}: {error.strerror}"
        raise BadConfiguration(message) from None
    if mode & _READABLE_BY_OTHERS:
        message = f"{path} can be read by others; run: chmod 600 {path}"
        raise BadConfiguration(message)
    return derive(_parse(text.strip(), str(path)))


def _parse(text: str, where: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text, re.ASCII):
        message = f"{where} is not a secret of 64 hexadecimal digits (openssl rand -hex 32)"
        raise BadConfiguration(message)
    return bytes.fromhex(text)


def _expand(master: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _BYTES, salt=None, info=f"windlass/1/{purpose}".encode()).derive(master)
