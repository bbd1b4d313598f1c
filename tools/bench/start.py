"""`tools.bench start`: how long a fresh process takes until it could train."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

from tools.bench.rounds import ROOT

STARTS = {
    "python": "pass",
    "numpy": "import numpy",
    "nnlite.nn": "import nnlite.nn",
    "nnlite.nn, first step of case c": (
        "import numpy as np; from nnlite.nn import models; n = models.mlp(); r = np.random.default_rng(0); "
        "n.loss_and_gradient(n.init(r), r.random((100, 1, 28, 28), np.float32), r.integers(0, 10, 100), n.empty())"
    ),
    "a worker: nnlite.runtime.local_process": "import nnlite.runtime.local_process",
    "the Lambda handler": "import lambda_pkg.handler",
    "the Lambda handler, on S3": (
        "import lambda_pkg.handler; from nnlite.store.s3 import S3Store; "
        "S3Store.from_url('s3://bucket/runs?region=eu-west-1')._s3()"
    ),
    "boto3": "import boto3",
    "torch": "import torch",
    "tensorflow": "import tensorflow",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "start",
        help="cold starts: importing this and that in a fresh process",
        description="Time fresh processes in interleaved rounds, from start to end. What is not installed is left out.",
        epilog="example: python -m tools.bench start --rounds 5",
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Start every process in turns, and print the median of each."""
    installed = [name for name in STARTS if _start(name) is not None]  # this also warms the disk's cache
    seconds: dict[str, list[float]] = {name: [] for name in installed}
    for _ in range(args.rounds):
        for name in installed:
            seconds[name].append(_start(name) or 0.0)
    bare_s = statistics.median(seconds["python"])
    for name, times in seconds.items():
        median_s = statistics.median(times)
        if args.json:
            print(json.dumps({"start": name, "median_s": median_s, "above_python_s": median_s - bare_s}))
        else:
            print(f"{name:34} {median_s:7.3f} s   {median_s - bare_s:+7.3f} s")
    return 0


def _start(name: str) -> float | None:
    """Seconds that one process took, or None if it failed."""
    start_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", STARTS[name]], cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - start_s if done.returncode == 0 else None
