"""Builders of what is idle, for tables."""

from collections.abc import Sequence

import numpy as np

from windlass_server.scheduler.packing.shapes import States


def states(*rows: tuple[int, Sequence[int]] | tuple[int, Sequence[int], int]) -> States:
    """States of nodes from CPU, idle thousandths of GPUs in any order, and the kind of the GPUs."""
    width = max(1, *(len(row[1]) for row in rows))
    gpus = [[0] * (width - len(row[1])) + sorted(row[1]) for row in rows]
    kinds = [row[2] if len(row) == 3 else 0 for row in rows]
    return States(np.array([row[0] for row in rows]), np.array(gpus), np.array(kinds))
