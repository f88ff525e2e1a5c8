import re

import pytest

from windlass_server.gateway.openapi.patterns import to_ecma

SAME = [
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
    r"^[^\x00-\x1f\x7f]*$",
    r"\d+\.\d{1,3}|\w*?",
    "(?:ab)+",
    r"[\^\]\-]",
    r"a\/b\?",
]

RESPELLED = [
    (r"\Aa\z", "^a$", ["a"], ["ab", "ba"]),
    ("^[[:alpha:]_]+$", "^[A-Za-z_]+$", ["aZ_"], ["a1", ":"]),
    ("^[[:punct:]]$", r"^[!-\/:-@\[-`\{-~]$", ["!", "]", "[", "~"], ["a", " "]),
    ("^(?P<year>[0-9]{4})$", "^([0-9]{4})$", ["2030"], ["203"]),
    ("^(?<year>[0-9]{4})$", "^([0-9]{4})$", ["2030"], ["203"]),
    (r"^\Qa.b(\E$", r"^a\.b\($", ["a.b("], ["axb("]),
    (r"\Qa.b", r"a\.b", ["xa.b"], ["axb"]),
    (r"^a\-b\_c$", "^a-b_c$", ["a-b_c"], []),
    (r"^\x{41}\x{1F600}$", "^A\U0001f600$", ["A\U0001f600"], ["A"]),
    (r"^\x{2a}$", r"^\*$", ["*"], ["a"]),
    ("^[]a]+$", r"^[\]a]+$", ["]a"], ["b"]),
    ("^[^]a]$", r"^[^\]a]$", ["b"], ["]", "a"]),
    (r"^\a$", r"^\x07$", ["\x07"], ["a"]),
]

UNSAYABLE = ["(?i)abc", "(?s:.)", r"\pL", r"\p{Greek}", r"[\PN]", r"\101", r"\C", "[[:^alpha:]]"]


@pytest.mark.parametrize("pattern", SAME)
def test_what_both_spell_alike_stays(pattern):
    assert to_ecma(pattern) == pattern


@pytest.mark.parametrize(("pattern", "wanted", "matching", "others"), RESPELLED)
def test_what_they_spell_differently_is_respelled_and_means_the_same(
    pattern, wanted, matching, others
):
    assert to_ecma(pattern) == wanted
    assert all(re.search(wanted, text) for text in matching)
    assert not any(re.search(wanted, text) for text in others)


@pytest.mark.parametrize("pattern", UNSAYABLE)
def test_what_schemas_have_no_words_for_gives_no_pattern(pattern):
    assert to_ecma(pattern) is None
