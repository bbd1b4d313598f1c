"""One execution environment of a function: the real `awslambdaric` in a process, fed by a Runtime API of ours."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.web import Answer, Request, Web

PERIOD_S = 0.08  # of a quota; processor time is counted in hundredths of a second
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: "answered", "error" (by the function), "timeout", "memory" or "exit"."""

    how: str
    body: bytes = b""
    seconds: float = 0.0


class Container:
    """Handles one invocation at a time; dead after a deadline, a memory limit, or an exit."""

    def __init__(
        self, root: Path, handler: str, environment: dict[str, str], memory_mb: int, log: Path,
        share: float | None = None,
    ) -> None:  # fmt: skip
        self.memory_mb, self.alive, self.num_invocations = memory_mb, True, 0
        self._next: queue.SimpleQueue[tuple[str, bytes, float] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, str, bytes]] = queue.SimpleQueue()
        self._arn = f"arn:aws:lambda:{environment['AWS_REGION']}:{'1' * 12}:function:"
        self._arn += environment["AWS_LAMBDA_FUNCTION_NAME"]
        self._api = Web(self._serve)
        environment = environment | {
            "AWS_LAMBDA_RUNTIME_API": self._api.address, "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(root),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", handler],
                cwd=root, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        if share is not None:
            threading.Thread(target=self._hold, args=(share,), daemon=True).start()

    def _hold(self, share: float) -> None:
        """Let it have so much of a core in every period, as Linux' quota does: what is over is stopped till it is due.
        Starting up is at full speed, as on Lambda."""
        while self.alive and not self.num_invocations:
            time.sleep(PERIOD_S)
        used_s, is_stopped, credit_s, at_s = self._cpu_s(), False, 0.0, time.monotonic()
        while self.alive and self.process.poll() is None:
            time.sleep(PERIOD_S / 4)
            now_s, cpu_s = time.monotonic(), self._cpu_s()
            credit_s = min(credit_s + share * (now_s - at_s) - (cpu_s - used_s), share * PERIOD_S)
            at_s, used_s = now_s, cpu_s
            if is_stopped != (credit_s < 0):
                is_stopped = credit_s < 0
                with contextlib.suppress(ProcessLookupError):
                    self.process.send_signal(signal.SIGSTOP if is_stopped else signal.SIGCONT)

    def _cpu_s(self) -> float:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def invoke(self, event: bytes, told_s: float, timeout_s: float) -> Outcome:
        """Hand it an event, and wait; the time for starting up does not count.

        told_s: what the function is told of its deadline; timeout_s: when it is killed.
        """
        request, began_s = uuid.uuid4().hex, time.monotonic()
        self.num_invocations += 1
        self._taken = threading.Event()
        self._next.put((request, event, told_s))
        deadline_s = None
        while True:
            if deadline_s is None and self._taken.is_set():
                began_s, deadline_s = time.monotonic(), time.monotonic() + timeout_s
            with contextlib.suppress(queue.Empty):
                kind, of, body = self._answers.get(timeout=0.02)
                if kind == "init" or of == request:
                    how = "answered" if kind == "response" else "error"
                    if kind == "init":
                        self.close()
                    return Outcome(how, body, time.monotonic() - began_s)
            for how in ("exit", "memory", "timeout"):
                if self._is(how, deadline_s):
                    self.close()
                    return Outcome(how, b"", time.monotonic() - began_s)

    def _is(self, how: str, deadline_s: float | None) -> bool:
        if how == "exit":
            return self.process.poll() is not None and self._answers.empty()
        if how == "memory":
            return self.rss_mb() > self.memory_mb
        return deadline_s is not None and time.monotonic() > deadline_s

    def rss_mb(self) -> float:
        """Resident memory, 0 for a dead process."""
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20
        return 0.0

    def close(self) -> None:
        if self.alive:
            self.alive = False
            self.process.kill()
            self.process.wait()
            self._next.put(None)
            self._api.close()

    def _serve(self, request: Request) -> Answer:
        parts = request.path.split("/")[2:]  # without /2018-06-01
        if parts == ["runtime", "invocation", "next"]:
            return self._hand_out()
        if parts[:2] == ["runtime", "invocation"]:
            self._answers.put((parts[3], parts[2], request.body))
        elif parts == ["runtime", "init", "error"]:
            self._answers.put(("init", "", request.body))
        else:
            return Answer(404, json.dumps({"errorMessage": request.path}).encode())
        return Answer(202, b'{"status": "OK"}', (("Content-Type", "application/json"),))

    def _hand_out(self) -> Answer:
        found = self._next.get()
        if found is None:
            return Answer(410)
        request, event, timeout_s = found
        self._taken.set()
        headers = (
            ("Lambda-Runtime-Aws-Request-Id", request),
            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + timeout_s) * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", self._arn),
            ("Lambda-Runtime-Trace-Id", "Root=1-0-0"),
            ("Content-Type", "application/json"),
        )
        return Answer(200, event, headers)
