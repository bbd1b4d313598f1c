"""The terminal: what commands print of a store, a server or a file is text, and steers nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class AsText:
    """A text stream that shows control characters, and those that turn the direction of writing, as `\\x1b`, `\\u202e`.

    Names, reasons and messages may be anybody's: an escape sequence in one would else clear the screen.
    unguarded: the stream itself, for a progress bar, which steers the terminal on purpose.
    """

    def __init__(self, stream: Any):
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write the text as it is shown."""
        self.unguarded.write(shown(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def shown(text: str) -> str:
    """The text with every character that a terminal would obey spelled out; lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def in_line(text: object) -> str:
    """Somebody's text as part of one line."""
    return " ".join(str(text).split())


def unguarded_stderr() -> Any:
    """Standard error for what moves the cursor on purpose: a bar, a table that is drawn again."""
    return getattr(sys.stderr, "unguarded", sys.stderr)


@contextmanager
def guarded() -> Iterator[None]:
    """While it is open, standard output and standard error show control characters as text."""
    streams: Any = sys
    before = streams.stdout, streams.stderr
    streams.stdout, streams.stderr = map(AsText, before)
    try:
        yield
    finally:
        streams.stdout, streams.stderr = before
