"""Small tables of one's own, one with classes and one with amounts."""

import csv
from pathlib import Path

import numpy as np


def trees(path: Path, target: str) -> Path:
    """Tall trees are oaks; their weight is a multiple of their height. target: kind or weight."""
    rng = np.random.default_rng(0)
    names = ["height", "soil", target]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in range(120):
            height = (5.0, 15.0)[number % 2] + rng.normal()
            answer = {"kind": ("ash", "oak")[number % 2], "weight": round(100 * height + rng.normal(), 2)}[target]
            writer.writerow([round(height, 2), ("wet", "dry")[number // 2 % 2], answer])
    return path
