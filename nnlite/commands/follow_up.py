"""Follow-ups: the command lines that a command prints for what comes next, complete, so they work in any folder."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from nnlite.commands import COMMANDS, parser_of
from nnlite.commands.deploy import PLATFORMS as DEPLOYED
from nnlite.commands.spelling import IN_A_CLONE, command
from nnlite.platform import find

# Names in `args` of the options that say where things are: they go on to every command that has them.
AWS = ("stack_name", "region", "profile")
WHERE = ("platform", "store", "data", *AWS, "gateway", "function", "invocation", "worker_store", "secret_file")
RESUMED = (*WHERE, "case", "checkpoint_store", "data_store", "out", "processes", "memory_mb", "arch", "prices")
CARRIED = {"deploy": ("platform", *AWS, "gateway", "secret_file"), "--resume": RESUMED, "--release": AWS}
FILES = {"case", "data", "out", "prices", "secret_file"}
STORES = {"store", "checkpoint_store", "data_store", "worker_store"}
_WRITTEN = re.compile(rf"{re.escape(IN_A_CLONE)}({'|'.join(COMMANDS)})\b(?!\.)((?: --\S+(?: [^-\s]\S*)?)*)")


def follow_up(name: str, args: argparse.Namespace, *words: object) -> str:
    """The line that runs command `name` with these words, and with the options of this command, `args`, that say where
    platform, store, stack and files are, as far as the other command would not assume them anyway."""
    said = [str(word) for word in words]
    return " ".join([command(name), *map(shlex.quote, [*said, *_options(name, args, said)])])


def to_go_on(name: str, args: argparse.Namespace, run: str) -> str:
    """How to go on with a run, or search, that was interrupted."""
    if args.store.startswith("memory://"):
        return f"its store, {args.store}, was the memory of this command, so nothing of it is left"
    return f"go on with {follow_up(name, args, '--resume', run)}"


def completed(text: str, args: argparse.Namespace) -> str:
    """A message with the same options behind every `python -m tools.NAME` in it."""

    def whole(found: re.Match[str]) -> str:
        options = map(shlex.quote, _options(found[1], args, found[2].split()))
        return " ".join([command(found[1]), *options]) + found[2]

    return _WRITTEN.sub(whole, text)


def _options(name: str, args: argparse.Namespace, said: list[str]) -> Iterator[str]:
    """The options that `said` does not say yet, each with its value."""
    platform = getattr(args, "platform", None)
    carried = next((CARRIED[word] for word in (*said, name) if word in CARRIED), WHERE)
    if name in ("status", "report", "stop") and carried is not AWS:
        known = find(platform).choices() if platform else ()
        carried = tuple(option for option in carried if option not in AWS or option in known)  # others are refused
    for action in parser_of(name, ["--platform", platform] if platform in DEPLOYED else [])._actions:
        flag = next(iter(action.option_strings[-1:]), "")
        if action.dest in carried and flag not in said:
            for value in _values(action, args):
                yield from (flag, value)


def _values(action: argparse.Action, args: argparse.Namespace) -> Iterator[str]:
    """The value of one option, or nothing if it is what the other command assumes."""
    name = action.dest
    value = getattr(args, "case_to_resume" if name == "case" else name, None)
    if value is None or (value == action.default and name != "store"):
        return
    if name == "store" and getattr(args, "store_is_assumed", False):
        return
    is_file = name in FILES or (name in STORES and "://" not in str(value))
    yield str(Path(value).absolute() if is_file else value)
