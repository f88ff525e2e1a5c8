"""What an operation says, on a contract that has one of everything."""

import pytest

from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.openapi.document import About, openapi_document
from windlass_server.gateway.transcoder import Transcoder


@pytest.fixture(scope="module")
def paths(catalog):
    return catalog["paths"]


def body_of(operation, media="application/json"):
    return operation["requestBody"]["content"][media]["schema"]


def answer_of(operation, media="application/json"):
    return operation["responses"]["200"]["content"][media]["schema"]


def parameters_of(operation):
    return {each["name"]: each for each in operation["parameters"]}


def test_comments_are_summary_and_description_and_permissions_are_told(paths):
    created = paths["/v1/items"]["post"]
    assert created["summary"] == "Makes an item"
    assert created["description"] == (
        "NOT_FOUND when its\nshelf is gone.\n\nNeeds the permission `items.create`."
    )
    assert paths["/v1/items/{item_id}"]["put"]["summary"] == "ReplaceItem"


def test_deprecated_methods_and_fields_are_marked(paths):
    assert paths["/v1/items/{item_id}"]["put"]["deprecated"] is True
    assert "deprecated" not in paths["/v1/items/{item_id}"]["get"]
    assert parameters_of(paths["/v1/items:search"]["get"])["old"]["deprecated"] is True


def test_a_credential_is_asked_for_unless_the_method_is_public(catalog, paths):
    assert catalog["security"] == [{"bearer": []}]
    assert catalog["components"]["securitySchemes"]["bearer"] == {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key.",
    }
    assert paths["/v1/items:search"]["get"]["security"] == []
    assert "401" not in paths["/v1/items:search"]["get"]["responses"]
    assert "security" not in paths["/v1/items"]["post"]
    assert {"401", "403"} <= set(paths["/v1/items"]["post"]["responses"])


def test_a_credential_that_is_not_required_may_be_left_out(catalog_set):
    document = openapi_document(
        Transcoder(catalog_set).registry,
        ["sample.v1.CatalogService"],
        About("Catalog", "7", credential="Handed on.", credential_required=False),
    )
    assert document["security"] == [{}, {"bearer": []}]
    assert "401" not in document["paths"]["/v1/items"]["post"]["responses"]


def test_a_body_that_is_a_field_leaves_the_others_to_the_query(paths):
    created = paths["/v1/items"]["post"]
    assert body_of(created) == {"$ref": "#/components/schemas/sample.v1.Item-Input"}
    assert created["requestBody"]["required"] is True
    assert list(parameters_of(created)) == ["validate_only"]


def test_a_body_that_is_the_request_lacks_what_the_path_binds(paths):
    replaced = paths["/v1/items/{item_id}"]["put"]
    schema = body_of(replaced)
    assert list(schema["properties"]) == ["item", "update_mask"]
    assert schema["required"] == ["item"]
    assert schema["additionalProperties"] is False
    assert [(each["name"], each["in"]) for each in replaced["parameters"]] == [("item_id", "path")]


def test_query_parameters_are_the_fields_that_have_a_text_form(paths):
    found = parameters_of(paths["/v1/items:search"]["get"])
    assert list(found) == ["query.words", "kinds", "since", "max_weight", "limit", "old"]
    assert found["kinds"] == {
        "name": "kinds",
        "in": "query",
        "description": "Only of these kinds.",
        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/sample.v1.Item.Kind"}},
        "style": "form",
        "explode": True,
    }
    assert found["since"]["schema"]["format"] == "date-time"
    assert found["max_weight"]["schema"]["format"] == "int64"
    assert found["limit"]["required"] is True
    assert found["limit"]["schema"]["exclusiveMinimum"] == 0


def test_paths_of_several_segments_are_spelled_out(paths):
    shelved = parameters_of(paths["/v1/shelves/{shelves_id}/items/{items_id}"]["get"])
    assert shelved["items_id"]["description"] == (
        "A part of `item_id`, which is `shelves/*/items/*`. Which one."
    )
    rest = parameters_of(paths["/v1/{v1_id}/any/{item_id}"]["get"])["item_id"]
    assert rest["x-multi-segment"] is True
    assert "minLength" not in rest["schema"]
    assert parameters_of(paths["/v1/items/{item_id}"]["get"])["item_id"]["schema"] == {
        "type": "string",
        "minLength": 1,
    }


def test_methods_that_openapi_does_not_know_stand_apart(paths):
    others = paths["/v1/items:search"]["x-oai-additionalOperations"]
    assert list(others) == ["FIND"]
    assert others["FIND"]["x-grpc-method"] == "sample.v1.CatalogService/SearchItems"


def test_an_answer_that_is_a_field_has_the_schema_of_that_field(paths):
    named = paths["/v1/items:names"]["get"]
    assert answer_of(named) == {"type": "array", "items": {"type": "string"}}
    assert named["responses"]["200"]["description"] == "Their names."


def test_a_stream_has_three_forms_and_says_how_it_breaks(paths):
    watched = paths["/v1/items:watch"]["get"]
    content = watched["responses"]["200"]["content"]
    item = {"$ref": "#/components/schemas/sample.v1.Item"}
    assert list(content) == ["application/json", "application/x-ndjson", "text/event-stream"]
    elements = content["application/json"]["schema"]["items"]["anyOf"]
    assert elements[0] == item
    assert elements[1]["required"] == ["error"]
    assert content["text/event-stream"]["x-oai-itemSchema"] == item
    assert parameters_of(watched)["Last-Event-ID"]["in"] == "header"


