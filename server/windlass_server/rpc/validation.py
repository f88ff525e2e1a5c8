"""Checks request messages against the rules in the protos, and reports every violation."""

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.rpc.call import Call
from windlass_server.rpc.times import malformed_times


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
        fields = ", ".join(sorted({violation.field for violation in violations}))
        text = f"the request has {len(violations)} invalid field(s): {fields}"
        raise InvalidInput(text, reason="INVALID_FIELDS", violations=violations)


def _violation(found: Violation) -> FieldViolation:
    path = ""
    for element in found.proto.field.elements if found.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    rule = found.proto.rule_id.upper().replace(".", "_")
    return FieldViolation(path, found.proto.message, rule)
