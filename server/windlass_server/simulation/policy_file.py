"""Reads a policy of the scheduler, as `windlass policies set --file` has it, to play under it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import protovalidate
import yaml
from google.protobuf.json_format import ParseDict, ParseError

from windlass.access.v1 import quota_pb2
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.access.quota_fields import columns_of, require_sound
from windlass_server.errors import InvalidInput
from windlass_server.resources.scheduling_policy_message import policy_of
from windlass_server.scheduler.policies import Policies, Policy
from windlass_server.scheduler.quota import AMOUNTS, Dimension, Quota
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.turns import Turns

_DEFAULT, _QUEUE, _POOL = "default", "queue.", "pool."
_QUOTAS = "quotas"
_MOST_QUOTAS = 10_000
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
    quotas = _quotas(file, content.pop(_QUOTAS, None))
    by_id = any(_is_id(key) for key in content)
    said = content if by_id or not content else {_DEFAULT: content}
    policies = {str(key): _policy(file, str(key), value) for key, value in said.items()}
    found = Policies(
        policies.get(_DEFAULT, Policy()),
        dict(_named(policies, _QUEUE)),
        dict(_named(policies, _POOL)),
    )
    return Turns(file.name, found, quotas=quotas)


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


def _quotas(file: Path, said: Any) -> tuple[Quota, ...]:
    """Quotas as `windlass quotas list --output json` has them; what they say of use is not read."""
    if said is None:
        return ()
    if isinstance(said, dict) and said.keys() <= {_QUOTAS, "next_page_token"}:
        said = said.get(_QUOTAS, [])
    if not isinstance(said, list) or len(said) > _MOST_QUOTAS:
        raise TraceError(f"{file}: quotas: a list of at most {_MOST_QUOTAS} quotas")
    found: dict[tuple[str, str, str], Quota] = {}
    for number, value in enumerate(said):
        quota = _quota(file, number, value)
        key = quota.project, quota.user, quota.gpu_key
        if key in found:
            raise TraceError(f"{file}: quotas[{number}]: there is another one of the same owner")
        found[key] = quota
    return tuple(found.values())


def _quota(file: Path, number: int, value: Any) -> Quota:
    message = quota_pb2.Quota()
    try:
        ParseDict(value, message)
        protovalidate.validate(message)
        if not message.project:
            raise ValueError("project: a quota is of a project")
        require_sound(message)
    except protovalidate.ValidationError as error:
        what = "; ".join(_violations(error))
    except (ParseError, AttributeError, TypeError, ValueError, InvalidInput) as error:
        what = _line(error)
    else:
        columns = columns_of(message)

        def amounts(prefix: str, dimensions: Sequence[Dimension]) -> dict[Dimension, int]:
            values = ((one, columns[f"{prefix}_{one}"]) for one in dimensions)
            return {one: value for one, value in values if value is not None}

        return Quota(
            quota_id=f"quota-{number:05}",
            project=message.project,
            user=message.user,
            gpu_type=message.gpu_type,
            cohort=message.cohort,
            guaranteed=amounts("guaranteed", AMOUNTS),
            borrowing=amounts("borrowing", AMOUNTS),
            limit=amounts("limit", tuple(Dimension)),
        )
    raise TraceError(f"{file}: quotas[{number}]: {what}") from None


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
