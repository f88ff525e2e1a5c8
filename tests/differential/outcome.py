"""What came of a request, in the parts that are compared."""

import base64
import json
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from tests.differential.raw_http import Reply
from windlass_server.gateway.envoy.answers import REFUSED

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
# Headers of answers that are always compared.
SHOWN = (
    *("allow", "www-authenticate", "retry-after", "cache-control", "accept-encoding"),
    *("x-content-type-options", "content-security-policy"),
)


@dataclass
class Outcome:
    """The parts.

    Attributes:
        request: the method that was reached and the messages that it got; empty when none was.
        status: of HTTP.
        media_type: of the answer, without parameters.
        body: the answer as data; of a stream its messages; None for a refusal of the front end's.
        code: gRPC code in the body of an error; 0 for none.
        reason: of the only ErrorInfo; empty for none.
        fields: the fields that a BadRequest names, sorted.
        end: how a stream ended: `end`, `silence`, `broken`, or the code of its error; empty for what
            is no stream.
        ids: of server-sent events.
        headers: those that are compared.
        metadata: what came along with the call, of the names that are compared.
        deadline: seconds that the call had left; None: not compared.
    """

    request: tuple[str, ...] = ()
    status: int = 200
    media_type: str = "application/json"
    body: Any = None
    code: int = 0
    reason: str = ""
    fields: tuple[str, ...] = ()
    end: str = ""
    ids: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str | None] = field(default_factory=dict)
    deadline: float | None = None

    def aspects(self, other: "Outcome") -> set[str]:
        """In which respects this outcome is not the other, which is the right one."""
        if other.status >= 400 and not other.request and self.status < 400:
            return {"accepts"}
        if other.status < 400 and self.status >= 400:
            return {"refuses"}
        differing = {
            each.name
            for each in fields(self)
            if not _same(getattr(self, each.name), getattr(other, each.name))
        }
        if self.reason == REFUSED and "reason" in differing:
            differing -= {"reason", "fields"}
            differing.add("words")
        return differing


def _same(one: Any, other: Any) -> bool:
    """Whether two parts are the same; of numbers of seconds, about the same."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= max(0.6, other / 100)
    return bool(one == other)


Form = Literal["json", "stream", "file", "head"]


def read(reply: Reply, shown: tuple[str, ...], form: Form) -> Outcome:
    """The outcome that an answer tells, but for what the backend knows.

    Args:
        reply: the answer.
        shown: names of headers that are compared besides the usual ones.
        form: what the body is, when it is no error.
    """
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
    outcome = Outcome(status=reply.status, media_type=media_type)
    names = (*SHOWN, *shown)
    outcome.headers = {name: reply.headers[name] for name in names if name in reply.headers}
    if form == "head" or reply.status == 204:
        return outcome
    if form == "stream" and reply.status == 200:
        _read_stream(outcome, reply)
    elif media_type == "application/json" and (form != "file" or reply.status >= 400):
        outcome.body = json.loads(reply.content) if not reply.broken else "(broken)"
    else:
        outcome.body = base64.b64encode(reply.content).decode()
    if reply.status >= 400:
        _read_error(outcome)
    return outcome


def _read_error(outcome: Outcome) -> None:
    if not isinstance(outcome.body, dict) or "code" not in outcome.body:
        return
    outcome.code = outcome.body["code"]
    details = outcome.body.get("details", [])
    infos = [each for each in details if each["@type"] == _ERROR_INFO]
    reasons = [each["reason"] for each in infos if "reason" in each]
    outcome.reason = ",".join(reasons)
    outcome.fields = tuple(
        sorted(
            violation["field"]
            for each in details
            if each["@type"] == _BAD_REQUEST
            for violation in each["field_violations"]
        )
    )


def _read_stream(outcome: Outcome, reply: Reply) -> None:
    try:
        if outcome.media_type == "text/event-stream":
            _read_events(outcome, reply.content.decode())
        elif outcome.media_type == "application/x-ndjson":
            lines = reply.content.decode().split("\n")
            _read_items(outcome, [json.loads(line) for line in lines if line])
        elif outcome.media_type == "application/json":
            _read_items(outcome, json.loads(reply.content))
        else:
            outcome.end = "broken"
    except ValueError:
        outcome.body, outcome.end = reply.content.decode(errors="replace"), "broken"
    if reply.broken:
        outcome.end = "broken"


def _read_items(outcome: Outcome, items: list[Any]) -> None:
    outcome.end = "end"
    if items and isinstance(items[-1], dict) and list(items[-1]) == ["error"]:
        outcome.end = str(items.pop()["error"]["code"])
    outcome.body = items


def _read_events(outcome: Outcome, text: str) -> None:
    outcome.end, items, ids = "silence", [], []
    for block in text.split("\n\n"):
        lines = [line.partition(":") for line in block.split("\n")]
        event = {name: value.removeprefix(" ") for name, _, value in lines}
        if "data" not in event:
            continue
        data = json.loads(event["data"])
        kind = event.get("event", "message")
        if kind == "message":
            items.append(data)
            ids.append(event.get("id", ""))
        else:
            outcome.end = "end" if kind == "end" else str(data["code"])
    outcome.body, outcome.ids = items, tuple(ids)
