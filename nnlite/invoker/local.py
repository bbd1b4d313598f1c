"""The local platform: worker processes on this machine."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from nnlite.errors import RunError, words
from nnlite.invoker.base import Invocation, Invoker
from nnlite.invoker.messages import OF_PROCESS, heard
from nnlite.invoker.processor import blas_of
from nnlite.invoker.recurring import recurs
from nnlite.records import MOST_BYTES

MODULE = "nnlite.runtime.local_process"  # what a worker process runs
# Started with the very path that modules are imported from here. PYTHONPATH would not do: it comes before the standard
# library, so whatever lies beside an installed nnlite, such as a backport of a standard module, would come first, too.
# What fails on import would fail in each process that took the place of this one: it says so, as a worker does.
BOOT = """
import sys
module, *sys.path[:] = sys.argv[1:]
try:
    import importlib
    main = importlib.import_module(module).main
except Exception as error:
    import json
    print(json.dumps({"event": "unable", "kind": type(error).__name__, "message": str(error)}), flush=True)
    sys.exit(1)
sys.exit(main())
"""


class LocalInvoker(Invoker):
    """Starts processes of `nnlite.runtime.local_process` for groups of invocations, and knows when they die.

    Messages go through pipes, one JSON object a line: the payload in, events out. A process whose input pipe
    closes ends itself, so nothing outlives the command that started it, however that ends.
    """

    def __init__(
        self,
        run: str,
        store_url: str,
        num_processes: int,
        blas_threads: int = 1,
        cpu_share: float | None = None,
        spec_sha256: str | None = None,
        case_file: tuple[str, str] | None = None,
    ):
        if num_processes < 1:
            raise RunError(f"{num_processes} processes: wanted at least 1")
        super().__init__()
        self.run, self.store_url = run, store_url
        self.num_processes, self.blas_threads = num_processes, blas_threads
        self.cpu_share = cpu_share  #: of one core, that each process may use; None: all it gets
        self.spec_sha256 = spec_sha256  #: of the specification that workers are to find
        self.case_file = case_file  #: path and SHA-256 of what defines the run's own layers, which workers run first
        self._processes: list[_Process] = []
        self._dead: queue.SimpleQueue[Invocation] = queue.SimpleQueue()
        self._first_malformed = threading.Lock()  #: taken by the message that is told of; one says it for all

    def start(self, invocations: Iterable[Invocation]) -> None:
        """Spread many invocations evenly over the processes."""
        all_of_them = list(invocations)
        count = min(self.num_processes, len(all_of_them))
        for index in range(count):
            self._spawn(all_of_them[index::count])

    def invoke(self, worker: int, attempt: int) -> None:
        """Start one more invocation, in a process of its own."""
        self._spawn([(worker, attempt)])

    def casualties(self) -> list[Invocation]:
        """Invocations whose process died under them, each told once."""
        return _drain(self._dead)

    def pids(self) -> list[int]:
        """Process ids of what is running."""
        return [p.popen.pid for p in self._processes if p.popen.poll() is None]

    def close(self, grace_s: float = 2.0) -> None:
        """Let processes end that are about to, ask the others to, and wait for all of them."""
        until_s = time.monotonic() + grace_s
        for process in self._processes:
            process.ask_to_end()
        for process in self._processes:
            process.close(max(0.0, until_s - time.monotonic()))
        self._processes.clear()

    def _spawn(self, invocations: list[Invocation]) -> None:
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        environment.update(blas_of(self.blas_threads))
        command = [sys.executable, "-c", BOOT, MODULE, *sys.path]
        began_s = time.monotonic()
        try:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for the command alone: it ends its workers itself
            )
        except OSError as error:
            raise RunError(f"cannot start a worker process: {error}") from error
        payload = {"store": self.store_url, "run": self.run, "invocations": invocations, "began_s": began_s}
        payload |= {"cpu_share": self.cpu_share, "spec": self.spec_sha256, "case_file": self.case_file}
        self._processes.append(_Process(popen, payload, self._hear, self._dead))

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "invoke":
            try:
                self.invoke(event["worker"], event["attempt"])
            except RunError as error:  # we are in a listening thread: the reader of `events` has to know
                self.events.put(_error(str(error)))
        elif event["event"] == "unable":
            self.events.put(self._unable(event["kind"], event["message"]))
        elif event["event"] != "malformed" or self._first_malformed.acquire(blocking=False):
            self.events.put(event)

    def _unable(self, kind: str, message: str) -> dict[str, Any]:
        """What is told of a process that could not even begin: an error, if the next one would fail alike."""
        says = f"a worker process cannot start: {words(kind)}: {words(message)}"
        if not recurs(kind, message):
            return {"event": "unavailable", "message": says}
        return _error(f"{says}; install nnlite again for {sys.executable}, then go on by resume=")


def _error(message: str) -> dict[str, Any]:
    return {"event": "error", "kind": "RunError", "message": message}


class _Process:
    """One process, and a thread that listens to it."""

    def __init__(
        self, popen: subprocess.Popen[str], payload: dict[str, Any], hear: Any, dead: queue.SimpleQueue[Invocation]
    ):
        self.popen = popen
        self._hear, self._dead = hear, dead
        self._alive = {tuple(invocation) for invocation in payload["invocations"]}
        self._send(payload)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _send(self, payload: dict[str, Any]) -> None:
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(json.dumps(payload) + "\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            return  # it died at once: `_listen` reads the end of its output and says so

    def _listen(self) -> None:
        stdout = self.popen.stdout
        assert stdout is not None
        for line in iter(lambda: stdout.readline(MOST_BYTES), ""):
            event = heard(OF_PROCESS, line)
            if event is None:
                continue
            if event["event"] == "left":
                self._alive.discard((event["worker"], event["attempt"]))
            self._hear(event)
        self.popen.wait()
        for worker, attempt in sorted(self._alive):
            self._dead.put((worker, attempt))

    def ask_to_end(self) -> None:
        """A worker that is still busy stops where it stands, and only writes down the rest of its trace."""
        if self._alive:
            self.popen.terminate()

    def close(self, grace_s: float) -> None:
        try:
            self.popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
        self._alive.clear()
        self.popen.wait()
        self._thread.join()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what could not be sent to a process that died at once
                    pipe.close()


def _drain(source: queue.SimpleQueue[Invocation]) -> list[Invocation]:
    drained = []
    while not source.empty():
        drained.append(source.get())
    return drained
