"""A store in the memory of this process: for tests, the simulator, and runs on one machine's threads."""

import itertools
import threading
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from nnlite.errors import Conflict, NotFound, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe
from nnlite.store.urls import refuse_options, shown

SCHEME = "memory://"


@dataclass
class _Space:
    """What all handles of one name share."""

    values: dict[str, Versioned] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    writes: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))


_named: dict[str, _Space] = {}
_naming = threading.Lock()


class MemoryStore(Store):
    """A dictionary behind a lock.

    name: two handles of the same name are the same store, for as long as the process lives;
    without a name every handle is a store of its own.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        with _naming:
            self._space = _named.setdefault(name, _Space()) if name else _Space()

    @classmethod
    def from_url(cls, url: str) -> "MemoryStore":
        """`memory://` or `memory://name`."""
        if not url.startswith(SCHEME):
            raise UsageError(f"{shown(url)} is not the URL of a memory store: expected memory:// or memory://name")
        refuse_options(url)
        return cls(unquote(url.removeprefix(SCHEME)))

    @property
    def url(self) -> str:
        return SCHEME + quote(self._name)

    def get(self, key: str) -> Versioned:
        value = self._space.values.get(check_key(key))  # one dictionary look-up is atomic: no lock
        if value is None:
            raise NotFound(f"no key {key!r} in {self.url}")
        return value

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        check_key(key)
        copy = b"".join(buffers(data))  # the caller may change its own afterwards
        with self._space.lock:
            old = self._space.values.get(key)
            found = old.version if old else ABSENT
            if if_version not in (None, found):
                both = f"expected {describe(if_version)}, found {describe(found)}"
                raise Conflict(f"{key!r} in {self.url}: {both}; read it again")
            self._space.values[key] = Versioned(copy, Version(str(next(self._space.writes))))

    def folders(self, under: str) -> list[str]:
        """Names of the folders right below the folder `under` (with a slash at its end), sorted."""
        below = (key.removeprefix(under) for key in list(self._space.values) if key.startswith(under))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def delete(self, key: str) -> None:
        check_key(key)
        with self._space.lock:
            self._space.values.pop(key, None)
