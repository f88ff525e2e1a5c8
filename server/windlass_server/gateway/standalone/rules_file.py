"""HTTP rules beside a contract that has none of its own: a service configuration in YAML or JSON.

The file is a `google.api.Service`, of which only `http` is read, as Envoy's and grpc-gateway's users
have it:

    type: google.api.Service
    config_version: 3
    http:
      rules:
        - selector: grpc.health.v1.Health.Check
          get: /v1/health/{service}
"""

import json
from pathlib import Path
from typing import Any

import yaml
from google.api import http_pb2
from google.protobuf import json_format

from windlass_server.gateway.http_rules import RuleError


def read_rules_file(path: Path) -> list[http_pb2.HttpRule]:
    """The file's HTTP rules, in order.

    Raises:
        RuleError: the file cannot be read, is not YAML or JSON, or has no HTTP rules in it.
    """
    http = _load(path)
    try:
        rules = json_format.Parse(json.dumps(http), http_pb2.Http()).rules
    except (json_format.ParseError, TypeError, ValueError) as error:
        raise RuleError(f"{path}: {' '.join(str(error).split())}") from None
    if not rules:
        raise RuleError(f"{path} has no HTTP rules")
    return list(rules)


def _load(path: Path) -> Any:
    """The value of the file's `http`."""
    try:
        text = path.read_bytes()
        loaded: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise RuleError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise RuleError(f"{path} is not {kind}: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict) or "http" not in loaded:
        raise RuleError(f"{path} has no `http`, as a google.api.Service has it")
    return loaded["http"]
