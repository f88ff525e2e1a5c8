"""Inputs that once broke an invariant, by target; they are checked with the tests."""

REGRESSIONS: dict[str, tuple[bytes, ...]] = {
    "json": (
        b'{"update_mask":","}',  # could be read, and not printed
        b'{"by_number":{"1":"x","+1":"y"}}',  # one key, given twice
        b'{"time":"2030-01-+1T12:00:00Z"}',  # no time
        b'{"kind":"8446744073709551615"}',  # could be read, and not serialized
    ),
    "request": (
        b'PUT /v1/things/a\n\n{"update_mask":"line_1"}',
        b"GET /v1/things/a?update_mask=a__b",
    ),
}
