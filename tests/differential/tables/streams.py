"""Streams in every direction and every form, and files."""

import base64
import hashlib
import json
from dataclasses import replace

from tests.differential.backend import Failure, Script
from tests.differential.case import JSON, Case, Reaches, refuse, table

WATCH = "ShelfService.WatchThings"
ITEMS = tuple({"cursor": str(n), "thing": {"name": "x", "i64": str(n)}} for n in range(3))
INFO = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "SHELF_FELL",
    "domain": "sample",
    "metadata": {},
}
FAILURE = Failure(15, "the shelf fell", (INFO,))
FORMS = {
    "array": "application/json",
    "lines": "application/x-ndjson",
    "events": "text/event-stream",
}


def watch(name, accept, script, target="/v1/watch/t", message=None, **more):
    headers = (("accept", accept),) if accept else ()
    expect = Reaches(WATCH, (message or {"topic": "t"},))
    return Case(name, f"GET {target}", expect, headers=headers, script=script, **more)


def in_every_form(name, script, **more):
    return [watch(f"{name}-as-{form}", accept, script, **more) for form, accept in FORMS.items()]


def accepted(name, accept, form):
    """`Accept` in other words; the form that is right is named by its usual words."""
    case = watch(name, accept, Script(items=ITEMS))
    return replace(case, expect=Reaches(WATCH, ({"topic": "t"},), form=FORMS[form]))


FROM_SERVER = table(
    "streams",
    [
        *in_every_form("three", Script(items=ITEMS)),
        *in_every_form("one", Script(items=ITEMS[:1])),
        *in_every_form("none", Script()),
        *in_every_form("special-text", Script(items=({"thing": {"text": 'a\n\nb "c" ä\u2028'}},))),
        *in_every_form("failed-before-the-first", Script(failure=FAILURE)),
        *in_every_form("failed-after-three", Script(items=ITEMS, failure=FAILURE)),
        watch("without-accept", "", Script(items=ITEMS)),
        watch("with-parameters", "", Script(items=ITEMS), "/v1/watch/t?cursor=5&follow=true",
              {"topic": "t", "cursor": "5", "follow": True}),
        watch("with-anything-accepted", "*/*", Script(items=ITEMS)),
        accepted("events-in-capitals", "Text/Event-Stream", "events"),
        accepted("events-before-json", "text/event-stream, application/json", "events"),
        accepted("json-before-events", "application/json, text/event-stream", "array"),
        accepted("events-after-something", "text/html, text/event-stream", "events"),
        accepted("lines-with-a-parameter", "application/x-ndjson; charset=utf-8", "lines"),
        accepted("by-quality", "application/json;q=0.5, text/event-stream", "events"),
        accepted("by-quality-against-order", "text/event-stream;q=0.1, application/json", "array"),
        accepted("not-at-all-events", "text/event-stream;q=0", "array"),
        Case("resumed", "GET /v1/watch/t", Reaches(WATCH, ({"topic": "t", "cursor": "7"},)),
             headers=(("accept", "text/event-stream"), ("last-event-id", "7")),
             script=Script(items=ITEMS)),
        Case("head", "HEAD /v1/watch/t", Reaches(WATCH, ({"topic": "t"},)),
             script=Script(items=ITEMS)),
        refuse("another-method", "DELETE /v1/watch/t", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "GET, HEAD, OPTIONS"}),
        refuse("unknown-parameter", "GET /v1/watch/t?nonsense=1", 400, "UNKNOWN_PARAMETER",
               "nonsense", headers=(("accept", "text/event-stream"),)),
    ],
)  # fmt: skip

COLLECT = "StreamService.Collect"
CHAT = "StreamService.Chat"
LINES = (("content-type", "application/x-ndjson"),)


def collect(name, body, *messages, line="POST /v1/rooms/r/notes:collect", headers=JSON, **more):
    reply = {"room": "r", "count": len(messages)}
    raw = body.encode() if isinstance(body, str) else body
    return Case(name, line, Reaches(COLLECT, messages), headers=headers, body=raw,
                script=Script(reply=reply), **more)  # fmt: skip


def bad_notes(name, body, reason, *fields, **more):
    return refuse(name, "POST /v1/rooms/r/notes:collect", 400, reason, *fields, body=body, **more)


NOTES = ({"room": "r", "text": "a"}, {"text": "b", "number": 2})
NOTES_JSON = '[{"text": "a"}, {"text": "b", "number": 2}]'

FROM_CLIENT = table(
    "client-streams",
    [
        collect("an-array", NOTES_JSON, *NOTES),
        collect("an-array-in-chunks", NOTES_JSON, *NOTES, chunked=True),
        collect("an-array-with-white-space", " [ {\n\"text\": \"a\" } ] ", NOTES[0]),
        collect("an-empty-array", "[]"),
        collect("no-body", None, headers=()),
        collect("lines", '{"text": "a"}\n{"text": "b", "number": 2}\n', *NOTES, headers=LINES),
        collect("a-field-of-each", '[{"text": "a"}, {"tags": ["b"]}]',
                {"room": "r", "detail": {"text": "a"}}, {"detail": {"tags": ["b"]}},
                line="POST /v1/rooms/r/details:collect"),
        collect("one-without-a-body", None, {"room": "r", "text": "a"},
                line="GET /v1/rooms/r/notes:collect?text=a", headers=()),
        bad_notes("a-bad-element", '[{"text": "a"}, {"number": "x"}]', "INVALID_FIELD_VALUE",
                  "[1].number"),
        bad_notes("an-unknown-field", '[{"nonsense": 1}]', "UNKNOWN_FIELD", "[0].nonsense"),
        bad_notes("an-object", '{"text": "a"}', "MALFORMED_JSON"),
        bad_notes("cut-short", '[{"text": "a"}', "MALFORMED_JSON"),
        refuse("text", "POST /v1/rooms/r/notes:collect", 415, "UNSUPPORTED_MEDIA_TYPE",
                    body="a", headers=(("content-type", "text/plain"),)),
        Case("both-ways", "POST /v1/rooms/r:chat", Reaches(CHAT, NOTES), headers=JSON,
             body=NOTES_JSON.encode()),
        Case("both-ways-as-lines", "POST /v1/rooms/r:chat", Reaches(CHAT, NOTES),
             headers=(*JSON, ("accept", "application/x-ndjson")), body=NOTES_JSON.encode()),
        Case("failed", "POST /v1/rooms/r/notes:collect", Reaches(COLLECT, NOTES), headers=JSON,
             body=NOTES_JSON.encode(), script=Script(failure=FAILURE)),
    ],
)  # fmt: skip

