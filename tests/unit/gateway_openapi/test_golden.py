"""The product's own page, as a file in which a change is seen."""

from tests.support.golden import FOLDER, openapi


def test_the_golden_page_is_what_the_contract_says():
    assert (FOLDER / "openapi.json").read_text() == openapi(), "run `make golden`"
