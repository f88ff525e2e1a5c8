"""The policies and quotas of a server, as a file that `windlass simulate --policy` reads."""

import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from windlass_client.cli.session import Session

# What is of the server alone, and says nothing of what is wanted.
_NOT_SAID = ("use", "borrowed", "borrowable", "exceeded", "status_message", "etag")


def write_current(session: Session, file: Path) -> None:
    """Write what the scheduler of a server goes by now, as far as the caller may read it."""
    said: dict[str, Any] = {one.policy_id: _plain(one) for one in session.client.policies.list()}
    said.setdefault("default", {})
    said["quotas"] = [_plain(one) for one in session.client.quotas.list()]
    file.write_text(json.dumps(said, indent=2), encoding="utf-8")


def _plain(message: Message) -> dict[str, Any]:
    said = MessageToDict(message, preserving_proto_field_name=True)
    return {name: value for name, value in said.items() if name not in _NOT_SAID}
