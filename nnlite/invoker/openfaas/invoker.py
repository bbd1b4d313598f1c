"""The OpenFaaS platform: each invocation is a call of a function, answered when it is over, or queued."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from typing import Any

from nnlite.errors import RunError, UsageError, words
from nnlite.invoker.base import Invocation, Invoker
from nnlite.invoker.openfaas.deployed import DeployedWorker, split_name
from nnlite.invoker.openfaas.gateway import ASK_S, NOT_FOUND, Answer, Gateway, TimedOut, Unreachable
from nnlite.invoker.openfaas.logs import hopeless

STYLES = ("sync", "async")
COME_AGAIN = {429, 500, 502, 503}  # full, not listening yet, restarting, none there yet
GATEWAY_TIMEOUT, UNAUTHORIZED = 504, 401
FULL = 429
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5
LOOK_S = 3.0  # of calls that are turned away, until the log is asked why; and again
SPARE_S = 15.0  # how much longer than the function may run we wait for its answer


class OpenFaaSInvoker(Invoker):
    """Calls `function` for every invocation; "{worker}" in its name stands for the worker's number, from 1.

    sync: a call for each invocation at the same time, each waiting for its answer; so its end is known. async: the
    gateway's queue; nothing is known, and leases have to find the dead. A call that is turned away is made again,
    for `patience_s`; one that got no answer is a casualty: whether it lives or not, the next attempt replaces it.
    """

    def __init__(
        self,
        gateway: Gateway,
        run: str,
        store_url: str,
        function: str,
        spec_sha256: str,
        style: str = "sync",
        patience_s: float = 60.0,
        timeout_s: float = 3600.0,
    ):
        if style not in STYLES:
            raise UsageError(f"no invocation style {style!r}; there are {', '.join(STYLES)}")
        split_name(function.replace("{worker}", "1"))
        super().__init__()
        self.gateway, self.run, self.store_url, self.function = gateway, run, store_url, function
        self.spec_sha256 = spec_sha256  #: of the specification that workers are to find
        self.style, self.patience_s, self.timeout_s = style, patience_s, timeout_s
        self._dead: queue.SimpleQueue[Invocation] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def invoke(self, worker: int, attempt: int) -> None:
        thread = threading.Thread(target=self._carry, args=(worker, attempt), daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()

    def casualties(self) -> list[Invocation]:
        """Invocations whose call ended without an answer of ours, each told once."""
        dead = []
        while not self._dead.empty():
            dead.append(self._dead.get())
        return dead

    def close(self, grace_s: float = 2.0) -> None:
        """Wait a moment for answers; what goes on then, sees at the store that the run is over."""
        self._closed.set()
        until = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.gateway.close()

    def check(self, workers: range) -> None:
        """Raise RunError, in one line, for what would keep a run from starting: before anything is uploaded."""
        names = sorted({self._name(worker) for worker in workers})
        deployed: dict[str, DeployedWorker] = {}
        for namespace in sorted({split_name(name)[1] for name in names}):
            deployed.update(self.gateway.functions(namespace))
        for name in names:
            if name not in deployed:
                there = ", ".join(sorted(deployed)) or "nothing"
                raise RunError(
                    f"function {name!r} is not deployed at {self.gateway.url} (there: {there}): "
                    "python -m tools.deploy --platform openfaas"
                )
            self._ask(name)

    def scale(self, workers: int) -> None:
        """Have replicas enough for all workers at once, as far as the function may have them, and wait for them."""
        if "{worker}" in self.function:
            return  # one function a worker
        found = self.gateway.function(self.function)
        if found is None:
            return  # gone since it was checked: calls will say so
        wanted = math.ceil(workers / found.room)
        if found.most is not None:
            wanted = min(found.most, wanted)
        if wanted > found.replicas:
            self.gateway.scale(self.function, wanted)
        pause_s, until = FIRST_PAUSE_S, time.monotonic() + self.patience_s
        while self._available(wanted) < wanted:
            if time.monotonic() > until:
                return  # fewer have to do: calls that are turned away come again
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 1.5 * pause_s)

    def _available(self, wanted: int) -> int:
        """Replicas that listen; where nobody says how many, as many as are wanted."""
        found = self.gateway.function(self.function)
        return wanted if found is None or found.available is None else found.available

    def _name(self, worker: int) -> str:
        return self.function.replace("{worker}", str(worker + 1))

    def _ask(self, name: str) -> None:
        """Whether the function is up, knows our secret, and reaches the store; it may have to start first."""
        body = json.dumps({"check": self.store_url}).encode()
        answer = self._until_taken(name, lambda: self.gateway.call(name, body, 4 * ASK_S))
        event = answer.event or {}
        if event.get("event") == "ready":
            self.timeout_s = event["exec_timeout_s"] + SPARE_S
            return
        said = event.get("message") or f"HTTP {answer.status}: {words(answer.text)}"
        raise RunError(f"function {name} at {self.gateway.url}: {said}")

    def _carry(self, worker: int, attempt: int) -> None:
        """One invocation, from its call to its end; runs in a thread of its own."""
        payload = {"run": self.run, "store": self.store_url, "worker": worker, "attempt": attempt}
        payload["spec"] = self.spec_sha256
        body, name = json.dumps(payload, sort_keys=True).encode(), self._name(worker)
        doubt: list[str] = []  # why the worker may have begun without our knowing
        try:
            if self.style == "async":
                answer = self._until_taken(name, lambda: self.gateway.queue(name, body), doubt)
            else:
                answer = self._until_taken(name, lambda: self.gateway.call(name, body, self.timeout_s), doubt)
        except TimedOut as error:
            answer = Answer(GATEWAY_TIMEOUT, str(error))
        except RunError as error:
            self.events.put({"event": "error", "kind": "RunError", "message": str(error)})
            return
        self._end(worker, attempt, answer, bool(doubt))

    def _until_taken(self, name: str, call: Any, doubt: list[str] | None = None) -> Answer:
        """Call again and again while we are turned away; the last answer, when patience or the run is over.

        Raises RunError when the function can only fail, as its log says.
        """
        pause_s, began_s = FIRST_PAUSE_S, time.monotonic()
        until, look_s = began_s + self.patience_s, began_s + LOOK_S
        while True:
            try:
                answer: Answer = call()
            except Unreachable as error:
                answer = Answer(502, str(error))
            if answer.event is not None or answer.status not in COME_AGAIN:
                return answer
            if doubt is not None and answer.status in (500, 502):
                doubt.append(answer.text)
            if answer.status != FULL and time.monotonic() > look_s:
                self._look(name)
                look_s = time.monotonic() + LOOK_S
            if time.monotonic() > until or self._closed.wait(pause_s):
                return answer
            pause_s = min(LONGEST_PAUSE_S, 1.5 * pause_s)

    def _look(self, name: str) -> None:
        """Raise RunError when the function's log tells an error that it can only meet again."""
        why = hopeless(self.gateway.log(name))
        if why is not None:
            raise RunError(
                f"function {name} at {self.gateway.url} fails each time: {why}; deploy it again "
                "(python -m tools.deploy --platform openfaas)"
            )

    def _end(self, worker: int, attempt: int, answer: Answer, doubt: bool) -> None:
        event = answer.event
        if self.style == "async" and answer.status < 300:
            return
        if event is not None and event["event"] == "left":
            if doubt:  # an earlier call of this attempt may have begun, and died: its lease tells
                self._dead.put((worker, attempt))
            return
        if event is not None and event["event"] == "error":
            self.events.put(event)
        elif answer.status in (NOT_FOUND, UNAUTHORIZED):
            message = f"function {self._name(worker)} at {self.gateway.url}: {answer.status} {words(answer.text)}"
            self.events.put({"event": "error", "kind": "RunError", "message": message})
        else:
            what = words((event or {}).get("message") or f"HTTP {answer.status} {answer.text}")
            self.events.put({"event": "unavailable", "message": f"worker {worker}, attempt {attempt}: {what}"})
            self._dead.put((worker, attempt))
