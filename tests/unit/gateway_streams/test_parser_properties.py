"""What holds for every stream, form, range and digest, however it comes in pieces."""

import base64
import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.headers import read_headers
from windlass_server.gateway.json_elements import ArrayElements, LineElements
from windlass_server.gateway.multipart import FormFile
from windlass_server.gateway.ranges import Unsatisfiable, requested_range, served_range

LIMIT = 10_000

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text('"\\[]{},:\n ä', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text('"]}', max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
spaces = st.text(" \t\r\n", max_size=3)


@st.composite
def pieces_of(draw, body):
    """The body in pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def cut(elements, pieces):
    found = [one for piece in pieces for one in elements.feed(piece)]
    return [json.loads(one) for one in (*found, *elements.end())]


@given(st.lists(values, max_size=5), spaces, st.booleans(), st.data())
def test_an_array_is_cut_into_its_elements(elements, space, escaped, data):
    texts = [json.dumps(one, ensure_ascii=escaped) for one in elements]
    between = f"{space},{space}"
    body = f"{space}[{space}{between.join(texts)}{space}]{space}".encode()
    assert cut(ArrayElements(LIMIT), data.draw(pieces_of(body))) == elements


@given(st.lists(values, max_size=5), st.sampled_from(["\n", "\r\n", "\n \n"]), st.data())
def test_lines_are_cut_at_their_ends(elements, line_break, data):
    body = "".join(json.dumps(one) + line_break for one in elements).encode()
    assert cut(LineElements(LIMIT), data.draw(pieces_of(body))) == elements


@given(st.lists(values, min_size=1, max_size=5), st.data())
def test_an_array_that_is_cut_off_is_refused(elements, data):
    body = json.dumps(elements).encode()
    short = body[: data.draw(st.integers(1, len(body) - 1))]
    with pytest.raises(Refusal):
        cut(ArrayElements(LIMIT), data.draw(pieces_of(short)))


texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\/'), max_size=8
)


@given(
    st.lists(st.tuples(texts, st.binary(max_size=30)), max_size=3),
    st.binary(max_size=60),
    texts.filter(lambda name: name.strip(". ") == name and name.isprintable()),
    st.data(),
)
def test_a_form_is_read_as_it_was_written(fields, content, filename, data):
    everything = b"".join([content, *(value for _, value in fields)])
    assume(b"--edge" not in everything)
    fields = [(name, value.decode("latin-1").encode()) for name, value in fields]
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + value
        + b"\r\n"
        for name, value in fields
    ]
    head = f'--edge\r\ncontent-disposition: form-data; name="f"; filename="{filename}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), content, b"\r\n--edge--\r\n"])
    form = FormFile("multipart/form-data; boundary=edge")
    read = b"".join(b"".join(form.feed(piece)) for piece in data.draw(pieces_of(body)))
    form.end()
    assert (read, form.filename) == (content, filename)
    assert form.fields == [(name, value.decode()) for name, value in fields]


@given(
    st.integers(0, 12),
    st.one_of(st.none(), st.integers(0, 14)),
    st.one_of(st.none(), st.integers(0, 14)),
)
def test_a_range_is_what_it_takes_of_the_bytes(size, first, last):
    whole = bytes(range(size))
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = whole[-last:] if last else b""
    else:
        expected = whole[first:] if last is None else whole[first : last + 1]
    try:
        part = requested_range(text, size)
    except Unsatisfiable:
        assert expected == b""
        return
    if part is None:
        assert (first is None and last is None) or (
            first is not None and last is not None and last < first
        )
        return
    assert whole[part.first : part.last + 1] == expected
    assert part.length == len(expected)
    assert served_range(str(part)) == part


@given(st.binary(max_size=40), st.sampled_from(["sha-256", "sha-512"]), st.booleans(), st.data())
def test_a_digest_takes_its_body_and_no_other(body, algorithm, right, data):
    said = body if right else body + b"."
    digest = hashlib.new(algorithm.replace("-", ""), said).digest()
    header = f"{algorithm}=:{base64.b64encode(digest).decode()}:"
    digests = BodyDigests(read_headers([(b"content-digest", header.encode())]))
    for piece in data.draw(pieces_of(body)):
        digests.update(piece)
    if right:
        digests.verify()
    else:
        with pytest.raises(Refusal):
            digests.verify()
