"""The door to the commands: `nnlite train`, `python -m nnlite train`, `python -m tools.train`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import nnlite
from nnlite import required
from nnlite.commands import COMMANDS, parser_of
from nnlite.commands.parser import Parser
from nnlite.commands.program import EXIT_ERROR, run
from nnlite.commands.signals import ending_as_ctrl_c, exit_code
from nnlite.errors import RunError
from nnlite.invoker.processor import blas_of

EXAMPLE = "example: nnlite train --case b --dataset fashion-sample --workers 2"


def main(argv: Sequence[str] | None = None) -> int:
    """`nnlite NAME ...`: run the command that the first word names. Returns its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = Parser(
        prog="nnlite",
        description="Train neural networks on serverless functions, in pure NumPy.",
        epilog="\n".join(["commands:", *(f"  {name:<10} {about}" for name, about in COMMANDS.items()), "", EXAMPLE]),
    )
    parser.add_argument("--version", action="version", version=f"nnlite {nnlite.__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", choices=list(COMMANDS), help="one of those below; each has --help"
    )
    run_it = program if argv is None else enter
    return run_it(parser.parse_args(words[:1]).command, words[1:])


def program(name: str, argv: Sequence[str]) -> int:
    """Be the command of that name, all that this process is for: SIGTERM and SIGHUP end it as Ctrl-C does."""
    try:
        with ending_as_ctrl_c():
            return enter(name, argv)
    except KeyboardInterrupt as error:  # before the command has begun, or after its end
        return exit_code(error)


def enter(name: str, argv: Sequence[str]) -> int:
    """Run the command of that name within a process that is for more than that, and whose signals are its own: one that
    would end it does. Returns the command's exit code."""
    os.environ.update(blas_of(1))  # before NumPy comes, with the next import
    try:
        import numpy

        required.check(numpy)  # before anything of ours that an older one does not know
    except ModuleNotFoundError:
        pass  # `deploy` makes a bundle without it
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    module = importlib.import_module(f"nnlite.commands.{name}")
    return run(module.main, parser_of(name, argv), argv)
