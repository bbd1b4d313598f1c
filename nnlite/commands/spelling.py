"""How a command is spelled here: as the one that runs was started, so that a printed line can be pasted."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from nnlite.commands import COMMANDS
from nnlite.invoker import sources

_ARGUMENT = re.compile(
    r"(?<![\w.?&/'\"-])([a-z][a-z_]*)="  # a name, in nothing else
    r"(?:'([^']*)'|\"([^\"]*)\"|([A-Z]+)\b|(?=[\s,;:)?]|\.(?:\s|$)|$))"  # a value, or the end of a word
)
IN_A_CLONE = "python -m tools."
_WRITTEN = re.compile(rf"(?<![\w./])(?:python -m )?tools\.({'|'.join(COMMANDS)})\b(?!\.)")


def command(name: str) -> str:
    """`nnlite train`, `python -m nnlite train`, or `python -m tools.train` in a clone."""
    return f"{_prefix()}{name}"


def spelled(text: str) -> str:
    """A text that writes commands as in a clone, `python -m tools.train` or `tools.train`, with those of here."""
    if _prefix() == IN_A_CLONE:
        return text
    return _WRITTEN.sub(lambda found: command(found[1]), text)


def with_options(text: str, options: Mapping[str, str] | None = None) -> str:
    """A message of the library, which names arguments as Python does (`name=`, `name='value'` or `name=VALUE`), with
    options in their place. options: name of a parameter -> its option, where that is spelled otherwise."""

    def option(found: re.Match[str]) -> str:
        name, *values = found.groups()
        value = next((shlex.quote(one) for one in values if one is not None), None)
        return " ".join(filter(None, [(options or {}).get(name, "--" + name.replace("_", "-")), value]))

    return _ARGUMENT.sub(option, text)


def _prefix() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == "nnlite.__main__":
        return "python -m nnlite "
    if sources.INSTALLED.is_dir() or Path(sys.argv[0]).stem == "nnlite":
        return "nnlite "
    return IN_A_CLONE
