import pytest

from windlass_server.gateway.openapi.comments import Comments, split
from windlass_server.gateway.transcoder import Transcoder

SPLITS = [
    # comment, summary, description
    ("", "", ""),
    ("Reads a job.", "Reads a job", ""),
    ("Reads a job", "Reads a job", ""),
    ("Reads a\njob. NOT_FOUND\nwhen absent.", "Reads a job", "NOT_FOUND\nwhen absent."),
    ("Stops it: TERM, then KILL.", "Stops it", "Stops it: TERM, then KILL."),
    ("Version 1.5 of it. More.", "Version 1.5 of it", "More."),
    ("Long " * 30 + "end. More.", "", "Long " * 30 + "end. More."),
]


@pytest.mark.parametrize(("comment", "summary", "description"), SPLITS)
def test_the_first_sentence_is_the_summary(comment, summary, description):
    made = split(comment)
    assert (made.summary, made.description) == (summary, description)


def test_comments_are_found_where_they_stand(catalog_set):
    registry = Transcoder(catalog_set).registry
    service = registry.service("sample.v1.CatalogService")
    comments = Comments([service.file])
    item, query = (
        registry.message(f"sample.v1.{name}") for name in ("Item", "SearchItemsRequest.Query")
    )
    assert comments.of(service) == "Keeps items."
    assert comments.of(service.methods[0]) == "Makes an item. NOT_FOUND when its\nshelf is gone."
    assert comments.of(item) == "A thing in the catalog."
    assert comments.of(item.fields[1]) == "What it weighs, in grams."
    assert comments.of(query) == "A query."
    assert comments.of(query.fields[1]) == "Another query, which may have one, too."
    kind = registry.enum("sample.v1.Item.Kind")
    assert comments.of(kind) == "Kinds of items."
    assert comments.of_value(kind, "LARGE") == "Does not."


def test_a_descriptor_set_without_comments_has_none(sample_set):
    registry = Transcoder(sample_set).registry
    message = registry.message("sample.v1.Thing")
    assert Comments([message.file]).of(message) == ""
