"""Digests that a caller sends with its body, held to what came (RFC 9530, and the older RFC 1864).

`Content-Digest` and `Repr-Digest` are of the body as it is on the wire, before it is inflated: the two
differ only in answers to ranges. Each is a dictionary of algorithms, `sha-256=:base64:`; of those only
sha-256 and sha-512 are looked at, the others are ignored as the RFC says. `Content-MD5` is base64 alone.
"""

import hashlib
import hmac
import re
from base64 import b64decode
from typing import Any

from windlass_server.gateway.errors import bad_field
from windlass_server.gateway.headers import RequestHeaders

_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*")
_HEADERS = {"content_digest": "content-digest", "repr_digest": "repr-digest"}


class BodyDigests:
    """The digests of one request, and what has come of its body; raises Refusal for a malformed one."""

    def __init__(self, headers: RequestHeaders) -> None:
        # By header and algorithm: of a dictionary's equal keys the last counts, so that a request
        # asks for five hashes at most.
        self._expected: dict[tuple[str, str], tuple[Any, bytes]] = {}
        for key, name in _HEADERS.items():
            if (text := headers.others.get(key)) is not None:
                self._expect(name, text)
        if (text := headers.others.get("content_md5")) is not None:
            self._add("content-md5", "md5", text.strip())

    def update(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        for running, _ in self._expected.values():
            running.update(data)

    def verify(self) -> None:
        """Raise Refusal when the body, all of it taken in, is not what was announced."""
        for (name, _), (running, expected) in self._expected.items():
            if not hmac.compare_digest(running.digest(), expected):
                raise bad_field("DIGEST_MISMATCH", name, "is not the digest of the body")

    def _expect(self, name: str, text: str) -> None:
        for member in text.split(","):
            found = _MEMBER.fullmatch(member)
            if found is None:
                raise _malformed(name)
            if found[1] in _ALGORITHMS:
                self._add(name, _ALGORITHMS[found[1]], found[2])

    def _add(self, name: str, algorithm: str, text: str) -> None:
        running = hashlib.new(algorithm, usedforsecurity=False)
        try:
            expected = b64decode(text, validate=True)
        except ValueError:
            raise _malformed(name) from None
        if len(expected) != running.digest_size:
            raise _malformed(name)
        self._expected[name, algorithm] = (running, expected)


def _malformed(name: str) -> Exception:
    return bad_field("MALFORMED_DIGEST", name, "is not a digest, such as sha-256=:base64:")
