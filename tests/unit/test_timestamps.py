"""Times between the server and the contract."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from windlass_server.errors import InvalidInput
from windlass_server.timestamps import duration_from_proto, duration_to_proto, from_proto, to_proto

FIRST = -62_135_596_800_000_000
LAST = 253_402_300_799_999_999
LONGEST = 315_576_000_000_000_000


@pytest.mark.parametrize("micros", [0, 1, -1, 1_700_000_000_123_456, FIRST, LAST])
def test_a_time_survives_the_way_there_and_back(micros: int) -> None:
    assert from_proto(to_proto(micros)) == micros
    to_proto(micros).ToJsonString()


@pytest.mark.parametrize("micros", [FIRST - 1, LAST + 1])
def test_a_time_outside_of_what_protobuf_can_say_is_a_defect(micros: int) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        to_proto(micros)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(253_402_300_800, 0), (-62_135_596_801, 0), (0, -1), (0, 1_000_000_000), (2**63 - 1, 0)],
)
def test_a_timestamp_that_is_none_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidInput):
        from_proto(Timestamp(seconds=seconds, nanos=nanos))


def test_nanoseconds_are_cut_to_the_microsecond_before() -> None:
    assert from_proto(Timestamp(seconds=1, nanos=1999)) == 1_000_001
    assert from_proto(Timestamp(seconds=-1, nanos=1999)) == -999_999
    assert duration_from_proto(Duration(seconds=1, nanos=1999)) == 1_000_001
    assert duration_from_proto(Duration(seconds=-1, nanos=-1999)) == -1_000_001


@pytest.mark.parametrize("micros", [0, 1, -1, 1_500_000, -1_500_000, LONGEST, -LONGEST])
def test_a_duration_survives_the_way_there_and_back(micros: int) -> None:
    assert duration_from_proto(duration_to_proto(micros)) == micros
    duration_to_proto(micros).ToJsonString()


@pytest.mark.parametrize("micros", [LONGEST + 1, -LONGEST - 1])
def test_a_duration_too_long_to_say_is_a_defect(micros: int) -> None:
    with pytest.raises(ValueError, match="longer than"):
        duration_to_proto(micros)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (315_576_000_001, 0),
        (-315_576_000_001, 0),
        (1, -1),
        (-1, 1),
        (0, 1_000_000_000),
        (0, -1_000_000_000),
    ],
)
def test_a_duration_that_is_none_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidInput):
        duration_from_proto(Duration(seconds=seconds, nanos=nanos))
