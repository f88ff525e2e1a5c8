"""What the columns of a node's batches are is found out once, and kept for as long as they come."""

from collections.abc import Iterable, Sequence

import pytest

from tests.support.fake_clock import START
from tests.support.telemetry import a_batch, power
from windlass_server.telemetry import readings
from windlass_server.telemetry.readings import Decoder, Layout

TURN = 600
"""Batches after which a decoder forgets what has not come."""


def decoded(decoder: Decoder, *gpus: str) -> Layout:
    found = decoder.decode(a_batch(START, *(power(gpu, 1) for gpu in gpus)))
    assert found is not None
    return found.layout


def several(decoder: Decoder, batches: int, *gpus: str) -> set[Layout]:
    return {decoded(decoder, *gpus) for _ in range(batches)}


def names(layout: Layout) -> Sequence[str]:
    return layout.subjects


def test_series_that_go_on_coming_have_one_layout_for_good() -> None:
    assert len(several(Decoder(), 5 * TURN, "GPU-0", "GPU-1")) == 1


def test_a_layout_that_comes_no_more_is_forgotten() -> None:
    decoder = Decoder()
    gone = decoded(decoder, "GPU-0", "GPU-1")
    several(decoder, TURN - 2, "GPU-0")
    assert decoded(decoder, "GPU-0", "GPU-1") is gone
    # It has come since the last turn, and so it is there at the next one, and not at the one after.
    several(decoder, 2 * TURN, "GPU-0")
    assert decoded(decoder, "GPU-0", "GPU-1") is not gone


def test_a_layout_that_made_way_for_others_is_not_held() -> None:
    decoder = Decoder()
    first = decoded(decoder, "GPU-0")
    for number in range(1, 20):
        decoded(decoder, f"GPU-{number}")
    assert decoded(decoder, "GPU-0") is not first
    assert len(decoder._layouts) == len(decoder._used) == readings._REMEMBERED


@pytest.mark.parametrize("gone", [["GPU-0", "GPU-1"], ["GPU-7", "GPU-8"]])
def test_series_without_a_place_get_those_of_others_in_time(
    monkeypatch: pytest.MonkeyPatch, gone: Iterable[str]
) -> None:
    monkeypatch.setattr(readings, "MAX_SERIES", 2)
    decoder = Decoder()
    decoded(decoder, *gone)
    assert names(decoded(decoder, "GPU-2", "GPU-3")) == ()
    several(decoder, TURN, "GPU-2", "GPU-3")
    assert names(decoded(decoder, "GPU-2", "GPU-3")) == ("GPU-2", "GPU-3")


def test_what_a_node_had_once_does_not_count_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MAX_SERIES", 10)
    decoder = Decoder()
    for turn in range(20):
        several(decoder, TURN, f"GPU-{turn}", "GPU-x")
        assert len(decoder._known) <= 4
