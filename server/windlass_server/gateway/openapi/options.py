"""What the options of a contract's fields and methods say to a reader of its OpenAPI page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescMessage, DescMethod, DescOneof, Message, Registry

from windlass_server.gateway.http_rules import option

Rules = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """Options of one field.

    Attributes:
        behaviors: names of `google.api.field_behavior`, such as `REQUIRED`.
        rules: its protovalidate rules, `buf.validate.FieldRules`; None when it has none.
    """

    behaviors: frozenset[str]
    rules: Any

    @property
    def required(self) -> bool:
        """Whether a caller has to give the field."""
        return "REQUIRED" in self.behaviors or bool(given(self.rules).get("required"))


class Options:
    """Reads the options that a descriptor set's extensions define; unknown ones are as if unset."""

    def __init__(self, registry: Registry, authz_extension: str | None) -> None:
        self._registry = registry
        self._authz_extension = authz_extension

    def of_field(self, field: DescField) -> FieldOptions:
        """The behaviors and rules of a field."""
        behaviors = self._get(field, "google.api.field_behavior") or ()
        return FieldOptions(
            frozenset(behavior.name for behavior in behaviors),
            self._get(field, "buf.validate.field"),
        )

    def message_rules(self, message: DescMessage) -> Rules:
        """The protovalidate rules of a message as a whole."""
        return given(self._get(message, "buf.validate.message"))

    def oneof_is_required(self, oneof: DescOneof) -> bool:
        """Whether protovalidate wants one member of the oneof to be set."""
        return bool(given(self._get(oneof, "buf.validate.oneof")).get("required"))

    def authz(self, method: DescMethod) -> Rules:
        """Who may call the method, as the contract's own option says."""
        if self._authz_extension is None:
            return {}
        return given(self._get(method, self._authz_extension))

    def _get(self, described: Any, name: str) -> Any:
        return option(self._registry, described.proto.options, name)


def given(message: Message | None) -> Rules:
    """The fields of a message that are set, by their names."""
    if message is None:
        return {}
    return {field.name: message[field] for field in message}
