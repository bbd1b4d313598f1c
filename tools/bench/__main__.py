"""The command line of `python -m tools.bench`."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy comes, with the next imports

from tools._command import run
from tools.bench import bytes_, start, steps


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
    commands = parser.add_subparsers(required=True, metavar="{nn,bytes,start}")
    for module in (steps, bytes_, start):
        module.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
