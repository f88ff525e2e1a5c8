"""Mutations of JSON by its structure: what comes out is JSON still, unlike most of libFuzzer's own."""

import json
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor

from tests.support.json_bodies import LEAVES

_KEYS = ("", "a", "1", "-0", "true", "nope", "@type", "value")


def mutate(data: bytes, random: Random, message: Descriptor) -> bytes | None:
    """The body with one to three changes; None when it is not JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    names = [name for field in message.fields for name in (field.name, field.json_name)]
    for _ in range(random.randint(1, 3)):
        value = _changed(value, random, names)
    return json.dumps(value, separators=(",", ":")).encode()


def _changed(value: Any, random: Random, names: list[str]) -> Any:
    """The value with one change, in it or below it."""
    if isinstance(value, dict) and value and random.random() < 0.7:
        key = random.choice(list(value))
        return {**value, key: _changed(value[key], random, names)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        return [*value[:at], _changed(value[at], random, names), *value[at + 1 :]]
    return random.choice(_CHANGES)(value, random, names)


def _replaced(_value: Any, random: Random, _names: list[str]) -> Any:
    return random.choice(LEAVES)


def _extended(value: Any, random: Random, names: list[str]) -> Any:
    new = random.choice([random.choice(LEAVES), {}, [], [{}]])
    if isinstance(value, list):
        return [*value, new]
    key = random.choice([*_KEYS, *(random.choice(names) for _ in range(2 * len(_KEYS)))])
    return {**(value if isinstance(value, dict) else {}), key: new}


def _wrapped(value: Any, random: Random, names: list[str]) -> Any:
    return random.choice([[value], {random.choice(names): value}, [value, value]])


def _reduced(value: Any, random: Random, _names: list[str]) -> Any:
    if isinstance(value, dict) and value:
        gone = random.choice(list(value))
        return {key: each for key, each in value.items() if key != gone}
    return value[1:] if isinstance(value, (list, str)) else None


_CHANGES = (_replaced, _extended, _extended, _wrapped, _reduced)
