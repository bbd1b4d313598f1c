"""The command line of `python -m tools.bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from nnlite.invoker.processor import blas_of

os.environ.update(blas_of(1))  # before NumPy comes, with the next imports

from nnlite.commands.program import run
from nnlite.errors import UsageError
from tools.bench import bytes_, emnist, estimate, learning, optimize, search, simulate, start, steps, store, table

BENCHES = (steps, bytes_, start, store, simulate, search, optimize, estimate, emnist, learning, table)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    code: int = args.do(args)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser, with a subcommand for each kind of measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description="Measure nnlite beside its peers, interleaved; only ratios within a run mean anything.",
        epilog="example: python -m tools.bench nn --case b --batch 100",
    )
    commands = parser.add_subparsers(required=True)
    for module in BENCHES:
        module.add_parser(commands)
    _add_trace(commands)
    _add_scale(commands)
    return parser


def _add_trace(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "trace",
        help="what tracing costs: runs with and without, in turns",
        description="Train with and without traces in turns. Prints images a second of CPU time, by how much slower "
        "traced runs are, and what share of their time the recorder takes, timed call by call.",
        epilog="example: python -m tools.bench trace --pairs 10 --json",
    )
    parser.add_argument("--case", choices=["b", "c"], default="b", help="of which network (default b)")
    parser.add_argument("--pairs", type=int, default=10, metavar="N", help="runs of each kind (default 10)")
    parser.add_argument("--steps", type=int, metavar="N", help="minibatches a round (default: 4 of case b, 150 of c)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=_trace)


def _trace(args: argparse.Namespace) -> int:
    from tools.bench import trace  # it brings the whole of nnlite

    if args.pairs < 1 or (args.steps is not None and args.steps < 1):
        raise UsageError(f"--pairs {args.pairs}, --steps {args.steps}: wanted at least 1")
    row = trace.measure(args.case, args.pairs, args.steps)
    shown = (
        f"case {row['case']}  {row['images_per_s']:.1f} images/s traced  {row['untraced_images_per_s']:.1f} untraced  "
        f"cost {row['cost_rate']:+.2%} (pairs differ by {row['noise_rate']:.2%})  recorder {row['recorder_rate']:.3%}"
    )
    print(json.dumps(row) if args.json else shown)
    return 0


def _add_scale(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "scale",
        help="whole runs of case b with one and two local workers",
        description="Run model averaging with each number of workers in turns, and print images a second.",
        epilog="example: python -m tools.bench scale --json",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=_scale)


def _scale(args: argparse.Namespace) -> int:
    from tools.bench import scale  # it brings the whole of nnlite

    for row in scale.measure():
        shown = f"{row['workers']} workers {row['images_per_s']:10.1f} images/s {row['ratio']:6.2f}x"
        print(json.dumps(row) if args.json else shown, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
