"""What every command has in common: how it ends, and how it says what went wrong."""

from __future__ import annotations

import argparse
import os
import re
import select
import sys
from collections.abc import Callable, Sequence

from nnlite.commands.follow_up import completed
from nnlite.commands.signals import exit_code
from nnlite.commands.spelling import spelled, with_options
from nnlite.commands.terminal import guarded
from nnlite.errors import NnliteError, UsageError, WorkerTraceback

EXIT_ERROR = 1
EXIT_USAGE = 2


def run(
    main: Callable[[argparse.Namespace], int],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv` (by default the command line), call `main`, and return the code to exit with.

    0 or what `main` returns. 2 when the request is wrong, so that nothing was begun: an option, a value, or a file that
    it names (said by argparse or a UsageError). 1 when it failed, said in one line on stderr. 130 after Ctrl-C, 143
    after SIGTERM if the process is the command (`door.program`). When the reader of stdout has gone (`| head`), it ends
    quietly with 0. `--debug`, added here to the parser and its subcommands, shows the traceback.
    """
    _open_closed_streams()
    with guarded():
        return _run(main, parser, argv)


def _run(main: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    _add_debug(parser, default=False)
    _spell(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as error:  # argparse has said why, or printed its help
        return error.code if isinstance(error.code, int) else EXIT_USAGE
    try:
        code = main(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        print(": ".join(["interrupted", *map(str, error.args)]), file=sys.stderr)
        return exit_code(error)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _stdout_is_broken():
            return 0
        if args.debug:
            raise
        print(f"error: {spelled(completed(_in_flags(error, parser), args))}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR


def _open_closed_streams() -> None:
    """Let standard streams that the caller has closed (`>&-`) lead nowhere.

    Python has None for them, and print() takes that for stdout. Opened in their order, they get their own numbers,
    which else the next file or socket would get.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115 - until the process ends
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _add_debug(parser: argparse.ArgumentParser, default: bool | str) -> None:
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in set(action.choices.values()):
                _add_debug(child, argparse.SUPPRESS)  # else it would undo a --debug before the subcommand


def _spell(parser: argparse.ArgumentParser) -> None:
    """Let a help write commands as they are spelled here."""
    parser.prog = spelled(parser.prog)
    parser.description, parser.epilog = spelled(parser.description or ""), spelled(parser.epilog or "")
    for group in parser._action_groups:
        group.title = spelled(group.title or "")
    for action in parser._actions:
        action.help = spelled(action.help) if action.help else action.help
        if isinstance(action, argparse._SubParsersAction):
            for child in set(action.choices.values()):
                _spell(child)


def _stdout_is_broken() -> bool:
    """Whether the broken pipe is stdout's, and not a socket's; if so, nothing is written to it any more."""
    try:
        fd = sys.stdout.fileno()
        poll = select.poll()
    except (AttributeError, OSError):  # stdout is not a file, or this platform has no poll
        return False
    poll.register(fd, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    # what is still buffered would be written, and fail again, when the interpreter ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
    return True


def flags(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Name of a parameter -> its option, of the parser or of one of its subcommands."""
    found: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found = flags(child) | found
    return found | {action.dest: action.option_strings[0] for action in parser._actions if action.option_strings}


def _in_flags(error: Exception, parser: argparse.ArgumentParser) -> str:
    """The message, in one line; where it is about a parameter, with its option in the place of its name, and so for
    others whose names are no words."""
    text, about, options = _one_line(error), getattr(error, "parameter", ""), flags(parser)
    text = with_options(text, options)
    if about not in options:
        return text
    text = options[about] + text.removeprefix(about)
    return re.sub(r"\b[a-z]+(_[a-z]+)+\b", lambda found: options.get(found[0], found[0]), text)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error.__cause__, WorkerTraceback):
        text = text.removesuffix("(unexpected)") + "(unexpected: --debug shows where)" * text.endswith("(unexpected)")
    if isinstance(error, NnliteError):
        return text
    return f"{type(error).__name__}: {text} (unexpected: --debug shows where)"
