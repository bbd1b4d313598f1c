"""Commands: how they stand in documents, and how the tools themselves would read them.

A block marked `sh` is run. One that begins with `# needs ...` is only read; so is a command in a sentence or a table.
"""

import argparse
import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from nnlite import commands
from tools.bench import __main__ as bench

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
TOOLS = [*commands.COMMANDS, "bench"]
STAND_FOR = {"N": "2", "LO:HI": "2:4"}  # what readers fill in, where a tool wants a number


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    language: str
    text: str

    @property
    def needs(self):
        """What it needs that a test has not, or None."""
        found = re.match(r"# needs (.+)\n", self.text)
        return found[1] if found else None

    @property
    def lines(self):
        """Its commands, each in one line."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for line in joined if line.strip() and not line.startswith("#")]


def blocks(document):
    """The fenced blocks of a document, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / document).read_text(), re.S | re.M)
    return [Block(language, text) for language, text in found]


def commands_in(text):
    """Every command of ours in a text: (tool, the rest of the line or of the code)."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"python -m tools\.(\w+)((?: [^`|\n]*)?)", joined)


def parser_of(tool, words):
    """The parser with which `python -m tools.{tool}` reads these words."""
    return bench.build_parser() if tool == "bench" else commands.parser_of(tool, words)


def parsers(parser):
    """A parser, and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def complaint(tool, text):
    """What the tool says against a command line, "" for nothing. Options must be written out."""
    words = [STAND_FOR.get(word, word) for word in shlex.split(text, comments=True) if word != "..."]
    words = words[: words.index("&")] if "&" in words else words
    parser, said = parser_of(tool, words), io.StringIO()
    for one in parsers(parser):
        one.allow_abbrev = False
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            parser.parse_args(words)
        except SystemExit as end:
            return said.getvalue().strip().splitlines()[-1] if end.code else ""
    return ""


def options_of_all_tools():
    """Every option that some tool has."""
    found = set()
    for tool in TOOLS:
        for words in ([], ["--platform", "openfaas"]) if tool == "deploy" else ([],):
            for parser in parsers(parser_of(tool, words)):
                found |= set(parser._option_string_actions)
    return found
