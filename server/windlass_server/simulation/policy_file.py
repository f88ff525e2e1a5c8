"""Reads a policy of the scheduler, as `windlass policies set --file` has it, to play under it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import protovalidate
import yaml
from google.protobuf.json_format import ParseDict, ParseError

from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.resources.scheduling_policy_message import policy_of
from windlass_server.scheduler.policies import Policies, Policy
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.turns import Turns

_DEFAULT, _QUEUE, _POOL = "default", "queue.", "pool."
_MOST_BYTES = 1 << 20


def read(file: Path) -> Turns:
    """What a file says: the policy of everything, or several of them by their ids.

    Raises:
        TraceError: the file cannot be read, or is no such policy; with what is wrong.
    """
    content = _content(file)
    if not isinstance(content, dict):
        raise TraceError(
            f"{file}: a policy is a mapping, such as `fair_share: {{half_life: 86400s}}`"
        )
    by_id = any(_is_id(key) for key in content)
    said = content if by_id else {_DEFAULT: content}
    policies = {str(key): _policy(file, str(key), value) for key, value in said.items()}
    found = Policies(
        policies.get(_DEFAULT, Policy()),
        dict(_named(policies, _QUEUE)),
        dict(_named(policies, _POOL)),
    )
    return Turns(file.name, found)


def _content(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{file}: {error.strerror or error}") from None
    if len(text) > _MOST_BYTES:
        raise TraceError(f"{file}: a policy of more than a MiB")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise TraceError(f"{file}: this is neither YAML nor JSON: {_line(error)}") from None


def _is_id(key: object) -> bool:
    return isinstance(key, str) and (key == _DEFAULT or key.startswith((_QUEUE, _POOL)))


def _policy(file: Path, policy_id: str, value: Any) -> Policy:
    message = scheduling_policy_pb2.SchedulingPolicy()
    try:
        ParseDict(value if value is not None else {}, message)
        message.policy_id = policy_id
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        what = "; ".join(_violations(error))
    except (ParseError, AttributeError, TypeError, ValueError) as error:
        what = _line(error)
    else:
        return policy_of(message)
    raise TraceError(f"{file}: {policy_id}: {what}") from None


def _violations(error: protovalidate.ValidationError) -> Iterator[str]:
    for violation in error.violations:
        field = violation.proto.field
        path = ".".join(part.field_name for part in field.elements) if field is not None else ""
        yield f"{path}: {violation.proto.message}"


def _named(policies: Mapping[str, Policy], prefix: str) -> Iterator[tuple[str, Policy]]:
    for policy_id, policy in policies.items():
        if policy_id.startswith(prefix):
            yield policy_id.removeprefix(prefix), policy


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
