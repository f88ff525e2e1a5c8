import pytest

from windlass_server.gateway.openapi.paths import openapi_path
from windlass_server.gateway.template import parse

PATHS = [
    # template, path, (placeholder, field, what the whole field looks like, several segments)
    ("/v1/items", "/v1/items", []),
    ("/v1/items/{id}", "/v1/items/{id}", [("id", "id", "", False)]),
    ("/v1/items/{item.id}:burn", "/v1/items/{item.id}:burn", [("item.id", "item.id", "", False)]),
    ("/v1/{a}/{b}", "/v1/{a}/{b}", [("a", "a", "", False), ("b", "b", "", False)]),
    ("/v1/{name=shelves/*}", "/v1/shelves/{shelves_id}",
     [("shelves_id", "name", "shelves/*", False)]),
    ("/v1/{name=shelves/*/books/*}:read", "/v1/shelves/{shelves_id}/books/{books_id}:read",
     [("shelves_id", "name", "shelves/*/books/*", False),
      ("books_id", "name", "shelves/*/books/*", False)]),
    ("/v1/files/{name=**}", "/v1/files/{name}", [("name", "name", "", True)]),
    ("/v1/{name=files/**}:read", "/v1/files/{files_path}:read",
     [("files_path", "name", "files/**", True)]),
    ("/v1/{name=*/*}", "/v1/{v1_id}/{segment_3}",
     [("v1_id", "name", "*/*", False), ("segment_3", "name", "*/*", False)]),
    ("/v1/*/**", "/v1/{v1_id}/{segment_3}", [("v1_id", "", "", False), ("segment_3", "", "", True)]),
    ("/*", "/{segment_1}", [("segment_1", "", "", False)]),
    # a made name never takes that of a variable
    ("/v1/{a=x/*}/{x_id}", "/v1/x/{segment_3}/{x_id}",
     [("segment_3", "a", "x/*", False), ("x_id", "x_id", "", False)]),
    # a variable may be all literal
    ("/v1/{name=operations}", "/v1/operations", []),
    ("/v1/a%20b/{id}", "/v1/a%20b/{id}", [("id", "id", "", False)]),
]  # fmt: skip


@pytest.mark.parametrize(("template", "path", "placeholders"), PATHS)
def test_a_template_is_written_as_openapi_has_it(template, path, placeholders):
    made = openapi_path(parse(template))
    assert made.text == path
    assert [(p.name, p.field, p.pattern, p.rest) for p in made.parameters] == placeholders
    assert made.fields == {variable.field for variable in parse(template).variables}
