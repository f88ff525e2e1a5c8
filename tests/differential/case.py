"""One request, and what is to become of it on every front end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.differential.backend import Script

JSON = (("content-type", "application/json"),)
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reaches:
    """The request becomes a call; what is answered, plain gRPC says.

    Attributes:
        rpc: `Service.Method` within `sample.v1`.
        messages: JSON of the request messages, written by hand.
        narrow: the field that the answer is narrowed to; empty: none.
        form: media type of a stream's answer, where `Accept` does not simply begin with it.
        metadata: what of these names has to come along with the call; None: nothing.
        deadline: seconds that the call may take; None: not compared.
        headers: that the answer has besides those that its metadata are.
        told: parts of the outcome that HTTP tells and gRPC has no words for.
    """

    rpc: str
    messages: tuple[Any, ...]
    narrow: str = ""
    form: str = ""
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    deadline: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The request is refused by the front end itself, or answered by it.

    Attributes:
        reason: of the ErrorInfo; empty when it is no error.
        code: gRPC code in the body.
        fields: the fields that are said to be wrong.
        headers: that the answer has.
    """

    status: int
    reason: str = ""
    code: int = 0
    fields: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A request and its outcome.

    Attributes:
        name: `table/what-it-is`.
        line: method and target, as in `GET /v1/things/x?flag=true`.
        shown: names of answer headers that are compared besides the usual ones.
    """

    name: str
    line: str
    expect: Reaches | Refused
    headers: Headers = ()
    body: bytes | None = None
    chunked: bool = False
    script: Script = field(default_factory=Script)
    shown: tuple[str, ...] = ()


def get(name: str, target: str, rpc: str, message: Any, **more: Any) -> Case:
    """A GET that becomes a call with one message."""
    expected = {each: more.pop(each) for each in _EXPECTED if each in more}
    return Case(name, f"GET {target}", Reaches(rpc, (message,), **expected), **more)


def send(name: str, line: str, body: str | bytes, rpc: str, message: Any, **more: Any) -> Case:
    """A request with a body of JSON that becomes a call."""
    raw = body.encode() if isinstance(body, str) else body
    headers = more.pop("headers", JSON)
    expect = Reaches(rpc, (message,), headers=more.pop("with_headers", {}))
    return Case(name, line, expect, headers=headers, body=raw, **more)


def refuse(name: str, line: str, status: int, reason: str, *fields: str, **more: Any) -> Case:
    """A request that is refused; with a body it is JSON unless its headers say otherwise."""
    body = more.pop("body", None)
    raw = body.encode() if isinstance(body, str) else body
    headers = more.pop("headers", JSON if raw is not None else ())
    code = more.pop("code", _CODES[status])
    with_headers = more.pop("with_headers", {})
    expect = Refused(status, reason, code, fields, with_headers)
    return Case(name, line, expect, headers=headers, body=raw, **more)


_EXPECTED = ("narrow", "form", "metadata", "deadline")
_CODES = {400: 3, 404: 5, 405: 12, 413: 8, 415: 3, 501: 12, 504: 4}


def table(prefix: str, cases: Iterable[Case]) -> list[Case]:
    """The cases of one table, with its name before theirs."""
    return [replace(case, name=f"{prefix}/{case.name}") for case in cases]
