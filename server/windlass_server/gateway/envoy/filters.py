"""The HTTP filters, and which of them a route switches on.

All but the router are off unless the route of the request's own path says otherwise, so that
guards answer before anything is transcoded. A transcoder prints streams in one form only; there is
one for each form, and the route picks it by `Accept`.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.gateway.envoy import header_filters
from windlass_server.gateway.envoy.answers import TRANSCODED, Config
from windlass_server.gateway.envoy.bindings import Bound
from windlass_server.gateway.json_print import JsonStyle

# Largest answer that is not streamed; the transcoder holds all of it.
MAX_RESPONSE_BYTES = 64 << 20

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_ANSWERS = "windlass.answers"
_STREAM = "windlass.stream"
_FILE = "windlass.file"
_LINES = "windlass.lines"
_HEAD = "windlass.head"
_COMPRESSOR = "windlass.compressor"
_DECOMPRESSOR = "windlass.decompressor"
_TIMEOUT = "windlass.timeout"
_METADATA = "windlass.metadata"


@dataclass(frozen=True)
class Form:
    """A form of streamed answers.

    Attributes:
        media_type: what asks for it.
        name: of the filters that print it.
        option: the transcoder's print option for it.
        filters: further filters that it needs.
    """

    media_type: str
    name: str
    option: str = ""
    filters: tuple[str, ...] = ()


ARRAY = Form("application/json", "array")
LINES = Form("application/x-ndjson", "lines", "stream_newline_delimited", (_LINES,))
EVENTS = Form("text/event-stream", "events", "stream_sse_style_delimited")


@dataclass(frozen=True)
class Transcoding:
    """What the transcoders have in common.

    Attributes:
        descriptors: the descriptor set.
        descriptor_path: the file that Envoy reads the set from; empty to have it inline.
        services: full names of the services that are served.
        streams: whether one of them streams answers.
        body_limits: the largest request bodies of its methods, inflated; there is a transcoder for
            each.
        style: how answers look.
        kept_headers: names of request headers that are left for other filters.
    """

    descriptors: bytes
    descriptor_path: str
    services: Sequence[str]
    streams: bool
    body_limits: Sequence[int]
    style: JsonStyle
    kept_headers: Sequence[str] = ()


def http_filters(transcoding: Transcoding) -> list[Config]:
    """All filters, in the order in which a request passes them and an answer comes back."""
    forms = (ARRAY, LINES, EVENTS) if transcoding.streams else (ARRAY,)
    return [
        _off(_ANSWERS, header_filters.answers()),
        _off(_STREAM, header_filters.stream()),
        _off(_FILE, header_filters.file()),
        _off(_LINES, header_filters.lines()),
        _off(_HEAD, _without_body()),
        _off(_COMPRESSOR, _compressor()),
        _off(TRANSCODED, _mark()),
        _off(_DECOMPRESSOR, _decompressor()),
        *(_off(_limit_name(limit), _size_limit(limit)) for limit in transcoding.body_limits),
        *(
            _off(_transcoder_name(form, limit), _transcoder(transcoding, form, limit))
            for form in forms
            for limit in transcoding.body_limits
        ),
        _off(_TIMEOUT, header_filters.timeout()),
        _off(_METADATA, header_filters.metadata(transcoding.kept_headers)),
        {
            "name": "envoy.filters.http.router",
            "typed_config": _typed("filters.http.router.v3.Router", suppress_envoy_headers=True),
        },
    ]


def switched_on(form: Form, limit: int, bound: Bound, *, head: bool = False) -> Config:
    """The part of a route that switches on what its call needs.

    Args:
        form: of the answer, if it is a stream of messages.
        limit: largest request body, or if that is a stream, largest message.
        bound: what is called.
        head: whether the answer has no body.
    """
    transcoder = _transcoder_name(form, limit)
    names = [_ANSWERS, _COMPRESSOR, _DECOMPRESSOR, transcoder, TRANSCODED, _TIMEOUT, _METADATA]
    if head:
        names.append(_HEAD)
    if not bound.takes_stream:
        names.append(_limit_name(limit))
    if bound.gives_raw_bytes:
        names.append(_FILE)
    elif bound.gives_stream:
        names += [_STREAM, *form.filters]
    on = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    return {"typed_per_filter_config": dict.fromkeys(names, on)}


def _off(name: str, config: Config) -> Config:
    return {"name": name, "disabled": True, "typed_config": config}


def _typed(name: str, **fields: Any) -> Config:
    return {"@type": f"{_EXTENSIONS}.{name}", **fields}


def _limit_name(limit: int) -> str:
    return f"windlass.limit.{limit}"


def _size_limit(limit: int) -> Config:
    """The limit of the whole body; the transcoder's own is only of what it has not read yet."""
    return _typed("filters.http.body_size_limit.v3.BodySizeLimit", max_request_bytes=limit)


def _transcoder_name(form: Form, limit: int) -> str:
    return f"windlass.transcoder.{form.name}.{limit}"


def _transcoder(transcoding: Transcoding, form: Form, limit: int) -> Config:
    printing = {
        "always_print_primitive_fields": transcoding.style.defaults,
        "preserve_proto_field_names": transcoding.style.proto_names,
    }
    if form.option:
        printing[form.option] = True
    descriptors = (
        {"proto_descriptor": transcoding.descriptor_path}
        if transcoding.descriptor_path
        else {"proto_descriptor_bin": b64encode(transcoding.descriptors).decode("ascii")}
    )
    return _typed(
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        **descriptors,
        services=list(transcoding.services),
        print_options=printing,
        convert_grpc_status=True,
        case_insensitive_enum_parsing=True,
        query_param_unescape_plus=True,
        url_unescape_spec="ALL_CHARACTERS_EXCEPT_SLASH",
        request_validation_options={
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        max_request_body_size=limit,
        max_response_body_size=MAX_RESPONSE_BYTES,
    )


def _mark() -> Config:
    """Say that a call is transcoded, for what looks at answers."""
    return _typed(
        "filters.http.set_metadata.v3.Config",
        metadata=[{"metadata_namespace": TRANSCODED, "value": {"is": True}}],
    )


def _without_body() -> Config:
    """Take the body out of answers to HEAD; in HTTP/2 Envoy would send it, and clients break off."""
    nothing = {"text_format_source": {"inline_string": ""}}
    body = {"body_format": nothing, "action": "REPLACE"}
    return _typed(
        "filters.http.transform.v3.TransformConfig",
        response_transformation={"body_transformation": body},
    )


def _compressor() -> Config:
    library = _typed("compression.gzip.compressor.v3.Gzip", memory_level=8, window_bits=15)
    json = [{"prefix": "application/json"}]
    return _typed(
        "filters.http.compressor.v3.Compressor",
        compressor_library={"name": "gzip", "typed_config": library},
        response_direction_config={
            "common_config": {"min_content_length": 1024, "content_type_matcher": json}
        },
    )


def _decompressor() -> Config:
    # By default Envoy gives up on what inflates to more than 100 times its size, and then forgets
    # the request; how large it may get, the transcoder decides. Deflate's own limit is 1,032.
    library = _typed(
        "compression.gzip.decompressor.v3.Gzip", window_bits=15, max_inflate_ratio=1032
    )
    never = {"default_value": False, "runtime_key": "windlass.inflate_answers"}
    return _typed(
        "filters.http.decompressor.v3.Decompressor",
        decompressor_library={"name": "gzip", "typed_config": library},
        request_direction_config={"advertise_accept_encoding": False},
        response_direction_config={"common_config": {"enabled": never}},
    )
