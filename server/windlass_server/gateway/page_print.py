"""Pages as JSON, element by element, so that an element seen before is not printed again.

A message's JSON depends on nothing but its bytes. The elements of a list change far less often than
the list is asked for, so the JSON of each is kept by its bytes. Finding the elements in a page's
bytes costs about a sixth of decoding and printing them.
"""

from protobuf import DescMessage, Message, Registry, ScalarType

from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle, print_message
from windlass_server.gateway.schema import FieldInfo, Schema, Shape

_LENGTH_DELIMITED = 2
# Elements kept by each printer, and the largest of them in bytes.
_KEPT = 8192
_LARGEST = 4096


class PagePrinter:
    """Prints messages of one type that has one list of messages and otherwise only scalars.

    Args:
        page: the message type.
        elements: its list of messages.
        style: one that prints defaults, so that a page without elements has a place for them.
    """

    def __init__(
        self, page: DescMessage, elements: FieldInfo, registry: Registry, style: JsonStyle
    ) -> None:
        assert elements.object is not None
        self._page: type[Message] = page.type
        self._element: type[Message] = elements.object.type
        self._tag = elements.field.number << 3 | _LENGTH_DELIMITED
        field = elements.field
        self._name = field.name if style.proto_names else field.json_name
        # Quotes inside of a JSON text are escaped, so that this is found nowhere else.
        self._empty = f'"{self._name}":[]'
        self._registry = registry
        self._style = style
        self._kept: dict[bytes, str] = {}

    def print(self, message: bytes) -> str:
        """The JSON of a serialized page; raises ValueError when it is none."""
        elements, rest = split(message, self._tag)
        printed = print_message(self._page.from_binary(rest), self._registry, self._style)
        if not elements:
            return printed
        joined = ",".join([self._kept.get(one) or self._print(one) for one in elements])
        return printed.replace(self._empty, f'"{self._name}":[{joined}]', 1)

    def _print(self, element: bytes) -> str:
        printed = print_message(self._element.from_binary(element), self._registry, self._style)
        if len(element) <= _LARGEST:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[element] = printed
        return printed


def page_printer(
    message: DescMessage, schema: Schema, style: JsonStyle = DEFAULT_STYLE
) -> PagePrinter | None:
    """A printer for a type that is a page: one list of messages, and scalars; else None."""
    if not style.defaults:
        return None
    infos = {info.field.number: info for info in schema.fields(message).values()}
    lists = [one for one in infos.values() if one.shape is Shape.LIST and one.object is not None]
    rest = [one for one in infos.values() if one not in lists]
    if len(lists) != 1 or lists[0].field.number > 15:
        return None
    if not all(isinstance(one.value, ScalarType) and one.shape is Shape.ONE for one in rest):
        return None
    return PagePrinter(message, lists[0], schema.registry, style)


def split(message: bytes, tag: int) -> tuple[list[bytes], bytes]:
    """The values of a length-delimited field whose tag is one byte, and what comes behind them.

    Only the values at the message's start are split off; every serializer writes a field's values
    one behind the other. Whatever does not look like one is left to the decoder, in the rest.
    """
    values: list[bytes] = []
    at, end = 0, len(message)
    while at < end and message[at] == tag:
        length, shift, next_at = 0, 0, at + 1
        while next_at < end and shift <= 28:
            byte = message[next_at]
            next_at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            break
        if next_at + length > end:
            break
        values.append(message[next_at : next_at + length])
        at = next_at + length
    return values, message[at:]
