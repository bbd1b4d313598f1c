"""Proxies: the one that the user's environment names for a URL, as other clients of gateways take it from there.

`http_proxy`, `https_proxy` and `all_proxy` name it, `no_proxy` the hosts without one. A gateway on this very machine
needs none: no proxy could reach it there.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from nnlite.errors import UsageError
from nnlite.invoker.openfaas.credentials import basic


@dataclass(frozen=True)
class Proxy:
    """Where it listens, without the user and password that its headers hold."""

    url: str
    headers: dict[str, str]

    def __str__(self) -> str:
        return self.url


def proxy_for(url: str) -> Proxy | None:
    """The proxy on the way to `url`, if there is one. Raises UsageError for one that cannot be meant."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # costs a function time to load

    parts, proxies = urlsplit(url), getproxies()
    which = parts.scheme if proxies.get(parts.scheme) else "all"
    found = proxies.get(which)
    if not found or _is_here(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    return _proxy(found if "://" in found else f"http://{found}", which)


def _is_here(host: str) -> bool:
    """Whether it is an address of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy(found: str, which: str) -> Proxy:
    try:
        parts = urlsplit(found)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        shown = f"{parts.scheme}://..." if parts.scheme else "..."
        raise UsageError(f"{which}_proxy={shown}: wanted http://host:port; or name the gateway in no_proxy")
    login = basic(unquote(parts.username), unquote(parts.password or "")) if parts.username else ""
    at = f"[{host}]" if ":" in host else host
    headers = {"Proxy-Authorization": login} if login else {}
    return Proxy(f"{parts.scheme}://{at}" + (f":{port}" if port is not None else ""), headers)