def test_a_stream_of_requests_is_an_array_or_lines(paths):
    imported = paths["/v1/items:import"]["post"]
    item = {"$ref": "#/components/schemas/sample.v1.ReplaceItemRequest"}
    assert body_of(imported) == {"type": "array", "items": item}
    assert list(imported["requestBody"]["content"]) == ["application/json", "application/x-ndjson"]


def test_files_are_of_any_type(paths):
    stored = paths["/v1/items/{item_id}/picture"]["put"]["requestBody"]["content"]
    assert list(stored) == ["*/*", "multipart/form-data"]
    sent = paths["/v1/items/{item_id}/picture"]["get"]
    assert list(sent["responses"])[:4] == ["200", "206", "304", "416"]
    assert sent["responses"]["206"]["content"] == {"*/*": {"schema": {}}}
    assert [each["name"] for each in sent["parameters"]] == ["item_id", "Range", "If-None-Match"]


def test_errors_are_statuses_with_the_details_that_are_known(catalog):
    status = catalog["components"]["schemas"]["google.rpc.Status"]
    assert status["required"] == ["code", "message", "details"]
    details = status["properties"]["details"]["items"]["anyOf"]
    assert details[0]["allOf"][0] == {"$ref": "#/components/schemas/google.rpc.ErrorInfo"}
    assert details[-1]["required"] == ["@type"]
    example = catalog["components"]["responses"]["BadRequest"]["content"]["application/json"]
    assert example["example"]["details"][0]["domain"] == "sample"


ITEM = "sample.v1.Item"

ANSWERED = {
    # field, its schema as it is answered, without the description
    "item_id": {"type": "string"},
    "weight": {"type": "string", "format": "int64", "pattern": "^(0|-?[1-9][0-9]{0,18})$"},
    "kind": {"$ref": "#/components/schemas/sample.v1.Item.Kind"},
    "present": {"type": "boolean"},
    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/sample.v1.Item"}},
    "by_number": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "propertyNames": {"pattern": "^(0|-?[1-9][0-9]*)$"},
    },
    "by_truth": {
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/sample.v1.Item.Kind"},
        "propertyNames": {"enum": ["true", "false"]},
    },
    "thumbnail": {"type": "string", "format": "byte", "contentEncoding": "base64"},
    "fill": {
        "anyOf": [
            {"type": "number", "format": "double"},
            {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
        ]
    },
    "value": {},
    "list": {"type": "array", "items": {}},
    "maybe": {"type": ["string", "null"]},
    "shelf": {"type": "string"},
    "nowhere": {"$ref": "#/components/schemas/google.protobuf.Empty"},
    "nothing": {"type": "null"},
}


@pytest.mark.parametrize("field", ANSWERED)
def test_values_have_the_schema_of_their_json(field, catalog):
    schema = catalog["components"]["schemas"][ITEM]["properties"][field]
    described = {key: value for key, value in schema.items() if key != "description"}
    assert described == ANSWERED[field]


def test_what_is_answered_always_has_the_fields_without_presence(catalog):
    schema = catalog["components"]["schemas"][ITEM]
    optional = {name for name in schema["properties"] if name not in schema["required"]}
    assert optional == {
        "any", "box", "list", "maybe", "nowhere", "present", "shelf", "shelf_life", "value"
    }  # fmt: skip
    assert "additionalProperties" not in schema


def test_what_is_sent_may_lack_them_and_has_nothing_unknown(catalog):
    schema = catalog["components"]["schemas"][f"{ITEM}-Input"]
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    assert schema["properties"]["item_id"]["readOnly"] is True
    assert schema["properties"]["secret"]["writeOnly"] is True
    assert (
        schema["properties"]["weight"]["description"] == "What it weighs, in grams.\n\nAt least 0."
    )
    assert schema["properties"]["parts"]["items"] == {"$ref": f"#/components/schemas/{ITEM}-Input"}


def test_members_of_a_oneof_exclude_each_other(catalog):
    schema = catalog["components"]["schemas"][f"{ITEM}-Input"]
    assert schema["allOf"] == [
        {
            "not": {
                "anyOf": [
                    {"required": ["shelf", "box"]},
                    {"required": ["shelf", "nowhere"]},
                    {"required": ["box", "nowhere"]},
                ]
            }
        }
    ]
    assert schema["properties"]["box"]["description"] == "In a box.\n\nExcludes `shelf`, `nowhere`."


def test_enums_are_names_with_their_meanings(catalog):
    assert catalog["components"]["schemas"]["sample.v1.Item.Kind"] == {
        "type": "string",
        "title": "Item.Kind",
        "enum": ["KIND_UNSPECIFIED", "SMALL", "LARGE"],
        "description": (
            "Kinds of items.\n\n- `KIND_UNSPECIFIED`: Not said.\n- `SMALL`: Fits a hand.\n"
            "- `LARGE`: Does not."
        ),
    }


def test_another_style_of_json_has_other_names_and_fewer_promises(catalog_set):
    document = openapi_document(
        Transcoder(catalog_set).registry,
        ["sample.v1.CatalogService"],
        About("Catalog", "7"),
        style=JsonStyle(proto_names=False, defaults=False),
    )
    schemas = document["components"]["schemas"]
    assert {"byNumber", "shelfLife"} <= set(schemas[ITEM]["properties"])
    assert "required" not in schemas[ITEM]
    assert schemas["google.rpc.Status"]["required"] == ["code"]
    assert "maxWeight" in parameters_of(document["paths"]["/v1/items:search"]["get"])
    bad = document["components"]["responses"]["BadRequest"]["content"]["application/json"]
    assert "fieldViolations" in bad["example"]["details"][1]