DATA = bytes(range(256))
PNG = (("content-type", "image/png"),)


def b64(data):
    return base64.b64encode(data).decode()


def download(name, line, rpc, script, narrow=""):
    return Case(name, line, Reaches(rpc, ({"name": "f"},), narrow), script=script)


def upload(name, line, rpc, message, body=DATA, headers=PNG, **more):
    script = Script(reply={"name": "f", "size": str(len(body))})
    return Case(name, line, Reaches(rpc, (message,)), headers=headers, body=body, script=script,
                **more)  # fmt: skip


CONTENT = {"content_type": "image/png", "data": b64(DATA)}
FILE = {"name": "f", "content": CONTENT}
PIECES = Script(items=({**CONTENT, "data": b64(DATA[:100])}, {"data": b64(DATA[100:])}))

SIZED = Script(reply=CONTENT, headers=(("etag", '"1"'), ("x-content-length", "256")))


def known(name, sent, **told):
    """A GET of a file whose tag and size the backend tells."""
    expect = Reaches("BlobService.Get", ({"name": "f"},), told=told)
    return Case(name, "GET /v1/whole/f", expect, headers=sent, script=SIZED)


DIGEST = b64(hashlib.sha256(DATA).digest())
AS_FORM = (("content-type", "multipart/form-data; boundary=b"),)
FORM = b"".join((
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="g.png"\r\n',
    b"Content-Type: image/png\r\n\r\n", DATA, b"\r\n--b--\r\n",
))  # fmt: skip

FILES = table(
    "files",
    [
        download("down", "GET /v1/whole/f", "BlobService.Get", Script(reply=CONTENT)),
        download("down-as-json", "GET /v1/whole/f", "BlobService.Get", Script(reply={
            "content_type": "application/json", "data": b64(json.dumps({"a": 1}).encode())})),
        download("down-and-empty", "GET /v1/whole/f", "BlobService.Get",
                 Script(reply={"content_type": "text/plain"})),
        download("down-in-pieces", "GET /v1/blobs/f", "BlobService.Download", PIECES),
        download("down-in-a-field", "GET /v1/described/f", "BlobService.Describe",
                 Script(reply=FILE), narrow="content"),
        download("down-failed", "GET /v1/whole/f", "BlobService.Get", Script(failure=FAILURE)),
        upload("up", "PUT /v1/blobs/f", "BlobService.Put", FILE),
        upload("up-in-pieces", "POST /v1/blobs/f", "BlobService.Upload", FILE),
        upload("up-with-parameters", "PUT /v1/blobs/f?filename=g&version=2", "BlobService.Put",
               {**FILE, "filename": "g", "version": 2}),
        upload("up-as-json", "PUT /v1/blobs/f", "BlobService.Put",
               {"name": "f", "content": {"content_type": "application/json", "data": b64(b"{}")}},
               body=b"{}", headers=JSON),
        refuse("up-too-large", "PUT /v1/blobs/f", 413, "BODY_TOO_LARGE", body=b"x" * (65 << 10),
               headers=PNG),
        known("down-with-a-tag", ()),
        known("down-with-another-tag", (("if-none-match", '"2"'),)),
        known("down-with-that-tag", (("if-none-match", '"1"'),), status=304, media_type="", body="",
              headers={"etag": '"1"'}),
        known("down-in-part", (("range", "bytes=10-19"),), status=206, body=b64(DATA[10:20])),
        upload("up-as-a-form", "PUT /v1/blobs/f", "BlobService.Put",
               {**FILE, "filename": "g.png"}, body=FORM, headers=AS_FORM),
        upload("up-with-a-name", "PUT /v1/blobs/f", "BlobService.Put",
               {**FILE, "filename": "g.png"},
               headers=(*PNG, ("content-disposition", 'attachment; filename="g.png"'))),
        upload("up-with-a-digest", "PUT /v1/blobs/f", "BlobService.Put", FILE,
               headers=(*PNG, ("content-digest", f"sha-256=:{DIGEST}:"))),
        refuse("up-with-another-digest", "PUT /v1/blobs/f", 400, "DIGEST_MISMATCH", "content-digest", body=DATA,
               headers=(*PNG, ("content-digest", f"sha-256=:{b64(bytes(32))}:"))),
        Case("echoed", "POST /v1/echo", Reaches("BlobService.Echo", (CONTENT,)), headers=PNG,
             body=DATA),
    ],
)  # fmt: skip

CASES = [*FROM_SERVER, *FROM_CLIENT, *FILES]
