"""Inputs that once broke an invariant, by target; they are checked with the tests."""

REGRESSIONS: dict[str, tuple[bytes, ...]] = {
    "template": (b"/*" * 1000,),  # could be read, and not looked up
    "json": (
        b'{"update_mask":","}',  # could be read, and not printed
        b'{"by_number":{"1":"x","+1":"y"}}',  # one key, given twice
        b'{"time":"2030-01-+1T12:00:00Z"}',  # no time
        b'{"kind":"8446744073709551615"}',  # could be read, and not serialized
        b'{"any":{"@type":"type.googleapis.com/a/google.protobuf.Duration","value":"0s"}}',
    ),
    "form": (b'mu/foa; boundary="a b"\n\n\r\xc4\n--a b--',),  # read otherwise in pieces
    "headers": (
        b"content-disposition: a; filename*=UTF-8\0'en'a",  # no character set
        b"content-disposition: a; filename*0*=a; filename*=UTF-8''b",  # whole, and in parts
    ),
    "stream": (b"a [\x00]\x00",),  # no JSON, but in UTF-16
    "request": (
        b'PUT /v1/things/a\n\n{"update_mask":"line_1"}',
        b"GET /v1/things/a?update_mask=a__b",
    ),
}
