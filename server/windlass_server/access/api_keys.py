"""API keys and join tokens as text: `wlk_<12 base62 id>_<30 base62 secret><6 base62 crc32>`.

The design is GitHub's (github.blog, "Behind GitHub's new authentication token formats"): a prefix
of our own and a checksum let secret scanners find leaked keys without asking anyone, and refuse
mistyped ones before the database is asked; no character ends a word, so that a double click selects
all of it. The secret has 178 bits, which is why a plain keyed digest of it is enough to store.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass

API_KEY = "wlk"
JOIN_TOKEN = "wlj"  # noqa: S105 - a public prefix

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 12
_SECRET_LENGTH = 30
_CHECKSUM_LENGTH = 6
_FORM = re.compile(r"(wl[kj])_([0-9A-Za-z]{12})_([0-9A-Za-z]{30})([0-9A-Za-z]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Secret:
    """The parts of a key.

    Attributes:
        prefix: `API_KEY` or `JOIN_TOKEN`.
        public_id: the id that it is stored under.
        secret: what only the holder knows.
    """

    prefix: str
    public_id: str
    secret: str

    def __repr__(self) -> str:
        return f"{self.prefix}_{self.public_id}_…"

    def text(self) -> str:
        """The whole as the holder writes it."""
        body = f"{self.prefix}_{self.public_id}_{self.secret}"
        return body + _checksum(body)


def make(prefix: str) -> Secret:
    """A new key of that kind."""
    return Secret(prefix, _random(_ID_LENGTH), _random(_SECRET_LENGTH))


def parse(prefix: str, text: str) -> Secret | None:
    """The parts of a key of that kind; None when it has another form or a wrong checksum."""
    match = _FORM.fullmatch(text)
    if match is None or match[1] != prefix:
        return None
    if _checksum(text[:-_CHECKSUM_LENGTH]) != match[4]:
        return None
    return Secret(prefix, match[2], match[3])


def digest(pepper: bytes, secret: Secret) -> bytes:
    """What is stored of a key: HMAC-SHA256 of its secret under the server's pepper."""
    return hmac.digest(pepper, secret.secret.encode(), hashlib.sha256)


def matches(pepper: bytes, secret: Secret, stored: bytes) -> bool:
    """Whether the stored digest is this key's; takes the same time for every wrong one."""
    return hmac.compare_digest(digest(pepper, secret), stored)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits
