import math

import pytest

from windlass_client.cli.sparkline import sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ({0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7}, 8, "▁▂▃▄▅▆▇█"),
        ({0: 0, 3: 7}, 5, "▁  █ "),
        ({0: 5, 1: 5}, 2, "▅▅"),
        ({}, 3, "   "),
        ({0: math.nan, 1: math.inf, 2: 1}, 3, "  ▅"),
        ({-1: 5, 0: 1, 9: 3}, 2, "▁ "),
        ({0: -2, 1: -1}, 2, "▁█"),
    ],
)
def test_a_line_has_a_bar_for_each_value_and_blanks_for_gaps(values, width, line):
    assert sparkline(values, width) == line
