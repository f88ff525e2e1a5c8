"""What a rule makes of a schema."""

from dataclasses import dataclass, field
from typing import Any

from windlass_server.gateway.openapi.values import Json


@dataclass(slots=True)
class Constraint:
    """Rules on one value in the words of JSON Schema.

    Attributes:
        keywords: keywords that narrow the schema.
        others: schemas of which each must hold, too.
        notes: sentences that say what no keyword can.
        refuses_zero: whether the zero value, which stands for an absent field, is refused.
    """

    keywords: Json = field(default_factory=dict)
    others: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refuses_zero: bool = False

    def narrow(self, schema: Json) -> Json:
        """The schema with the keywords."""
        narrowed = _narrow_number(schema, self.keywords) if "anyOf" in schema else None
        if narrowed is None:
            narrowed = _without_overruled(schema, self.keywords) | self.keywords
        if self.others:
            narrowed = narrowed | {"allOf": [*narrowed.get("allOf", []), *self.others]}
        return narrowed

    def allow_zero(self, schema: Json, zero: Any) -> Json:
        """The narrowed schema, which takes the zero value whatever the rules say."""
        if not self.refuses_zero:
            return self.narrow(schema)
        keywords = self.keywords
        allowed = {"pattern", "maxLength", "examples"}
        only_pattern = "pattern" in keywords and set(keywords) <= allowed
        if zero == "" and only_pattern and not self.others:
            return schema | keywords | {"pattern": f"^$|{keywords['pattern']}"}
        return {"anyOf": [{"const": zero}, self.narrow(schema)]}


def _without_overruled(schema: Json, keywords: Json) -> Json:
    """The schema without the type's own bounds where exclusive ones take their place."""
    overruled = {
        bound
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
        if exclusive in keywords
    }
    return {key: value for key, value in schema.items() if key not in overruled}


def _narrow_number(schema: Json, keywords: Json) -> Json | None:
    """A floating-point schema with bounds; its words go where the bounds exclude them."""
    number, words = schema["anyOf"][:2]
    if number.get("type") != "number":
        return None
    number = _without_overruled(number, keywords) | keywords
    number.pop("finite", None)
    low = {"minimum", "exclusiveMinimum"} & set(keywords)
    high = {"maximum", "exclusiveMaximum"} & set(keywords)
    listed = {"const", "enum", "finite"} & set(keywords)
    if listed or (low and high):
        left = []
    else:
        left = ["Infinity"] * (not high) + ["-Infinity"] * (not low)
        left = ["NaN", *left] if not (low or high) else left
    rest = schema["anyOf"][2:]
    outside = {key: value for key, value in schema.items() if key != "anyOf"}
    if not left and not rest:
        return number | outside
    return outside | {"anyOf": [number, *([words | {"enum": left}] if left else []), *rest]}
