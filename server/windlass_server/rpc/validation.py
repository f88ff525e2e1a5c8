"""Checks request messages against the rules in the protos, and reports every violation."""

from collections.abc import Sequence

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.rpc.call import Call
from windlass_server.rpc.times import malformed_times

# A gRPC client takes 8 KiB of what an error says: the message names the first fields, and of a map's
# key, which is the caller's and may be of any length, the first characters.
_MOST_NAMED = 5
_KEY_CHARS = 32


class Validation:
    """Raises InvalidInput with one violation for each rule that is broken."""

    def __init__(self) -> None:
        self._validator = Validator()

    async def __call__(self, call: Call, request: Message | None) -> None:
        if request is not None:
            self.check(request)

    def check(self, message: Message) -> None:
        """Check one message, such as each of a client's stream."""
        found = self._validator.collect_violations(message)
        violations = (*map(_violation, found), *malformed_times(message))
        if not violations:
            return
        text = f"the request has {len(violations)} invalid field(s): {_named(violations)}"
        raise InvalidInput(text, reason="INVALID_FIELDS", violations=violations)


def _named(violations: Sequence[FieldViolation]) -> str:
    fields = sorted({violation.field for violation in violations})
    others = len(fields) - _MOST_NAMED
    return ", ".join(fields[:_MOST_NAMED]) + (f" and {others} more" if others > 0 else "")


def _violation(found: Violation) -> FieldViolation:
    path = ""
    for element in found.proto.field.elements if found.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{str(element.subscript.value)[:_KEY_CHARS]}]"
    rule = found.proto.rule_id.upper().replace(".", "_")
    return FieldViolation(path, found.proto.message, rule)
