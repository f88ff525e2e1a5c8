"""What the targets share: the sample contract, made once in each process."""

import tempfile
from functools import cache
from pathlib import Path

from tests.support.gateway import (
    PLACE_SERVICE,
    PLACES,
    SAMPLE,
    SAMPLE_SERVICE,
    STREAM_SERVICES,
    STREAMS,
    compile_protos,
)
from tests.support.json_peer import Peers

SERVICES = (SAMPLE_SERVICE, *STREAM_SERVICES, PLACE_SERVICE)
THING = "sample.v1.Thing"


@cache
def descriptors() -> bytes:
    """The descriptor set."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_protos(Path(folder), SAMPLE, STREAMS, PLACES)


@cache
def peers() -> Peers:
    """The gateway's reader and printer of JSON, and those of google.protobuf."""
    return Peers(descriptors())
