"""URLs of stores: taken apart strictly, and shown without the secrets that somebody may have put into one."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from nnlite.errors import UsageError

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_SERVER = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")
# what stands before an @: up to the first slash, or, with a colon in it, further, as a password may have slashes
_SECRET = re.compile(r"://(?!/)(?:[^/]*|[^:]*:.*)@", re.DOTALL)


def shown(url: str) -> str:
    """The URL for a message about one that is refused: quoted, without options, a fragment and the like, nor anything
    that an @ may end."""
    text = unquote(url)
    scheme, separator, rest = text.partition("://")
    if "@" in rest and not rest.startswith("/"):  # file:///a@b is a path
        rest = f"***@{rest.rpartition('@')[2]}"
    place, *more = re.split(r"([?#;])", rest, maxsplit=1)
    return repr(f"{scheme}://{place[:200]}{f'{more[0]}...' if more else ''}" if separator else text[:200])


def refuse_options(url: str) -> None:
    """Raise UsageError for a URL of what has no options: they would be part of a name, which plans and logs show."""
    if "?" in url or "#" in url:
        raise UsageError(f"{shown(url)} has no options: leave them out; in a path, write ? as %3F, and # as %23")


def refuse_secrets(url: str) -> None:
    """Raise UsageError if the URL, or that of a server in one of its options, holds a user or a password."""
    place, _, query = url.partition("?")
    for one in (place, *(value for _, value in parse_qsl(query))):
        if _SECRET.search(unquote(one)):
            raise UsageError(
                f"{shown(url)} holds a user or a password, which plans and logs would show: leave it out, and give "
                "credentials where the store's client looks for them (docs/stores.md)"
            )


def split(url: str, expected: str) -> SplitResult:
    """The parts of a URL of printable ASCII. Raises UsageError, which ends with `expected`, for any other."""
    problem = "it has a character that is no printable ASCII" if not re.fullmatch(r"[ -~]*", url) else ""
    try:
        if not problem:
            return urlsplit(url)
    except ValueError as error:
        problem = str(error)
    raise UsageError(f"{shown(url)} is not a URL ({problem}): {expected}")


def address(text: str, default_port: int) -> tuple[str, int] | None:
    """(host, port) of "host", "host:port", "[::1]" or "[::1]:port"; None for what can be no server's address."""
    found = _SERVER.fullmatch(text)
    if found is None:
        return None
    host, port = found[1].lower(), int(found[2] or default_port)
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    elif not _NAME.fullmatch(host):
        return None
    return (host, port) if 0 < port < 65536 else None
