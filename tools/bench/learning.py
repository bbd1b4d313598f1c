"""What more workers do to a model: real runs with each number of workers, at equal samples, beside one worker's."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median
from typing import Any

import nnlite
from nnlite.commands import named, options
from nnlite.errors import RunError, UsageError
from nnlite.protocol import protocols
from nnlite.report import picture
from nnlite.runs.job import Job

OF_JOB = ("case", "dataset", "data", "epochs", "rounds", "scale", "combine")


@dataclass(frozen=True)
class Learned:
    """Runs with one number of workers by one protocol."""

    protocol: str
    workers: int
    test_accuracy: float  #: the median over the seeds
    points: float  #: by how many percentage points that is above one worker's
    seconds: float  #: of a whole run, its start included, the median
    seeds: tuple[float, ...]  #: the test accuracy of each


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`python -m tools.bench learning`."""
    parser = commands.add_parser(
        "learning",
        help="test accuracy against the number of workers",
        description="Train on this machine with each number of workers and each protocol, with defaults and equal "
        "samples, and print the test accuracy beside that of one worker.",
        epilog="example: python -m tools.bench learning --case c --dataset fashion-sample --workers 1,4 --seeds 2",
    )
    options.add(parser, Job, OF_JOB)
    parser.add_argument("--workers", default="1,4,8,16", metavar="1,4,16", help="how many (default %(default)s)")
    parser.add_argument(
        "--protocols", default=",".join(protocols.names()), metavar="NAMES", help="(default %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each, from seed 0 (default 5)")
    parser.add_argument("--plot", type=named.path, metavar="FILE", help="draw it (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print, draw."""
    counts = [int(part) for part in args.workers.split(",") if part.isascii() and part.isdigit()]
    if counts[:1] != [1] or len(counts) != len(args.workers.split(",")) or 0 in counts:
        raise UsageError(f"--workers {args.workers}: wanted numbers that begin with 1, like 1,4,16")
    if args.seeds < 1:
        raise UsageError(f"--seeds {args.seeds}: wanted at least 1")
    if args.plot:
        picture.check(args.plot, f"--plot {args.plot}")
    chosen = {name: value for name, value in options.given(args, Job).items() if name in OF_JOB and value is not None}
    rows = []
    for row in measure(chosen, counts, args.protocols.split(","), range(args.seeds)):
        rows.append(row)
        shown = (
            f"{row.protocol:<10} {row.workers:>4} workers  test accuracy {row.test_accuracy:.4f} ({row.points:+.2f})"
        )
        print(json.dumps(asdict(row)) if args.json else f"{shown}  {row.seconds:8.1f} s", flush=True)
    if args.plot:
        draw(rows, args.plot)
    return 0


def measure(
    chosen: dict[str, Any], counts: Sequence[int], names: Sequence[str], seeds: Sequence[int]
) -> Iterator[Learned]:
    """Runs of every number of workers and protocol; one worker is trained once, as it needs no protocol."""
    alone = [_train(chosen, 1, names[0], seed) for seed in seeds]
    base = median(accuracy for accuracy, _ in alone)
    for protocol in names:
        for count in counts:
            found = alone if count == 1 else [_train(chosen, count, protocol, seed) for seed in seeds]
            rounded, seconds = tuple(round(one[0], 4) for one in found), median(one[1] for one in found)
            at = median(one[0] for one in found)
            yield Learned(protocol, count, round(at, 4), round(100 * (at - base), 2), round(seconds, 2), rounded)


def _train(chosen: dict[str, Any], workers: int, protocol: str, seed: int) -> tuple[float, float]:
    """-> test accuracy, and seconds of training. Raises RunError for a run that has none."""
    with tempfile.TemporaryDirectory() as folder:
        having = protocols.options()  # what only some protocols have
        of_protocol = {name: value for name, value in chosen.items() if protocol in having.get(name, (protocol,))}
        more: dict[str, Any] = {"workers": workers, "protocol": protocol, "seed": seed, "store": folder, "trace": False}
        began_s = time.monotonic()
        done = nnlite.start(of_protocol.pop("case", None), **of_protocol, **more).wait().status()
        if done.test_accuracy is None:
            raise RunError(f"{workers} workers, {protocol}, seed {seed}: {done.reason}")
        return done.test_accuracy, time.monotonic() - began_s


def draw(rows: Sequence[Learned], path: str) -> None:
    """A picture: test accuracy against workers, a line for each protocol, and a dot for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for protocol, of_it in groupby(rows, key=lambda row: row.protocol):
        own = list(of_it)
        (line,) = axes.plot([row.workers for row in own], [row.test_accuracy for row in own], "o-", label=protocol)
        for row in own:
            axes.plot([row.workers] * len(row.seeds), row.seeds, ".", color=line.get_color(), alpha=0.4)
    axes.set_xscale("log", base=2)
    axes.set_xticks([row.workers for row in rows], [str(row.workers) for row in rows])
    axes.set(xlabel="workers", ylabel="test accuracy, equal samples")
    axes.grid(alpha=0.3)
    axes.legend()
    picture.write(figure, path)
