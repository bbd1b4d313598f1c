"""Options in a store's URL, `?name=value&name=value`, so that the URL alone is enough for another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from nnlite.errors import UsageError
from nnlite.store.urls import shown

SHORTEST_S = 0.001  # 0 would mean not to wait at all
LONGEST_S = 86_400.0  # a day; sockets cannot wait for all that a float can say


def read_options(url: str, query: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options in `query`, each of the type its default has. Raises UsageError for any other."""
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in defaults:
            found = name if name.isidentifier() and text else "***"  # which may be part of a password
            raise UsageError(f"{shown(url)}: no option {found!r}; it can have {', '.join(sorted(defaults))}")
        if name in options:
            raise UsageError(f"{shown(url)}: {name} stands there twice; give it once")
        options[name] = _read(url, name, text, type(defaults[name]))
    return options


def _read(url: str, name: str, text: str, kind: type) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"{shown(url)}: {name}={text[:40]!r} is not of type {kind.__name__}") from None
    if kind is str:
        return value
    if not 0 < value < float("inf"):
        raise UsageError(f"{shown(url)}: {name}={text[:40]!r} is not a positive number")
    if name.endswith("_s") and not SHORTEST_S <= value <= LONGEST_S:
        raise UsageError(f"{shown(url)}: {name}={text[:40]!r}: wanted {SHORTEST_S:g} to {LONGEST_S:g} seconds")
    return value


def show_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The part of a URL from '?' on; empty if all options have their defaults."""
    shown = {name: value for name, value in options.items() if value != defaults[name]}
    return f"?{urlencode(shown, safe=':/')}" if shown else ""
