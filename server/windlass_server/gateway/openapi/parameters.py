"""The parameters of an operation: path, query and the header that resumes a stream."""

from collections.abc import Collection, Iterator

from protobuf import DescMessage

from windlass_server.gateway.fields import UnknownField, resolve
from windlass_server.gateway.openapi.constraints import Constrained
from windlass_server.gateway.openapi.options import Options
from windlass_server.gateway.openapi.paths import PathParameter
from windlass_server.gateway.openapi.schemas import Schemas
from windlass_server.gateway.openapi.values import Json
from windlass_server.gateway.schema import FREE_FORM, FieldInfo, Schema, Shape

LAST_EVENT_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": (
        "With `Accept: text/event-stream`: the `id` of the last event that was received; the stream "
        "goes on behind it. Wins over the query's `cursor`."
    ),
    "schema": {"type": "string"},
}

RANGE: Json = {
    "name": "Range",
    "in": "header",
    "description": "A part of the file, such as `bytes=1024-`; served where its size is known.",
    "schema": {"type": "string"},
}
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "`ETag`s of files that the caller has.",
    "schema": {"type": "string"},
}


class Parameters:
    """Makes the parameter objects of operations."""

    def __init__(self, schema: Schema, schemas: Schemas, options: Options) -> None:
        self._schema = schema
        self._schemas = schemas
        self._options = options

    def of_path(self, message: DescMessage, placeholder: PathParameter) -> Json:
        """The parameter of one placeholder."""
        made: Json = {"name": placeholder.name, "in": "path", "required": True}
        info = self._leaf(message, placeholder.field)
        if info is None:
            made["description"] = "Any text; it is not read."
            made["schema"] = {"type": "string"}
        elif placeholder.pattern:
            made["description"] = (
                f"A part of `{placeholder.field}`, which is `{placeholder.pattern}`. "
                + self._schemas.describe(info, Constrained({}))
            ).strip()
            made["schema"] = {"type": "string"}
        else:
            made |= self._described(info)
        if placeholder.rest:
            made["x-multi-segment"] = True
            note = "May hold several segments; a `/` in it is sent as it is."
            made["description"] = f"{made.get('description', '')}\n\n{note}".strip()
        elif made["schema"].get("type") == "string" and "enum" not in made["schema"]:
            # No path has an empty segment.
            made["schema"] = {"minLength": 1} | made["schema"]
        return made

    def of_query(self, message: DescMessage, taken: Collection[str]) -> list[Json]:
        """The parameters that a query can have: fields with a text form that nothing else binds.

        Args:
            message: the request.
            taken: dotted paths that the path or the body binds, with all that is below them.
        """
        return list(self._walk(message, "", "", frozenset(taken), (), required=True))

    def _walk(
        self,
        message: DescMessage,
        path: str,
        shown: str,
        taken: frozenset[str],
        above: tuple[str, ...],
        *,
        required: bool,
    ) -> Iterator[Json]:
        """The parameters below a message; one that contains itself is not followed again."""
        way = (*above, message.type_name)
        for field in message.fields:
            info = self._schema.fields(message)[field.name]
            dotted, name = path + field.name, shown + self._schemas.name(field)
            if dotted in taken or "OUTPUT_ONLY" in self._options.of_field(field).behaviors:
                continue
            if info.object is None:
                if _has_text(info):
                    yield self._query_parameter(info, name, required=required)
            elif info.shape is Shape.ONE and info.object.type_name not in way:
                must = required and self._options.of_field(field).required
                yield from self._walk(
                    info.object, f"{dotted}.", f"{name}.", taken, way, required=must
                )

    def _query_parameter(self, info: FieldInfo, name: str, *, required: bool) -> Json:
        made: Json = {"name": name, "in": "query"}
        if required and self._schemas.text(info).required:
            made["required"] = True
        made |= self._described(info)
        if info.shape is Shape.LIST:
            made |= {"style": "form", "explode": True}
        return made

    def _described(self, info: FieldInfo) -> Json:
        """Description, schema and what else is said of the field."""
        constrained = self._schemas.text(info)
        made: Json = {}
        if description := self._schemas.describe(info, constrained):
            made["description"] = description
        if info.field.deprecated:
            made["deprecated"] = True
        made["schema"] = constrained.schema
        return made

    def _leaf(self, message: DescMessage, dotted: str) -> FieldInfo | None:
        try:
            return resolve(self._schema, message, dotted).leaf
        except UnknownField:
            return None


def _has_text(info: FieldInfo) -> bool:
    """Whether the field's values, or its elements, have a text form."""
    free = getattr(info.value, "type_name", "") in FREE_FORM
    return info.shape is not Shape.MAP and not free
