"""The parser of every command: what its --help shows, and what it says of a wrong option."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Collection
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose help shows the options that people use, and with --help-all every other; a wrong option is one
    line with the nearest right one. Options are written out in full."""

    def __init__(self, *args: Any, common: Collection[str] = (), **more: Any) -> None:
        """common: the options, by their names in Python, that --help shows; none: all."""
        more = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **more}
        super().__init__(*args, **more)
        self.common = frozenset(common)
        if common:
            self.add_argument("--help-all", action=_HelpAll, help="show every option and exit")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse; an option that does not exist is an error that names the nearest."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)[:200]}{self._nearest(rest, found)}")
        return found

    def error(self, message: str) -> NoReturn:
        """End the process with one line and code 2."""
        hint = f"; see {self.prog} --help" if message.startswith("the following arguments are required") else ""
        chosen = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if chosen is not None:
            choices = [one.strip(" '") for one in chosen[2].split(",")]
            hint = "".join(f"; the nearest is {one}" for one in difflib.get_close_matches(chosen[1], choices, n=1))
        self.exit(2, f"error: {' '.join(message.split())}{hint}\n")

    def format_help(self) -> str:
        """The help: with `common`, those options, and how to see the others."""
        if not self.common:
            return super().format_help()
        kept = self.common | {"help", "help_all"}
        hidden = {action: action.help for action in self._actions if action.dest not in kept}
        for action in hidden:
            action.help = argparse.SUPPRESS
        try:
            return super().format_help()
        finally:
            for action, text in hidden.items():
                action.help = text

    def _nearest(self, rest: list[str], given: argparse.Namespace) -> str:
        word = next((one.partition("=")[0] for one in rest if one.startswith("-")), "")
        options = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                options += action.choices[getattr(given, action.dest)]._option_string_actions
        found = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
        return f"; the nearest option is {found[0]}" if found else ""


class _HelpAll(argparse._HelpAction):
    """--help with every option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        assert isinstance(parser, Parser)
        parser.common = frozenset()
        super().__call__(parser, argparse.Namespace(), None)
        raise AssertionError("argparse has printed the help and ended the process")
