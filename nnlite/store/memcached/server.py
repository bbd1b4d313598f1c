"""One memcached server: its connections, and what its failures mean.

pymemcache's client is set as it has to be (none of it is its default): every command waits for its reply, as an
`add` without one "succeeds" on a key that exists; no Nagle delay, which costs 40 ms a set; and timeouts.
"""

from __future__ import annotations

import contextlib
import socket
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
)

from nnlite.errors import NnliteError, StoreError, StoreUnavailable

RECV_BYTES = 65_536


class _WideSocket(socket.socket):
    """pymemcache reads 4 KB at a time, which for megabytes takes half as long again as 64 KB."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        return super().recv(max(bufsize, RECV_BYTES), flags)


def _addresses(*arguments: Any) -> list[Any]:
    """pymemcache tries the first address only, and "localhost" is ::1 first, where memcached rarely listens."""
    return sorted(socket.getaddrinfo(*arguments), key=lambda found: found[0] != socket.AF_INET)


_SOCKETS = types.ModuleType("sockets")
_SOCKETS.__dict__.update(vars(socket), socket=_WideSocket, getaddrinfo=_addresses)


class Server:
    """Connections to `host:port`, opened when needed and kept; as many as threads use it at the same time.

    store_url: for messages. Times in seconds.
    """

    def __init__(self, host: str, port: int, store_url: str, connect_timeout_s: float, timeout_s: float) -> None:
        self.address = f"{host}:{port}"
        self._where = f"memcached at {self.address} (--store {store_url})"
        self._timeout_s = timeout_s
        self._idle: deque[Client] = deque()
        self._options = {
            "server": (host.strip("[]"), port),
            "default_noreply": False,
            "no_delay": True,
            "connect_timeout": connect_timeout_s,
            "timeout": timeout_s,
            "socket_module": _SOCKETS,
        }

    @contextlib.contextmanager
    def connection(self) -> Iterator[Client]:
        """A connection for this thread alone. A failure inside closes it and says what it means.

        Raises StoreUnavailable when there is no answer, StoreError when the answer is no use.
        """
        client = self._take()
        try:
            yield client
        except NnliteError:  # ours, some are OSErrors too: the connection is as good as before
            self._idle.append(client)
            raise
        except (MemcacheError, OSError) as error:
            client.close()
            self.close()  # a server that restarted has forgotten the idle ones as well
            raise self._explained(error) from error
        except BaseException:  # Ctrl-C in the middle of a reply: the next command must not read its rest
            client.close()
            raise
        self._idle.append(client)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._idle.pop().close()

    def __del__(self) -> None:  # handles are opened freely; one that nobody closed must not warn of sockets
        self.close()

    def _take(self) -> Client:
        try:
            return self._idle.pop()
        except IndexError:
            return Client(**self._options)

    def _explained(self, error: Exception) -> StoreError:
        where, text = self._where, " ".join(str(error).split())
        if isinstance(error, TimeoutError):
            return StoreUnavailable(f"{where} did not answer in {self._timeout_s:g} s; is it up, and the network?")
        if isinstance(error, MemcacheUnexpectedCloseError):
            return StoreUnavailable(f"{where} closed the connection; was it restarted?")
        if isinstance(error, socket.gaierror):
            return StoreUnavailable(f"{where}: no such host ({error.strerror}); correct --store")
        if isinstance(error, OSError):
            reason = (error.strerror or text).lower()
            return StoreUnavailable(f"{where} cannot be reached: {reason}; start it, or correct --store")
        if isinstance(error, MemcacheServerError) and "too large" in text:
            return StoreError(f"{where} refuses an item of this size: start it with -I 2m, or set ?chunk_bytes= lower")
        if isinstance(error, MemcacheServerError) and "memory" in text:
            return StoreError(f"{where} has no memory left for an item: start it with more (-m MEGABYTES)")
        if isinstance(error, (MemcacheServerError, MemcacheClientError)):
            return StoreError(f"{where} refuses a command: {text or type(error).__name__}; is it a memcached?")
        return StoreError(f"{where} does not speak memcached's protocol ({text[:60]}); correct --store")
