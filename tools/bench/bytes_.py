"""`tools.bench bytes`: writing, reading, averaging and checking weights."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import time
import zlib
from collections.abc import Callable

import numpy as np

from nnlite import weights
from nnlite.nn import models
from nnlite.protocol.averaging import contribution

NUM_MODELS = 100
ROUND_S = 0.02


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "bytes",
        help="weights as bytes, and the mean of many models",
        description=f"Time what a round of averaging does with the weights of case b, and the mean of {NUM_MODELS} "
        "models of case a, in interleaved rounds.",
        epilog="example: python -m tools.bench bytes --json",
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Run every operation in turns, and print the median of each."""
    operations = make_operations()
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(args.rounds):
        for name, operation in operations.items():
            seconds[name].append(_time(operation))
    for name, times in seconds.items():
        median_us = statistics.median(times) * 1e6
        if args.json:
            print(json.dumps({"operation": name, "median_us": median_us, "min_us": min(times) * 1e6}))
        else:
            print(f"{name:44} {median_us:12.1f} us")
    return 0


def make_operations() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    network = models.cifar_cnn()
    vector = network.init(np.random.default_rng(0))
    data = weights.encode(vector, network.layout)
    file = io.BytesIO()
    np.savez(file, vector)
    archive = file.getvalue()
    small = models.bits_mlp().layout.size
    each = [np.random.default_rng(i).random(small, np.float32) for i in range(NUM_MODELS)]
    counts = list(range(1, NUM_MODELS + 1))
    shares = (np.array(counts) / sum(counts)).astype(np.float32)
    return {
        "weights.encode_parts (no copy, checksum)": lambda: weights.encode_parts(vector, network.layout),
        "weights.decode, verified": lambda: weights.decode(data),
        "weights.decode, not verified": lambda: weights.decode(data, verify=False),
        "numpy.savez": lambda: np.savez(io.BytesIO(), vector),
        "numpy.load of that": lambda: np.load(io.BytesIO(archive))["arr_0"],
        "crc32": lambda: zlib.crc32(vector.data),
        "sha256": lambda: hashlib.sha256(vector.data).digest(),
        f"mean of {NUM_MODELS} models of case a": lambda: contribution.weighted_mean(each, counts),
        "the same by stacking them, then one product": lambda: shares @ np.stack(each),
        "the same by np.average": lambda: np.average(each, axis=0, weights=counts),
    }


def _time(operation: Callable[[], object]) -> float:
    """Seconds a call, over ROUND_S of calls."""
    count, start_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - start_s) < ROUND_S or count == 0:
        operation()
        count += 1
    return elapsed_s / count
