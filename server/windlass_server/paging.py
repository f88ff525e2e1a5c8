"""Pages of lists: sizes, and opaque authenticated tokens that carry the key to go on behind."""

import base64
import binascii
import hashlib
import hmac

from windlass_server.errors import FieldViolation, InvalidInput

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_TAG_BYTES = 12


def page_size(asked: int) -> int:
    """The size to use for a request's `page_size`: 0 means 50, more than 1,000 means 1,000."""
    return min(asked or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


class PageTokens:
    """Makes and reads page tokens.

    A token is bound to the query it was made for: given back with other filters it is refused, and
    it cannot be forged, so the key inside needs no further checks.

    Args:
        key: secret for the token's HMAC-SHA256.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, query: str, last_key: str) -> str:
        """The token to go on behind `last_key` in the list that `query` describes."""
        return base64.urlsafe_b64encode(self._tag(query, last_key) + last_key.encode()).decode()

    def read(self, query: str, token: str) -> str:
        """The key in a token; `InvalidInput` when it is not one of this query's."""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            last_key = raw[_TAG_BYTES:].decode()
        except (binascii.Error, UnicodeError):
            raw, last_key = b"", ""
        if not hmac.compare_digest(raw[:_TAG_BYTES], self._tag(query, last_key)):
            message = "page_token is not one that this list gave out"
            violation = FieldViolation("page_token", message, "PAGE_TOKEN_INVALID")
            raise InvalidInput(message, reason="PAGE_TOKEN_INVALID", violations=(violation,))
        return last_key

    def _tag(self, query: str, last_key: str) -> bytes:
        text = f"{len(query)}:{query}{last_key}".encode()
        return hmac.digest(self._key, text, hashlib.sha256)[:_TAG_BYTES]
