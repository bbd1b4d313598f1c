"""The command line of `python -m tools.bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy comes, with the next imports

from tools._command import run
from tools.bench import bytes_, estimate, optimize, search, simulate, start, steps, store

BENCHES = (steps, bytes_, start, store, simulate, search, optimize, estimate)


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
    _add_scale(commands)
    return parser


def _add_scale(commands: argparse._SubParsersAction) -> None:
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
