"""The demo's job: a neural network that learns two spirals apart, in pure Python.

It runs as a job, not in the client: `windlass demo` hands its source to `python3 -u -c`.
"""

import math
import os
import random
import sys
import time

SECONDS = float(os.environ.get("DEMO_SECONDS", "8"))
HIDDEN = 20
RATE = 0.012

Point = tuple[tuple[float, ...], int]


def spirals(count: int) -> list[Point]:
    """Points of two interleaved spirals: features, label."""
    rng = random.Random(7)  # noqa: S311 - the same data in every demo
    points: list[Point] = []
    for index in range(count):
        label = index % 2
        t = 0.6 + 2.4 * index / count
        angle = 4.2 * t + math.pi * label
        x = t * math.cos(angle) / 3 + rng.gauss(0, 0.02)
        y = t * math.sin(angle) / 3 + rng.gauss(0, 0.02)
        points.append(((x, y, math.sin(4 * x), math.sin(4 * y)), label))
    return points


class Network:
    """One hidden layer of tanh, one sigmoid; stochastic gradient descent by hand."""

    def __init__(self, inputs: int) -> None:
        rng = random.Random(11)  # noqa: S311 - the same start in every demo
        self.w1 = [[rng.gauss(0, 0.7) for _ in range(inputs)] for _ in range(HIDDEN)]
        self.b1 = [0.0] * HIDDEN
        self.w2 = [rng.gauss(0, 0.4) for _ in range(HIDDEN)]
        self.b2 = 0.0

    def step(self, features: tuple[float, ...], label: int) -> tuple[float, bool]:
        """Learn from one point; its loss before, and whether it was right."""
        hidden = [
            math.tanh(sum(w * x for w, x in zip(row, features, strict=True)) + b)
            for row, b in zip(self.w1, self.b1, strict=True)
        ]
        score = sum(w * h for w, h in zip(self.w2, hidden, strict=True)) + self.b2
        p = 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))
        error = p - label
        for j, h in enumerate(hidden):
            back = error * self.w2[j] * (1 - h * h)
            self.w2[j] -= RATE * error * h
            self.b1[j] -= RATE * back
            row = self.w1[j]
            for i, x in enumerate(features):
                row[i] -= RATE * back * x
        self.b2 -= RATE * error
        return -math.log(max(p if label else 1 - p, 1e-9)), (p > 0.5) == bool(label)


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Train for about SECONDS; 1 when the loss did not fall."""
    points = spirals(300)
    network = Network(len(points[0][0]))
    tell(f"GPUs: {os.environ.get('CUDA_VISIBLE_DEVICES', 'none')}")
    order = random.Random(3)  # noqa: S311 - the same order in every demo
    start = time.monotonic()
    losses: list[float] = []
    said = 0.0
    while (elapsed := time.monotonic() - start) < SECONDS:
        order.shuffle(points)
        results = [network.step(*point) for point in points]
        losses.append(sum(loss for loss, _ in results) / len(results))
        if elapsed - said >= 0.5 or len(losses) == 1:
            said = elapsed
            accuracy = sum(right for _, right in results) / len(results)
            tell(f"epoch {len(losses):4d}  loss {losses[-1]:.4f}  accuracy {accuracy:6.1%}")
    tell(f"done: loss {losses[0]:.4f} -> {losses[-1]:.4f} in {len(losses)} epochs")
    return 0 if losses[-1] < losses[0] else 1


if __name__ == "__main__":
    sys.exit(main())
