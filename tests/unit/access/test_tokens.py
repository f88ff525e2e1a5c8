"""Tokens: what is refused, and why. Each forgery is signed with the right key where it can be."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.fake_clock import START
from windlass_server.access.tokens import UserTokens, claimed_node, token_type, verify_node
from windlass_server.errors import Unauthenticated

SECOND = 1_000_000
NOW = START // SECOND
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
TOKENS = UserTokens(KEY)
GENUINE, _ = TOKENS.issue("ann", "key1", now=START, until=START + 900 * SECOND)
KID = jwt.get_unverified_header(GENUINE)["kid"]
NODE = "node-1"


def part(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signed(header: object, claims: object, key: Ed25519PrivateKey = KEY) -> str:
    body = f"{part(header)}.{part(claims)}"
    signature = base64.urlsafe_b64encode(key.sign(body.encode())).rstrip(b"=").decode()
    return f"{body}.{signature}"


def header(**changes: Any) -> dict[str, Any]:
    return {"alg": "EdDSA", "typ": "at+jwt", "kid": KID} | changes


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "iss": "windlass",
        "aud": "windlass",
        "sub": "ann",
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "1",
        "key_id": "key1",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def node_token(key: Ed25519PrivateKey = KEY, typ: str = "node+jwt", **changes: Any) -> str:
    whole = {"sub": NODE, "aud": "windlass", "iat": NOW, "exp": NOW + 300} | changes
    kept = {name: value for name, value in whole.items() if value is not None}
    return signed({"alg": "EdDSA", "typ": typ}, kept, key)


def refused(check: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        check()
    return caught.value.reason


def test_what_is_issued_is_verified() -> None:
    found = TOKENS.verify(GENUINE, now=START)
    assert (found.user, found.key_id, found.expires_at) == ("ann", "key1", START + 900 * SECOND)
    assert TOKENS.verify(signed(header(), claims()), now=START) == found
    assert token_type(GENUINE) == "at+jwt"


def test_each_has_an_id_of_its_own() -> None:
    again, _ = TOKENS.issue("ann", "key1", now=START, until=START + 900 * SECOND)
    assert again != GENUINE


@pytest.mark.parametrize(("until", "ends"), [(1, SECOND), (SECOND, SECOND), (10**12, 900 * SECOND)])
def test_a_token_ends_on_a_whole_second_within_15_minutes(until: int, ends: int) -> None:
    token, told = TOKENS.issue("ann", "key1", now=START + 1, until=START + until)
    assert told == START + ends
    assert TOKENS.verify(token, now=START + 1).expires_at == told


def test_a_token_is_good_until_it_ends_and_no_longer() -> None:
    ends = START + 900 * SECOND
    TOKENS.verify(GENUINE, now=ends - 1)
    assert refused(lambda: TOKENS.verify(GENUINE, now=ends)) == "CREDENTIAL_EXPIRED"


HMAC_WITH_PUBLIC_KEY = jwt.encode(
    claims(), KEY.public_key().public_bytes_raw(), "HS256", {"typ": "at+jwt", "kid": KID}
)

ATTACKS = {
    "nothing": "",
    "no parts": "abc",
    "two parts": "a.b",
    "four parts": GENUINE + ".x",
    "no base64": "!.!.!",
    "no JSON": f"{part('x')}.{part('x')}.",
    "header is a list": signed([], claims()),
    "header nested too deep": signed("[" * 5000, claims()),
    "alg none": f"{part(header(alg='none'))}.{part(claims())}.",
    "alg none, with our signature": signed(header(alg="none"), claims()),
    "alg is a list": signed(header(alg=["EdDSA"]), claims()),
    "alg HS256 keyed with the public key": HMAC_WITH_PUBLIC_KEY,
    "alg in lower case": signed(header(alg="eddsa"), claims()),
    "typ missing": signed({"alg": "EdDSA", "kid": KID}, claims()),
    "typ JWT": signed(header(typ="JWT"), claims()),
    "typ of a node": signed(header(typ="node+jwt"), claims()),
    "kid missing": signed({"alg": "EdDSA", "typ": "at+jwt"}, claims()),
    "kid of another": signed(header(kid="../../etc/passwd"), claims()),
    "jku": signed(header(jku="https://evil.example/keys"), claims()),
    "jwk": signed(header(jwk={"kty": "OKP"}), claims()),
    "crit": signed(header(crit=["exp"]), claims()),
    "b64 false": signed(header(b64=False, crit=["b64"]), claims()),
    "zip": signed(header(zip="DEF"), claims()),
    "header member twice": signed(
        f'{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{KID}"}}', claims()
    ),
    "signed by another": signed(header(), claims(), OTHER),
    "signature cut": GENUINE[:-2],
    "signature missing": GENUINE.rpartition(".")[0] + ".",
    "signature of other claims": GENUINE.rpartition(".")[0][:-4] + "AAAA." + GENUINE.split(".")[2],
    "claims are a list": signed(header(), []),
    "exp missing": signed(header(), claims(exp=None)),
    "exp 1e308": signed(header(), json.dumps(claims()).replace(str(NOW + 900), "1e308")),
    "exp Infinity": signed(header(), claims(exp=float("inf"))),
    "exp NaN": signed(header(), claims(exp=float("nan"))),
    "exp a float": signed(header(), claims(exp=NOW + 900.0)),
    "exp a string": signed(header(), claims(exp=str(NOW + 900))),
    "exp true": signed(header(), claims(exp=True)),
    "exp far away": signed(header(), claims(exp=NOW + 901)),
    "exp of 5000 digits": signed(
        header(), json.dumps(claims()).replace(str(NOW + 900), "9" * 5000)
    ),
    "exp before iat": signed(header(), claims(exp=NOW - 1)),
    "exp twice": signed(header(), json.dumps(claims())[:-1] + f', "exp": {NOW + 900}}}'),
    "sub twice": signed(header(), json.dumps(claims())[:-1] + ', "sub": "root"}'),
    "iat missing": signed(header(), claims(iat=None)),
    "iat in the future": signed(header(), claims(iat=NOW + 61)),
    "nbf in the future": signed(header(), claims(nbf=NOW + 61)),
    "nbf a text": signed(header(), claims(nbf="soon")),
    "iss missing": signed(header(), claims(iss=None)),
    "iss of another": signed(header(), claims(iss="evil")),
    "aud missing": signed(header(), claims(aud=None)),
    "aud of another": signed(header(), claims(aud="evil")),
    "aud a list": signed(header(), claims(aud=["windlass", "evil"])),
    "sub missing": signed(header(), claims(sub=None)),
    "sub empty": signed(header(), claims(sub="")),
    "sub a number": signed(header(), claims(sub=7)),
    "jti missing": signed(header(), claims(jti=None)),
    "key_id missing": signed(header(), claims(key_id=None)),
    "longer than 8 KiB": signed(header(), claims(more="x" * 8192)),
    "a node's": node_token(),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_users_tokens_is_refused(attack: str) -> None:
    assert refused(lambda: TOKENS.verify(ATTACKS[attack], now=START)) == "CREDENTIAL_INVALID"


def node_of(token: str, now: int = START) -> tuple[str, int]:
    found = verify_node(token, KEY.public_key().public_bytes_raw(), now=now)
    return found.node_id, found.expires_at


def test_a_nodes_token_is_verified_with_its_own_key() -> None:
    assert claimed_node(node_token()) == NODE
    assert node_of(node_token(iat=NOW + 60, exp=NOW + 360)) == (NODE, START + 360 * SECOND)
    assert refused(lambda: node_of(node_token(), START + 300 * SECOND)) == "CREDENTIAL_EXPIRED"


NODE_ATTACKS = {
    "signed by another": node_token(OTHER),
    "typ of a user": node_token(typ="at+jwt"),
    "a user's": signed(header(), claims()),
    "longer than 5 minutes": node_token(exp=NOW + 301),
    "exp missing": node_token(exp=None),
    "iat missing": node_token(iat=None),
    "from the future": node_token(iat=NOW + 61, exp=NOW + 300),
    "aud missing": node_token(aud=None),
    "aud of another": node_token(aud="evil"),
    "sub missing": node_token(sub=None),
}


@pytest.mark.parametrize("attack", NODE_ATTACKS)
def test_an_attack_on_nodes_tokens_is_refused(attack: str) -> None:
    assert refused(lambda: node_of(NODE_ATTACKS[attack])) == "CREDENTIAL_INVALID"


def test_a_key_that_is_no_key_refuses_the_token() -> None:
    assert refused(lambda: verify_node(node_token(), b"short", now=START)) == "CREDENTIAL_INVALID"
