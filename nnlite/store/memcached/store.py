"""A store in memcached: fast and shared, but it forgets. What must survive belongs into another store as well.

memcached has no authentication worth the name: every machine that reaches the port reads and writes everything. Bind it
to the cluster's inner network (`-l`), never to the world. Nothing that is read from it is ever unpickled.

Under each key stands one item, the manifest, which is only ever replaced by memcached's compare-and-swap. A
larger value lies in chunks with fresh names, written before the manifest and removed after it is replaced.

- A version is 64 random bits in the manifest, not memcached's token: tokens begin again after a restart. A
  write reads the manifest, compares the version, and swaps by the token, all on one connection, which a
  restart breaks.
- A value whose chunks were evicted is not there: `get` raises NotFound and says so, and it can be created again.
- Of several servers each key has one, and the chunks of a value are spread over all. A server that is down is
  an error, never a reason to look elsewhere: two writers must not come to see different servers.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from nnlite.errors import Conflict, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe, each
from nnlite.store.memcached.manifest import MAX_CHUNK_BYTES, MAX_CHUNKS, MIN_CHUNK_BYTES, Manifest, cut, fresh_version
from nnlite.store.memcached.server import Server
from nnlite.store.options import read_options, show_options
from nnlite.store.urls import address, shown, split

SCHEME = "memcached://"
DEFAULT_PORT = 11211
MAX_PREFIX_LENGTH = 49  # memcached's names have at most 250 bytes, our keys 200
MAX_TURNS = 100  # how often others may be faster before we give up
MAX_INLINE_BYTES = 16_384  # in the manifest itself: who swaps or deletes a value reads its manifest first
DEFAULTS = {"chunk_bytes": MAX_CHUNK_BYTES, "connect_timeout_s": 3.0, "timeout_s": 10.0}

_EXPECTED = "expected memcached://host:port[,host:port]/prefix"

_Found = tuple[Manifest | None, Any]  # and memcached's token


class MemcachedStore(Store):
    """Keys `prefix/key` on `servers`, (host, port) each. Makes no connection before it needs one.

    chunk_bytes: the longest value, or part of one, in an item. Times in seconds, `timeout_s` of one send or receive.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        prefix: str = "",
        *,
        chunk_bytes: int = MAX_CHUNK_BYTES,
        connect_timeout_s: float = 3.0,
        timeout_s: float = 10.0,
    ) -> None:
        self._prefix = f"{_check_prefix(prefix)}/" if prefix else ""
        if not MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES:
            raise UsageError(f"chunk_bytes={chunk_bytes}: expected {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}")
        self._chunk_bytes = chunk_bytes
        addresses = sorted(set(servers))  # the same places, in whichever order they are named
        options = {"chunk_bytes": chunk_bytes, "connect_timeout_s": connect_timeout_s, "timeout_s": timeout_s}
        names = ",".join(f"{host}:{port}" for host, port in addresses)
        self._url = f"{SCHEME}{names}/{prefix}{show_options(options, DEFAULTS)}"
        self._servers = [Server(host, port, self._url, connect_timeout_s, timeout_s) for host, port in addresses]

    @classmethod
    def from_url(cls, url: str) -> MemcachedStore:
        """`memcached://host:port[,host:port]/prefix[?chunk_bytes=...&timeout_s=...&connect_timeout_s=...]`"""
        parts = split(url, _EXPECTED)
        found = [address(text, DEFAULT_PORT) for text in parts.netloc.split(",")]
        addresses = [one for one in found if one is not None]
        if parts.scheme + "://" != SCHEME or len(addresses) < len(found) or parts.fragment:
            raise UsageError(
                f"{shown(url)} is not a memcached store: {_EXPECTED}, for example memcached://10.0.0.5:11211/r"
            )
        return cls(addresses, parts.path.strip("/"), **read_options(url, parts.query, DEFAULTS))

    @property
    def url(self) -> str:
        return self._url

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def get(self, key: str) -> Versioned:
        server, name = self._place(check_key(key))
        with server.connection() as client:
            item = client.get(name)
        return self._value(key, self._manifest(key, item))

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        """The manifests in one request a server, then the chunks of each value that has some."""
        keys = [check_key(key) for key in keys]
        names: dict[Server, list[str]] = {}
        for key in keys:
            server, name = self._place(key)
            names.setdefault(server, []).append(name)
        items: dict[str, bytes] = {}
        for server, wanted in names.items():
            with server.connection() as client:
                items.update(client.get_many(wanted))
        values = each(keys, lambda key: self._value_or_none(key, items.get(self._prefix + key)))
        return [values[key] for key in keys]

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Manifests are read, chunks only touched."""
        return [key for key in keys if not self._is_there(key)]

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        server, name = self._place(check_key(key))
        parts = buffers(data)
        new: Manifest | None = None
        if if_version is ABSENT:  # most creations meet nothing, so they do not look first
            new = self._write(key, parts)
            with server.connection() as client:
                if client.add(name, new.encode()):
                    return
        for _ in range(MAX_TURNS):
            with server.connection() as client:
                old, token = self._find(client, key, name)
                self._check(key, if_version, old, new)
                if new is None:
                    new = self._write(key, parts)
                item = new.encode()
                won = client.cas(name, item, token) if old else client.add(name, item)
            if won:
                self._remove_chunks(old)
                return
        self._remove_chunks(new)
        raise StoreUnavailable(f"{key!r} in {self.url}: {MAX_TURNS} other writers were faster; try again")

    def delete(self, key: str) -> None:
        server, name = self._place(check_key(key))
        for _ in range(MAX_TURNS):
            with server.connection() as client:
                old, token = self._find(client, key, name)
                # Expired at once: a delete that leaves alone what it has not seen, which `delete` cannot.
                if old is None or client.cas(name, b"", token, expire=-1):
                    self._remove_chunks(old)
                    return
        raise StoreUnavailable(f"{key!r} in {self.url}: {MAX_TURNS} other writers were faster; try again")

    # Manifests

    def _is_there(self, key: str) -> bool:
        server, name = self._place(check_key(key))
        with server.connection() as client:
            manifest = self._manifest(key, client.get(name))
        return manifest is not None and self._is_whole(manifest)

    def _place(self, key: str) -> tuple[Server, str]:
        """The server and the name of a key's manifest, the same for every worker at any time."""
        return self._servers[zlib.crc32(key.encode()) % len(self._servers)], self._prefix + key

    def _find(self, client: Any, key: str, name: str) -> _Found:
        item, token = client.gets(name)
        return self._manifest(key, item), token

    def _manifest(self, key: str, item: bytes | None) -> Manifest | None:
        """Raises StoreError for an item that is not as an nnlite wrote it: not ours to read, nor to replace."""
        if item is None:
            return None
        manifest = Manifest.decode(item)
        if manifest is None:
            raise StoreError(
                f"{key!r} in {self.url} is damaged or foreign: expected a manifest of nnlite, found {item[:40]!r}; "
                "choose another prefix, or delete the item by hand"
            )
        return manifest

    def _check(self, key: str, condition: Condition, old: Manifest | None, new: Manifest | None) -> None:
        """Raises Conflict unless the condition holds; the chunks of `new` were then written for nothing."""
        if condition is None:
            return
        found = Version(old.version) if old and self._is_whole(old) else ABSENT
        if condition != found:
            self._remove_chunks(new)
            both = f"expected {describe(condition)}, found {describe(found)}"
            raise Conflict(f"{key!r} in {self.url}: {both}; read it again")

    # Values

    def _value(self, key: str, manifest: Manifest | None) -> Versioned:
        for _ in range(MAX_TURNS):
            if manifest is None:
                raise NotFound(f"no key {key!r} in {self.url}")
            if not manifest.num_chunks:
                return self._versioned(key, manifest, [manifest.inline])
            found = self._read_chunks(manifest)
            chunks = [chunk for chunk in found if chunk is not None]
            if len(chunks) == len(found):
                return self._versioned(key, manifest, chunks)
            server, name = self._place(key)
            with server.connection() as client:
                newer = self._manifest(key, client.get(name))
            if newer == manifest:  # not replaced under our hands
                lost = f"{len(found) - len(chunks)} of {len(found)} chunks evicted"
                raise NotFound(f"{key!r} in {self.url}: {lost}; give memcached more memory (-m), or write it again")
            manifest = newer
        raise StoreUnavailable(f"{key!r} in {self.url}: replaced {MAX_TURNS} times while it was read; try again")

    def _value_or_none(self, key: str, item: bytes | None) -> Versioned | None:
        try:
            return self._value(key, self._manifest(key, item))
        except NotFound:
            return None

    def _versioned(self, key: str, manifest: Manifest, chunks: list[bytes]) -> Versioned:
        if not manifest.fits(chunks):
            raise StoreError(
                f"{key!r} in {self.url} is damaged: {sum(map(len, chunks)):,} bytes that are not the "
                f"{manifest.num_bytes:,} that were written; delete it, and write it again"
            )
        return Versioned(chunks[0] if len(chunks) == 1 else b"".join(chunks), Version(manifest.version))

    # Chunks

    def _write(self, key: str, parts: list[memoryview]) -> Manifest:
        """Write the chunks, if it needs any, under fresh names. -> the manifest, which is still to be written."""
        num_bytes = sum(map(len, parts))
        if num_bytes <= min(self._chunk_bytes, MAX_INLINE_BYTES):
            return Manifest(fresh_version(), num_bytes, inline=b"".join(parts))
        chunks = cut(parts, self._chunk_bytes)
        manifest = Manifest(fresh_version(), num_bytes, -(-num_bytes // self._chunk_bytes))
        if manifest.num_chunks > MAX_CHUNKS:
            raise StoreError(
                f"cannot write {key!r} in {self.url}: {num_bytes:,} bytes are {manifest.num_chunks:,} chunks, "
                f"{MAX_CHUNKS:,} can be: raise chunk_bytes, or use another store"
            )
        try:
            for number, (name, chunk) in enumerate(zip(manifest.chunk_names(), chunks, strict=True)):
                with self._chunk_server(manifest, number).connection() as client:
                    if not client.set(self._prefix + name, chunk):
                        raise StoreError(f"cannot write {key!r} in {self.url}: a chunk was not stored; try again")
        except BaseException:
            self._remove_chunks(manifest)
            raise
        return manifest

    def _read_chunks(self, manifest: Manifest) -> list[bytes | None]:
        names = [self._prefix + name for name in manifest.chunk_names()]
        chunks: dict[str, bytes] = {}
        for first in range(min(len(self._servers), len(names))):
            with self._chunk_server(manifest, first).connection() as client:
                chunks.update(client.get_many(names[first :: len(self._servers)]))
        return [chunks.get(name) for name in names]

    def _is_whole(self, manifest: Manifest) -> bool:
        """Whether all chunks are there; without reading them."""
        for number, name in enumerate(manifest.chunk_names()):
            with self._chunk_server(manifest, number).connection() as client:
                if not client.touch(self._prefix + name):
                    return False
        return True

    def _remove_chunks(self, manifest: Manifest | None) -> None:
        """Best effort, up to the first failure: what stays behind is evicted in time."""
        if manifest is None:
            return
        with contextlib.suppress(StoreError):
            for number, name in enumerate(manifest.chunk_names()):
                with self._chunk_server(manifest, number).connection() as client:
                    client.delete(self._prefix + name)

    def _chunk_server(self, manifest: Manifest, number: int) -> Server:
        return self._servers[(int(manifest.version, 16) + number) % len(self._servers)]


def _check_prefix(prefix: str) -> str:
    found = shown(f"memcached:///{prefix}")
    if len(prefix) > MAX_PREFIX_LENGTH:
        raise UsageError(f"{found}: a prefix has at most {MAX_PREFIX_LENGTH} characters; shorten it")
    try:
        return check_key(prefix)
    except UsageError:
        raise UsageError(f"{found}: its prefix wants [a-z0-9._/-] as in a key; {_EXPECTED}") from None
