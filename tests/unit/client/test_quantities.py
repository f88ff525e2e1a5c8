import math
from datetime import timedelta

import pytest

from windlass_client import InvalidArgument
from windlass_client.quantities import (
    format_bytes,
    format_gpus,
    format_joules,
    format_span,
    parse_bytes,
    parse_cpu_millis,
    parse_duration,
    parse_gpu_share,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("0", 0),
        ("512MiB", 512 * 2**20),
        ("4GiB", 4 * 2**30),
        ("4Gi", 4 * 2**30),
        ("4gib", 4 * 2**30),
        (" 4 GiB ", 4 * 2**30),
        ("4GB", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("1.5TB", 1_500_000_000_000),
        (".5KiB", 512),
        ("1PiB", 2**50),
        ("10b", 10),
    ],
)
def test_a_size_is_read_in_binary_and_decimal_units(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "GiB", "-1", "4 potatoes", "1e9", "4GiB4", "٤GiB", "1..5G"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(InvalidArgument, match="4GiB") as refused:
        parse_bytes(text)
    assert refused.value.reason == "BAD_SIZE"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1h30m", 5400),
        ("1H30M", 5400),
        ("2.5h", 9000),
        ("500ms", 0.5),
        ("1d", 86400),
        ("1w2d", 777600),
        ("0.25", 0.25),
        (12, 12),
        (1.5, 1.5),
        (timedelta(minutes=2), 120),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "h", "1h 30m", "-5m", "1y", "5 minutes", "9" * 40 + "w", math.nan, 1e99]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(InvalidArgument, match="1h30m") as refused:
        parse_duration(text)
    assert refused.value.reason == "BAD_DURATION"


@pytest.mark.parametrize(
    ("text", "millis"), [("4", 4000), ("0.5", 500), ("250m", 250), (2, 2000), (1.5, 1500), (0, 0)]
)
def test_cpus_are_read_as_cores_or_thousandths(text, millis):
    assert parse_cpu_millis(text) == millis


@pytest.mark.parametrize("text", ["", "four", "-1", "1.5.2", "nan"])
def test_what_is_no_number_of_cpus_is_refused(text):
    with pytest.raises(InvalidArgument, match="250m"):
        parse_cpu_millis(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (80 * 2**30, "80 GiB")],
)
def test_a_size_is_shown_in_its_largest_unit(amount, text):
    assert format_bytes(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (45, "45s"), (200, "3m20s"), (3600, "1h"), (7500, "2h5m"),
     (86400 + 30, "1d"), (4 * 86400 + 3600, "4d1h")],
)  # fmt: skip
def test_a_span_is_shown_in_its_two_largest_units(seconds, text):
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (0, "0 J"),
        (0.5, "0.5 J"),
        (385, "385 J"),
        (1386, "1.39 kJ"),
        (35_900, "35.9 kJ"),
        (36_000, "10 Wh"),
        (3.599e6, "1000 Wh"),
        (7.2e6, "2 kWh"),
        (1.23456e10, "3429 kWh"),
    ],
)
def test_energy_is_shown_in_a_unit_that_fits(joules: float, text: str):
    assert format_joules(joules) == text


@pytest.mark.parametrize(
    ("text", "millis"),
    [("0.25", 250), (".5", 500), (0.1, 100), ("0.999", 999), ("0.001", 1), (0, 0)],
)
def test_a_share_of_a_gpu_is_read_in_thousandths(text, millis):
    assert parse_gpu_share(text) == millis


@pytest.mark.parametrize("text", ["1", "1.5", "0.0005", "-0.1", "", "half", "25%", "nan", "1e-1"])
def test_what_is_no_share_of_a_gpu_is_refused_with_an_example(text):
    with pytest.raises(InvalidArgument, match=r"such as 0\.25"):
        parse_gpu_share(text)


@pytest.mark.parametrize(("count", "millis", "text"), [(0, 0, "0"), (8, 0, "8"), (1, 250, "0.25")])
def test_gpus_are_shown_as_a_number_or_a_share(count, millis, text):
    assert format_gpus(count, millis) == text
