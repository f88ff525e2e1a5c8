"""Serialized messages as JSON, made once for each type that is answered."""

from protobuf import DescMessage, Registry

from windlass_server.gateway.json_print import JsonStyle, print_field, print_message
from windlass_server.gateway.page_print import PagePrinter, Printer, page_elements
from windlass_server.gateway.remembered import Memory
from windlass_server.gateway.schema import Schema

# Of answers and of elements of pages, with their messages.
_MEMORY_BYTES = 32 << 20


class Printers:
    """The printers of all types."""

    def __init__(self, registry: Registry, schema: Schema, style: JsonStyle) -> None:
        self._registry = registry
        self._schema = schema
        self._style = style
        self._memory = Memory(_MEMORY_BYTES)
        self._made: dict[str, Printer] = {}

    def whole(self, message: DescMessage) -> Printer:
        """A function from a serialized message to its JSON; it raises ValueError when it is none."""
        elements = page_elements(message, self._schema) if self._style.defaults else None
        if elements is None:
            return self._plain(message)
        assert elements.object is not None
        return PagePrinter(
            elements, self._style, self._plain(message), self._plain(elements.object)
        )

    def field(self, message: DescMessage, name: str) -> Printer:
        """The same for one field, by the name that it is printed with."""

        def made(serialized: bytes) -> bytes:
            decoded = message.type.from_binary(serialized)
            return print_field(decoded, name, self._registry, self._style).encode()

        return self._memory.remember(made, len)

    def _plain(self, message: DescMessage) -> Printer:
        printer = self._made.get(message.type_name)
        if printer is None:
            kind = message.type

            def made(serialized: bytes) -> bytes:
                decoded = kind.from_binary(serialized)
                return print_message(decoded, self._registry, self._style).encode()

            printer = self._made[message.type_name] = self._memory.remember(made, len)
        return printer
