"""Markup: text that is HTML already, and the table, which escapes all other text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """A piece of HTML that nnlite wrote itself. What came from a store or a file is text, and becomes one by `html`."""


def html(text: str) -> Html:
    """The text as HTML that shows it, unless it is HTML already."""
    return text if isinstance(text, Html) else Html(escape(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table of texts, in which only `Html` is markup."""
    lines = ["".join(f"<th>{html(name)}</th>" for name in head)]
    lines += ["".join(f"<td>{html(cell)}</td>" for cell in row) for row in rows]
    return Html(f'<div class="wide"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>')
