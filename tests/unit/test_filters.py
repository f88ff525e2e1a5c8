"""The `filter` of lists is read as AIP-160 says."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.errors import InvalidInput
from windlass_server.filters import Every, Expression, Negated, Restriction, Some, parse


def shown(expression: Expression | None) -> str:
    """An expression with all its brackets."""
    match expression:
        case Restriction(path, comparator, value, _, _):
            return "/".join(path) + comparator + value
        case Negated(part):
            return f"!{shown(part)}"
        case Every(parts):
            return "(" + " & ".join(map(shown, parts)) + ")"
        case Some(parts):
            return "(" + " | ".join(map(shown, parts)) + ")"
    return ""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        ("  ", ""),
        ("a = 1", "a=1"),
        ("a=1 AND b=2", "(a=1 & b=2)"),
        ("a=1 b=2", "(a=1 & b=2)"),
        # OR binds closer than AND.
        ("a=1 AND b=2 OR c=3", "(a=1 & (b=2 | c=3))"),
        ("(a=1 AND b=2) OR c=3", "((a=1 & b=2) | c=3)"),
        ("NOT a=1 OR b=2", "(!a=1 | b=2)"),
        ("NOT (a=1 OR b=2)", "!(a=1 | b=2)"),
        ("-a=1", "!a=1"),
        ("a=-5", "a=-5"),
        ("a=1.5", "a=1.5"),
        ("a<1 b<=1 c>1 d>=1 e!=1 f:1", "(a<1 & b<=1 & c>1 & d>=1 & e!=1 & f:1)"),
        ("labels.team=a-b", "labels/team=a-b"),
        ('labels."app.io/name":*', "labels/app.io/name:*"),
        ("name='two words'", "name=two words"),
        (r'name="a\"b\\c"', r'name=a"b\c'),
        # Words that only begin like operators are words.
        ("ORDER=1 NOTE=2 ANDROID=3", "(ORDER=1 & NOTE=2 & ANDROID=3)"),
        ("train", "train"),
    ],
)
def test_a_filter_is_read(text: str, read: str) -> None:
    assert shown(parse(text)) == read


@pytest.mark.parametrize(
    "text",
    [
        *("a =", "= 1", "a = 1 AND", "OR a = 1", "(a = 1", "a = 1)", "()", "a == 1", "a = 'b"),
        *("a = b c = = d", "a,b", "(" * 5000, "a." * 3),
        " ".join(f"a={number}" for number in range(65)),
    ],
)
def test_what_cannot_be_read_is_refused_with_words(text: str) -> None:
    with pytest.raises(InvalidInput, match="the filter ") as refused:
        parse(text)
    assert refused.value.reason == "FILTER_INVALID"
    assert [violation.field for violation in refused.value.violations] == ["filter"]


@given(st.text(alphabet="ab=<>!:()\"'\\-.* \tANDORNOT1é\x00", max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse(text)
