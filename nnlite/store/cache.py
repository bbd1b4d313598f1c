"""Caching: a near store that keeps copies of what never changes. It can only make things faster.

Only immutable objects are kept: checkpoints, contributions, updates and shards; never heads, leases or specs.
A near store that is down, full, emptied or damaged is as good as none. Each copy carries the key's far version
and a checksum; its name is a hash of the far store's URL and the key, so many stores may share a near one.

A copy may outlive the far object, which is harmless as names are never used again. So a run's id must not be
used a second time with the same near store; `tools.train` draws a fresh one for each run.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

from nnlite.errors import StoreError
from nnlite.store.base import Condition, Data, Store, Version, Versioned, check_key
from nnlite.store.wrapper import Wrapper

_IMMUTABLE = re.compile(r"runs/[^/]+/(ckpt|rounds|updates)/.*|datasets/.*")
_COPY = re.compile(rb"nnlite-copy ([!-~]{1,200}) (\d{1,15}) ([0-9a-f]{8})\n")


def is_immutable(key: str) -> bool:
    """Whether, by our names, what is written under `key` is never replaced."""
    return _IMMUTABLE.fullmatch(key) is not None


class Caching(Wrapper):
    """`far`, with copies of immutable values in `near`.

    immutable: tells it of a key. max_bytes: as much as this handle leaves in `near`, oldest copies out first.
    """

    def __init__(
        self,
        far: Store,
        near: Store,
        immutable: Callable[[str], bool] = is_immutable,
        *,
        max_bytes: int = 256_000_000,
        url: str = "",
    ) -> None:
        super().__init__(far, url=url)
        self.near = near
        self._immutable, self._max_bytes = immutable, max_bytes
        self._far_url = far.url
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._counting = threading.Lock()

    def get(self, key: str) -> Versioned:
        if not self._immutable(check_key(key)):
            return self.inner.get(key)
        copy = self._copies([key])[0]
        if copy is None:
            copy = self.inner.get(key)
            self._keep(key, copy)
        return copy

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        keys = [check_key(key) for key in keys]
        values: dict[str, Versioned | None] = {}
        asked = [key for key in keys if self._immutable(key)]
        if asked:
            values = {key: copy for key, copy in zip(asked, self._copies(asked), strict=True) if copy}
        missing = list(dict.fromkeys(key for key in keys if key not in values))
        if missing:
            for key, value in zip(missing, self.inner.get_many(missing), strict=True):
                values[key] = value
                if value is not None and self._immutable(key):
                    self._keep(key, value)
        return [values[key] for key in keys]

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        self.inner.put(key, data, if_version=if_version)
        if self._immutable(key):  # kept when it is read: only then is its version known
            self._drop(self._name(key))

    def delete(self, key: str) -> None:
        self.inner.delete(key)
        if self._immutable(key):
            self._drop(self._name(key))

    def delete_many(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self.inner.delete_many(keys)
        for key in filter(self._immutable, keys):
            self._drop(self._name(key))

    def forget(self, key: str) -> None:
        self._drop(self._name(check_key(key)))
        super().forget(key)

    def close(self) -> None:
        super().close()
        self.near.close()

    def _name(self, key: str) -> str:
        return f"copies/{hashlib.sha256(f'{self._far_url} {key}'.encode()).hexdigest()}"

    def _copies(self, keys: list[str]) -> list[Versioned | None]:
        """Of each key its copy, if there is a sound one."""
        try:
            found = self.near.get_many(self._name(key) for key in keys)
        except StoreError:
            return [None] * len(keys)
        return [_unpacked(copy.data) if copy else None for copy in found]

    def _keep(self, key: str, value: Versioned) -> None:
        header = f"nnlite-copy {value.version} {len(value.data)} {zlib.adler32(value.data):08x}\n".encode()
        name, size = self._name(key), len(header) + len(value.data)
        if not _COPY.fullmatch(header) or size > self._max_bytes:
            return
        with self._counting:
            self._sizes.pop(name, None)
            self._sizes[name] = size
            too_many = []
            while sum(self._sizes.values()) > self._max_bytes:
                too_many.append(next(iter(self._sizes)))
                del self._sizes[too_many[-1]]
        for old in too_many:
            self._drop(old)
        with contextlib.suppress(StoreError):
            self.near.put(name, [header, value.data])

    def _drop(self, name: str) -> None:
        with self._counting:
            self._sizes.pop(name, None)
        with contextlib.suppress(StoreError):
            self.near.delete(name)


def _unpacked(copy: bytes) -> Versioned | None:
    """The value in a copy; None if it is damaged."""
    header = _COPY.match(copy)
    if header is None:
        return None
    data = copy[header.end() :]
    if len(data) != int(header[2]) or zlib.adler32(data) != int(header[3], 16):
        return None
    return Versioned(data, Version(header[1].decode()))
