"""Pages as JSON, element by element, so that an element seen before is not printed again.

Finding the elements in a page's bytes costs about a sixth of decoding and printing them.
"""

from collections.abc import Callable

from protobuf import DescMessage, ScalarType

from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.schema import FieldInfo, Schema, Shape
from windlass_server.turns import Turns

_LENGTH_DELIMITED = 2

Printer = Callable[[bytes], bytes]


class PagePrinter:
    """Prints messages of one type that has one list of messages and otherwise only scalars.

    Args:
        elements: its list of messages.
        style: one that prints defaults, so that a page without elements has a place for them.
        rest: prints a page without its elements.
        element: prints an element.
    """

    def __init__(
        self, elements: FieldInfo, style: JsonStyle, rest: Printer, element: Printer
    ) -> None:
        self._tag = elements.field.number << 3 | _LENGTH_DELIMITED
        name = elements.field.name if style.proto_names else elements.field.json_name
        # Quotes inside of a JSON text are escaped, so that this is found nowhere else.
        self._empty = f'"{name}":[]'.encode()
        self._opened = f'"{name}":['.encode()
        self._rest = rest
        self._element = element

    def __call__(self, message: bytes) -> bytes:
        """The JSON of a serialized page; raises ValueError when it is none."""
        elements, rest = split(message, self._tag)
        return self._page(rest, [*map(self._element, elements)])

    async def in_turns(self, message: bytes) -> bytes:
        """The same of a long page, while which is printed others get their turns."""
        elements, rest = split(message, self._tag)
        printed, turns = [], Turns()
        for element in elements:
            printed.append(self._element(element))
            await turns.give()
        return self._page(rest, printed)

    def _page(self, rest: bytes, elements: list[bytes]) -> bytes:
        printed = self._rest(rest)
        if not elements:
            return printed
        # Joined at once: a page may have megabytes, and to copy them takes as long as to find them.
        before, _, behind = printed.partition(self._empty)
        elements[0] = before + self._opened + elements[0]
        elements[-1] += b"]" + behind
        return b",".join(elements)


def page_elements(message: DescMessage, schema: Schema) -> FieldInfo | None:
    """The list of a type that is a page: one list of messages, and scalars; else None."""
    infos = {info.field.number: info for info in schema.fields(message).values()}
    lists = [one for one in infos.values() if one.shape is Shape.LIST and one.object is not None]
    rest = [one for one in infos.values() if one not in lists]
    if len(lists) != 1 or lists[0].field.number > 15:
        return None
    if not all(isinstance(one.value, ScalarType) and one.shape is Shape.ONE for one in rest):
        return None
    return lists[0]


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
