"""Checks request messages against the rules in the protos, and reports every violation."""

from collections.abc import Sequence

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.rpc.pattern_words import WORDS
from windlass_server.rpc.times import malformed_times

# A gRPC client takes 8 KiB of what an error says: the message names the first fields, and of a map's
# key, which is the caller's and may be of any length, the first characters.
_MOST_NAMED = 5
# At most about 1 MiB is remembered.
_REMEMBERED_BYTES = 128
_REMEMBERED = 4096
_KEY_CHARS = 32


class Validation:
    """Raises InvalidInput with one violation for each rule that a message breaks."""

    def __init__(self) -> None:
        self._validator = Validator()
        self._good: set[tuple[str, bytes]] = set()

    def check_request(self, method: str, request: bytes, message: Message) -> None:
        """Check a request of a method, in both its forms.

        Whether bytes keep to the rules never changes, so that short ones that did are remembered:
        who waits for a job or shows a list asks the same again and again.
        """
        if (method, request) in self._good:
            return
        self.check(message)
        if len(request) <= _REMEMBERED_BYTES:
            if len(self._good) >= _REMEMBERED:
                self._good.clear()
            self._good.add((method, request))

    def check(self, message: Message) -> None:
        """Check one message, such as each of a client's stream."""
        found = self._validator.collect_violations(message)
        malformed = malformed_times(message)
        if not found and not malformed:
            return
        violations = (*map(_violation, found), *malformed)
        fields = sorted({violation.field for violation in violations})
        text = f"the request has {len(fields)} invalid field(s): {_named(fields)}"
        raise InvalidInput(text, reason="INVALID_FIELDS", violations=violations)


def _named(fields: Sequence[str]) -> str:
    others = len(fields) - _MOST_NAMED
    return ", ".join(fields[:_MOST_NAMED]) + (f" and {others} more" if others > 0 else "")


def _violation(found: Violation) -> FieldViolation:
    path = ""
    for element in found.proto.field.elements if found.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{str(element.subscript.value)[:_KEY_CHARS]}]"
    rule = found.proto.rule_id.upper().replace(".", "_")
    return FieldViolation(path, _text(found), rule)


def _text(found: Violation) -> str:
    """What is wrong in words, where protovalidate shows the pattern itself."""
    if found.proto.rule_id == "string.pattern" and isinstance(found.rule_value, str):
        return WORDS.get(found.rule_value, found.proto.message)
    return found.proto.message
