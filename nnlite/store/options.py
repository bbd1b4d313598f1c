"""Options in a store's URL, `?name=value&name=value`, so that the URL alone is enough for another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from nnlite.errors import UsageError


def read_options(url: str, query: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options in `query`, each of the type its default has. Raises UsageError for any other."""
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in defaults:
            raise UsageError(f"{url!r}: no option {name!r}; it can have {', '.join(sorted(defaults))}")
        kind = type(defaults[name])
        try:
            options[name] = kind(text)
        except ValueError:
            raise UsageError(f"{url!r}: {name}={text!r} is not of type {kind.__name__}") from None
        if kind is not str and not 0 < options[name] < float("inf"):
            raise UsageError(f"{url!r}: {name}={text!r} is not a positive number")
    return options


def show_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The part of a URL from '?' on; empty if all options have their defaults."""
    shown = {name: value for name, value in options.items() if value != defaults[name]}
    return f"?{urlencode(shown, safe=':/')}" if shown else ""
