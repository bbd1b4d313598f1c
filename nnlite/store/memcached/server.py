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

import pymemcache
from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
)

from nnlite import required
from nnlite.errors import NnliteError, StoreError, StoreUnavailable, words

RECV_BYTES = 65_536
_OPEN = "nnlite speaks neither TLS nor passwords to a memcached: start one without, on a network of its own"


class _WideSocket(socket.socket):
    """pymemcache reads 4 KB at a time, which for megabytes takes half as long again as 64 KB."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        return super().recv(max(bufsize, RECV_BYTES), flags)


def _addresses(host: str, port: int, *arguments: Any) -> list[Any]:
    """The one address of a server, as pymemcache wants it.

    IPv4 if it has one: "localhost" is ::1 first, where memcached rarely listens. Of a name with several addresses, each
    connection would take the first of whatever order the resolver has just then, and several servers may stand behind
    them, each with a part of the values. Raises StoreError for it.
    """
    found = socket.getaddrinfo(host, port, *arguments)
    family = min((one[0] for one in found), key=lambda family: family != socket.AF_INET)
    of_it = {str(one[4][0]): one for one in found if one[0] == family}
    if len(of_it) > 1:
        shown = [f"[{address}]" if ":" in address else address for address in sorted(of_it)]
        listed = ",".join(f"{address}:{port}" for address in shown)
        raise StoreError(
            f"memcached at {host}:{port}: this name has {len(of_it)} addresses, and behind each may be another server, "
            f"with other values: list them, in every store=: memcached://{listed}/prefix, or name the one server"
        )
    return list(of_it.values())


_SOCKETS = types.ModuleType("sockets")
_SOCKETS.__dict__.update(vars(socket), socket=_WideSocket, getaddrinfo=_addresses)


class Server:
    """Connections to `host:port`, opened when needed and kept; as many as threads use it at the same time.

    store_url: for messages. Times in seconds.
    """

    def __init__(self, host: str, port: int, store_url: str, connect_timeout_s: float, timeout_s: float) -> None:
        self.address = f"{host}:{port}"
        self._where = f"memcached at {self.address} (store={store_url!r})"
        self._timeout_s = timeout_s
        self._has_answered = False
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
        self._has_answered = True
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
            required.check(pymemcache)
            return Client(**self._options)

    def _explained(self, error: Exception) -> StoreError:
        said = error.args[0] if error.args else type(error).__name__
        where, says = self._where, words(said.decode(errors="replace") if isinstance(said, bytes) else said)
        if isinstance(error, OSError):
            return StoreUnavailable(f"{where} {self._unreachable(error)}")
        if isinstance(error, MemcacheUnexpectedCloseError):
            return StoreUnavailable(f"{where} {self._closed()}")
        if isinstance(error, MemcacheServerError) and "too large" in says:
            return StoreError(f"{where}: {says}; start it with larger items (-I 2m), or set ?chunk_bytes= lower")
        if isinstance(error, MemcacheServerError) and "memory" in says:
            return StoreError(f"{where}: {says}; start it with more memory (-m MEGABYTES)")
        if isinstance(error, MemcacheClientError) and "authenticated" in says:
            return StoreError(f"{where}: {says}; it wants a password (-Y), and {_OPEN}")
        if isinstance(error, (MemcacheServerError, MemcacheClientError)):
            return StoreError(f"{where} refuses a command: {says}; is it a memcached?")
        return StoreError(f"{where} does not speak memcached's protocol ({says[:60]}); correct store=")

    def _unreachable(self, error: OSError) -> str:
        says = words(error.strerror or error).lower()
        if isinstance(error, TimeoutError):
            return f"did not answer in {self._timeout_s:g} s; is it up, and the network?"
        if isinstance(error, socket.gaierror):
            return f"cannot be reached: no such host ({says}); correct store="
        if isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return self._closed(f" ({says})")
        advice = "start it, or correct store=" if isinstance(error, ConnectionRefusedError) else "correct store="
        return f"cannot be reached: {says}; {advice}"

    def _closed(self, says: str = "") -> str:
        if self._has_answered:
            return f"closed the connection{says}; was it restarted?"
        return f"closes the connection without an answer{says}; if it wants TLS (-Z) or SASL (-S): {_OPEN}"
