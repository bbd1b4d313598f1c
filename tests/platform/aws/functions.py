"""Lambda's Invoke for tests: events are queued, retried, throttled, doubled and lost, as Lambda may."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.platform.aws.container import Container, Outcome
from tests.web import Answer


@dataclass(frozen=True)
class Deployed:
    """A function as it was deployed."""

    name: str
    root: Path  #: of the unzipped bundle
    handler: str
    memory_mb: int
    timeout_s: float
    reserved: int | None = None


@dataclass
class Faults:
    """What goes wrong, by chance: fractions of the events, drawn from one seed."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))
    doubled_rate: float = 0.0  #: events that are handled twice
    dropped_rate: float = 0.0  #: events that nobody hears of again
    throttled_rate: float = 0.0  #: calls that are answered with 429
    small_rate: float = 0.0  #: invocations that have `small_mb` of memory
    small_mb: int = 40
    short_rate: float = 0.0  #: invocations that are ended after `short_s`, whatever they were told
    short_s: float = 0.6
    most: int = 10**9  #: at most so many faults in all

    def draws(self, rate: float) -> bool:
        if rate and self.most > 0 and self.rng.random() < rate:
            self.most -= 1
            return True
        return False


@dataclass(frozen=True)
class Record:
    """One invocation that took place."""

    event: dict
    outcome: Outcome
    cold: bool


class Functions:
    """All functions of an account.

    deployed(name): the function, or None. lost(message): puts a message into the on-failure queue. max_retries: of an
    event whose function failed.
    """

    def __init__(
        self, deployed: Callable[[str], Deployed | None], environment: dict[str, str], folder: Path,
        lost: Callable[[dict], None], max_retries: int,
    ) -> None:  # fmt: skip
        self.deployed, self.environment, self.folder, self.lost = deployed, environment, folder, lost
        self.concurrency, self.max_retries, self.retry_s, self.max_age_s = 10, max_retries, 0.3, 60.0
        self.faults, self.holds = Faults(), False  #: whether processes get the share of a core that memory buys
        self.records: list[Record] = []
        self.calls: list[tuple[float, dict]] = []  #: every call of Invoke that was taken, with its time
        self._lock, self._open, self._epoch = threading.Lock(), True, 0
        self._warm: list[tuple[Deployed, Container]] = []
        self._busy: list[Container] = []
        self._num_busy = 0

    def invoke(self, name: str, kind: str, payload: bytes) -> Answer:
        """The answer of Lambda's API to an Invoke."""
        function = self.deployed(name)
        if function is None:
            return _refusal(404, "ResourceNotFoundException", f"Function not found: {name}")
        if self.faults.draws(self.faults.throttled_rate):
            return _refusal(429, "TooManyRequestsException", "Rate Exceeded.")
        event = json.loads(payload or b"{}")
        if kind == "RequestResponse":
            outcome = self._try(function, payload, event)
            if outcome is None:
                return _refusal(429, "TooManyRequestsException", "Rate Exceeded.")
            failed = (("X-Amz-Function-Error", "Unhandled"),) if outcome.how != "answered" else ()
            return Answer(200, outcome.body or json.dumps({"errorMessage": outcome.how}).encode(), failed)
        self.calls.append((time.monotonic(), event))
        if not self.faults.draws(self.faults.dropped_rate):
            for _ in range(2 if self.faults.draws(self.faults.doubled_rate) else 1):
                threading.Thread(target=self._deliver, args=(name, payload, event), daemon=True).start()
        return Answer(202)

    def _deliver(self, name: str, payload: bytes, event: dict) -> None:
        """What becomes of an event: tried again after failures, given up on when it is too old."""
        began_s, failures, epoch = time.monotonic(), 0, self._epoch
        condition, body = "EventAgeExceeded", b""
        while self._open and epoch == self._epoch and time.monotonic() - began_s < self.max_age_s:
            function = self.deployed(name)
            if function is None:
                return
            if function.reserved == 0:
                condition = "ZeroReservedConcurrency"
                break
            outcome = self._try(function, payload, event)
            if outcome is None:  # throttled: stays in the queue
                time.sleep(0.05)
                continue
            if outcome.how == "answered":
                return
            failures, body = failures + 1, outcome.body or json.dumps({"errorMessage": outcome.how}).encode()
            if failures > self.max_retries:
                condition = "RetriesExhausted"
                break
            time.sleep(self.retry_s * failures)
        if self._open and epoch == self._epoch:
            context = {"condition": condition, "approximateInvokeCount": failures}
            response = json.loads(body) if body else None
            self.lost({"requestContext": context, "requestPayload": event, "responsePayload": response})

    def _try(self, function: Deployed, payload: bytes, event: dict) -> Outcome | None:
        """One invocation, or None when there are too many."""
        limit = self.concurrency if function.reserved is None else function.reserved
        memory_mb, timeout_s = function.memory_mb, function.timeout_s
        with self._lock:
            if self._num_busy >= limit or not self._open:
                return None
            self._num_busy += 1
            small, short = self.faults.draws(self.faults.small_rate), self.faults.draws(self.faults.short_rate)
            warm = None if small else next((w for w in reversed(self._warm) if w[0] == function), None)
            if warm:
                self._warm.remove(warm)
        try:
            memory_mb = self.faults.small_mb if small else memory_mb
            container = warm[1] if warm else self._start(function, memory_mb)
            self._busy.append(container)
            outcome = container.invoke(payload, timeout_s, self.faults.short_s if short else timeout_s)
            self._busy.remove(container)
            self.records.append(Record(event, outcome, warm is None))
        finally:
            with self._lock:
                self._num_busy -= 1
                if container.alive:
                    self._warm.append((function, container))
        return outcome

    def _start(self, function: Deployed, memory_mb: int) -> Container:
        environment = self.environment | {
            "AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }  # fmt: skip
        share = min(1.0, memory_mb / 1769) if self.holds and memory_mb < 1769 else None
        log = self.folder / f"{function.name}.log"
        return Container(function.root, function.handler, environment, memory_mb, log, share)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def idle(self, timeout_s: float = 30.0) -> None:
        """Wait until nothing runs."""
        end_s = time.monotonic() + timeout_s
        while self._num_busy and time.monotonic() < end_s:
            time.sleep(0.02)

    def cool(self) -> None:
        """End all processes that wait for events: the next ones start cold."""
        self.idle()
        with self._lock:
            cooled, self._warm = self._warm, []
        for _, container in cooled:
            container.close()

    def reset(self) -> None:
        """End what is still under way, a little later, and forget it."""
        self.idle(5.0)
        self._epoch += 1
        for container in list(self._busy):
            container.process.kill()
        self.idle(5.0)
        self.faults = Faults()
        self.records.clear()
        self.calls.clear()

    def close(self) -> None:
        self._open = False
        for container in [*self._busy, *(warm[1] for warm in self._warm)]:
            container.close()
        self._warm.clear()


def _refusal(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return Answer(status, body, (("x-amzn-ErrorType", code), ("Content-Type", "application/json")))
