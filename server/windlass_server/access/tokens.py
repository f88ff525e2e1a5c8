"""Signed short-lived tokens (JWT, EdDSA): users' from this server, nodes' from the nodes themselves.

PyJWT does the encoding and the signature; everything that it is lenient about is checked here
(RFC 8725): one algorithm; an explicit `typ` for each kind, each with keys of its own; no header
beyond `alg`, `typ` and `kid`; no claim given twice; whole-number times; a longest life.
"""

import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode

from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.errors import Unauthenticated

USER_TOKEN = "at+jwt"  # noqa: S105 - a type (RFC 9068)
NODE_TOKEN = "node+jwt"  # noqa: S105 - a type
NAME = "windlass"
MAX_TOKEN_CHARS = 8192
MAX_USER_SECONDS = 900
MAX_NODE_SECONDS = 300
# How far ahead of ours the clock of whoever signed may be.
_SKEW_SECONDS = 60
_ALGORITHM = "EdDSA"
_HEADERS = frozenset({"alg", "typ", "kid"})
_MAX_TEXT = 256

_jws = PyJWS(algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class UserClaims:
    """What a user's token proves: which API key bought it for whom, until when (microseconds)."""

    user: str
    key_id: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class NodeClaims:
    """What a node's token proves: which node signed it, until when (microseconds)."""

    node_id: str
    expires_at: int


class UserTokens:
    """Issues and verifies the tokens of users.

    Args:
        signing_key: this installation's key.
    """

    def __init__(self, signing_key: Ed25519PrivateKey) -> None:
        self._private = signing_key
        self._public = signing_key.public_key()
        self._kid = hashlib.sha256(self._public.public_bytes_raw()).hexdigest()[:16]

    def issue(self, user: str, key_id: str, *, now: int, until: int) -> tuple[str, int]:
        """A token for the principal behind an API key.

        Args:
            user: the principal.
            key_id: the API key; the token is worth nothing once that is revoked.
            now: the time in microseconds.
            until: when the token shall end, in microseconds; rounded up to a whole second and cut
                to 15 minutes from now.

        Returns:
            The token, and when it really ends, in microseconds.
        """
        issued = now // MICROS_PER_SECOND
        expires = min(-(-until // MICROS_PER_SECOND), issued + MAX_USER_SECONDS)
        claims = {
            "iss": NAME,
            "aud": NAME,
            "sub": user,
            "iat": issued,
            "exp": expires,
            "jti": secrets.token_hex(16),
            "key_id": key_id,
        }
        headers = {"typ": USER_TOKEN, "kid": self._kid}
        token = _jws.encode(json.dumps(claims).encode(), self._private, _ALGORITHM, headers)
        return token, expires * MICROS_PER_SECOND

    def verify(self, token: str, *, now: int) -> UserClaims:
        """What the token proves at the time `now` (microseconds).

        Raises:
            Unauthenticated: CREDENTIAL_INVALID or CREDENTIAL_EXPIRED.
        """
        if read_header(token, USER_TOKEN).get("kid") != self._kid:
            _refuse("it is not signed by a key of this installation")
        claims = _verified_claims(token, self._public)
        if claims.get("iss") != NAME:
            _refuse("its iss is not windlass")
        _text(claims, "jti")
        expires_at = _check_times(claims, now, MAX_USER_SECONDS)
        return UserClaims(_text(claims, "sub"), _text(claims, "key_id"), expires_at)


def claimed_node(token: str) -> str:
    """The node that a token says it is from, not proved yet: it tells which key to verify with."""
    read_header(token, NODE_TOKEN)
    return _text(_read_json(token.split(".")[1]), "sub")


def verify_node(token: str, public_key: bytes, *, now: int) -> NodeClaims:
    """What a node's token proves at the time `now` (microseconds).

    Args:
        token: the token.
        public_key: the raw Ed25519 key that `claimed_node` registered when it joined.
        now: the time.

    Raises:
        Unauthenticated: CREDENTIAL_INVALID or CREDENTIAL_EXPIRED.
    """
    read_header(token, NODE_TOKEN)
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError:
        _refuse("the node has no usable key")
    claims = _verified_claims(token, key)
    expires_at = _check_times(claims, now, MAX_NODE_SECONDS)
    return NodeClaims(_text(claims, "sub"), expires_at)


def token_type(token: str) -> object:
    """The `typ` that a token's header names; nothing is proved by it."""
    return _header(token).get("typ")


def read_header(token: str, expected_type: str) -> Mapping[str, object]:
    """The header of a token of the given type, not proved yet."""
    header = _header(token)
    if header.get("typ") != expected_type or header.get("alg") != _ALGORITHM:
        _refuse(f"it is not an {expected_type} signed with {_ALGORITHM}")
    if not header.keys() <= _HEADERS:
        _refuse("its header has members besides alg, typ and kid")
    return header


def _header(token: str) -> Mapping[str, object]:
    if len(token) > MAX_TOKEN_CHARS:
        _refuse(f"it is longer than {MAX_TOKEN_CHARS} characters")
    if token.count(".") != 2:
        _refuse("it does not have three parts")
    return _read_json(token.partition(".")[0])


def _verified_claims(token: str, key: Ed25519PublicKey) -> Mapping[str, object]:
    try:
        _jws.decode(token, key, [_ALGORITHM])
    except (PyJWTError, UnsupportedAlgorithm, ValueError):
        _refuse("its signature is wrong")
    claims = _read_json(token.split(".")[1])
    if claims.get("aud") != NAME:
        _refuse("its aud is not windlass")
    return claims


def _check_times(claims: Mapping[str, object], now: int, max_seconds: int) -> int:
    expires, issued = _whole(claims, "exp"), _whole(claims, "iat")
    not_before = _whole(claims, "nbf") if "nbf" in claims else issued
    if not 0 < expires - issued <= max_seconds:
        _refuse(f"it is good for longer than {max_seconds} seconds, or not at all")
    # Whoever signed with a clock that is wrong may learn the time: it is no secret.
    if max(issued, not_before) * MICROS_PER_SECOND > now + _SKEW_SECONDS * MICROS_PER_SECOND:
        message = "the token is not valid: it is from the future; check the clocks"
        raise Unauthenticated(message, reason="CREDENTIAL_INVALID", server_time_micros=str(now))
    if now >= expires * MICROS_PER_SECOND:
        message = "the token has expired"
        raise Unauthenticated(message, reason="CREDENTIAL_EXPIRED", server_time_micros=str(now))
    return expires * MICROS_PER_SECOND


def _whole(claims: Mapping[str, object], name: str) -> int:
    value = claims.get(name)
    # `type`, because True is an int and 1e308 is a time to some.
    if type(value) is not int:
        _refuse(f"its {name} is not a whole number")
    return value


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        _refuse(f"its {name} is not a text of 1 to {_MAX_TEXT} characters")
    return value


def _read_json(segment: str) -> Mapping[str, object]:
    try:
        value = json.loads(
            base64url_decode(segment),
            object_pairs_hook=_without_repeats,
            parse_constant=_no_constant,
        )
    except (binascii.Error, UnicodeError, ValueError, RecursionError):
        _refuse("it is not well-formed")
    if not isinstance(value, dict):
        _refuse("it is not well-formed")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "a member is given twice"
        raise ValueError(message)
    return members


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _refuse(why: str) -> NoReturn:
    message = f"the token is not valid: {why}"
    raise Unauthenticated(message, reason="CREDENTIAL_INVALID")
