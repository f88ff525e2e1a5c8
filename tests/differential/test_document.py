from tests.differential.document import PAGE, page


def test_the_page_lists_the_differences_that_there_are():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `python -m tests.differential.document`"
