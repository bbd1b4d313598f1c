"""Logs of a function, as the gateway hands them out: why it cannot run, when nothing of ours gets to answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nnlite.errors import words
from nnlite.invoker.recurring import recurs
from nnlite.records import Unsound, fit, parse

# the last line of a traceback, behind what the watchdog writes before it; or what the system says of a program
_SAID = re.compile(r"(?:^|\s)(?P<kind>[A-Za-z_.]+Error): .*|(?:exec )?\S*:? ?exec format error")


@dataclass(frozen=True)
class LogLine:
    """A line of a log, as far as it matters here."""

    text: str


def hopeless(log: str) -> str | None:
    """The last error in a log, a JSON object a line, if the function can only meet it again; else None."""
    for line in reversed(log.splitlines()):
        try:
            text = fit(LogLine, parse(line), partial=True, others=True).text
        except Unsound:
            continue
        found = _SAID.search(text.strip())
        if found is not None:
            says = found[0].strip()
            return words(says) if recurs(found["kind"] or "", says) else None
    return None
