"""Servers: what a store's URL would have this process speak to, without opening it."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote_to_bytes

from nnlite.store.urls import address, split

AWS = "AWS"  #: S3 as boto3 is configured here: who speaks for this process chose it
_PORT = {"memcached": 11211, "http": 80, "https": 443}


def servers_of(url: str) -> set[str]:
    """The servers, and folders of this machine, that the store at `url` and its near store lie on; none for memory.

    Raises UsageError for a URL that cannot be meant.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        path = os.fsdecode(unquote_to_bytes(rest)) if separator else url
        return {f"file://{os.path.abspath(path)}"}
    if scheme == "memory":
        return set()
    parts = split(url, "a store's URL")
    options = parse_qs(parts.query)
    found = {near for cache in options.get("cache", []) for near in servers_of(cache)}
    if scheme == "s3":
        endpoints = [split(one, "an endpoint's URL") for one in options.get("endpoint", [])]
        return found | ({_server(one.scheme, one.netloc) for one in endpoints} or {AWS})
    return found | {_server(scheme, one) for one in parts.netloc.split(",")}


def _server(scheme: str, text: str) -> str:
    host, port = address(text, _PORT.get(scheme, 0)) or (text, 0)
    return f"{scheme}://{host}:{port}"
