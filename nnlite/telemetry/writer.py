"""The trace writer: puts batches of an invocation's trace into the store, beside its work.

One batch is on its way at a time, in a thread of its own. Whatever goes wrong here never hurts the run: what could not
be put is put with the next batch, up to a limit.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from nnlite.errors import Conflict, NnliteError
from nnlite.invoker.processor import usable_cores
from nnlite.protocol.records.keys import Keys
from nnlite.store import ABSENT, Store
from nnlite.telemetry import format
from nnlite.telemetry.format import Span

Lines = list[Span | dict[str, Any]]
MAX_LINES = 50_000  # kept for a store that does not answer; what comes then is left out
MAX_TAKEN = 3  # names tried that another invocation has taken
LAST_WORDS_S = 5.0  # how long an invocation that is over waits for its last batch


class TraceWriter:
    """Batches of one invocation. `began_unix_s`: the wall clock where the invocation's own clock is 0. wrote(bytes)
    is told of each, in the thread that puts them."""

    def __init__(
        self,
        store: Store,
        run: str,
        worker: int,
        attempt: int,
        began_unix_s: float,
        is_cold: bool,
        wrote: Callable[[int], None] | None = None,
    ):
        self._store, self._keys, self._worker, self._attempt = store, Keys(run), worker, attempt
        self._header = {"run": run, "worker": worker, "attempt": attempt, "began_unix_s": round(began_unix_s, 6)}
        self._first = {"cold_start": is_cold, "environment": environment()}
        self._wrote = wrote
        self._batch = 0  #: the next number
        self._kept: Lines = []  #: what is on its way, or could not be put
        self._num_lost = 0
        self._thread: threading.Thread | None = None

    def offer(self, take: Callable[[], Lines]) -> bool:
        """Put what `take` gives, without waiting for it; not now, if a batch is still on its way. -> whether"""
        if self._thread is not None and self._thread.is_alive():
            return False
        self.keep(take())
        self._start()
        return True

    def keep(self, lines: Lines) -> None:
        """These are to be put with the next batch."""
        room = MAX_LINES - len(self._kept)
        self._num_lost += max(0, len(lines) - room)
        self._kept.extend(lines[:room])  # in place, as what goes is deleted: a batch may be on its way

    def finish(self) -> None:
        """Put what is kept, and wait a little for it to be there. Finishing again waits again, if it has to."""
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)
            if self._thread.is_alive():
                return
        self._start()
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)

    def _start(self) -> None:
        if self._kept:
            thread = threading.Thread(target=self._put, daemon=True, name="trace")
            with suppress(RuntimeError):  # no more threads to be had
                thread.start()
                self._thread = thread

    def _put(self) -> None:
        header = {**self._header, "batch": self._batch, **(self._first if self._batch == 0 else {})}
        if self._num_lost:
            header["num_lost"] = self._num_lost
        kept = list(self._kept)
        data = format.encode(header, kept)
        for _ in range(MAX_TAKEN):
            key = self._keys.trace(self._worker, self._attempt, self._batch)
            self._batch += 1
            try:
                self._store.put(key, data, if_version=ABSENT)
            except Conflict:
                continue  # another invocation of this very attempt was here: the next name
            except (NnliteError, OSError):
                self._batch -= 1  # perhaps it is there all the same; then the next batch, with the same lines, follows
                return
            del self._kept[: len(kept)]
            if self._wrote is not None:
                self._wrote(len(data))
            return


def environment() -> dict[str, Any]:
    """What a reader of a trace wants to know of the machine; nothing that names it."""
    system = os.uname()
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "system": f"{system.sysname} {system.release} {system.machine}",
        "cpus": usable_cores(),
        "cpu": _cpu_model(),
    }


def _cpu_model() -> str:
    with suppress(OSError), open("/proc/cpuinfo", "rb") as file:
        for line in file.read(4000).decode(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown"
