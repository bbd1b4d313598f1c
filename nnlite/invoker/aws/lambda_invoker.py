"""The Lambda platform: invocations of a function, and what its on-failure queue tells of lost ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nnlite.errors import words
from nnlite.invoker.aws.account import explaining
from nnlite.invoker.aws.function import Function
from nnlite.invoker.base import Invocation, Invoker
from nnlite.invoker.recurring import recurs
from nnlite.records import Count, Unsound, fit, parse

NUM_THREADS = 16
QUEUE_EVERY_S = 5.0
_AGAIN = "deploy it again (python -m tools.deploy), then go on by resume="


@dataclass(frozen=True)
class Asked:
    """What an event was sent for."""

    run: str
    worker: Count
    attempt: Count


@dataclass(frozen=True)
class Context:
    """Why Lambda gave up on it."""

    condition: str = "lost"


@dataclass(frozen=True)
class Answered:
    """What the function failed with, if it was one that failed."""

    errorMessage: str = "no answer"  # noqa: N815 (Lambda's names)
    errorType: str = ""  # noqa: N815


@dataclass(frozen=True)
class Lost:
    """A message of the queue, as far as it matters here."""

    requestPayload: Asked  # noqa: N815
    requestContext: Context  # noqa: N815
    responsePayload: Answered | None = None  # noqa: N815


class LambdaInvoker(Invoker):
    """Invokes workers as asynchronous events.

    payload(worker, attempt): the event's bytes. run: whose lost events we take from the queue at `queue_url`; others
    stay there for the commands that wait for them.
    """

    def __init__(
        self,
        run: str,
        function: Function,
        payload: Callable[[int, int], bytes],
        queue_url: str = "",
        clock: Callable[[], float] = time.monotonic,
        queue_every_s: float = QUEUE_EVERY_S,
    ) -> None:
        super().__init__()
        self.run, self.function, self.queue_url = run, function, queue_url
        self._payload, self._clock = payload, clock
        self._queue_every_s, self._asked_s = queue_every_s, clock()

    def invoke(self, worker: int, attempt: int) -> None:
        self.function.invoke(self._payload(worker, attempt))

    def start(self, invocations: Iterable[Invocation]) -> None:
        """Several at a time: a hundred take about a second."""
        self.function.account.client("lambda")  # made here, as making it is not safe between threads
        with ThreadPoolExecutor(NUM_THREADS, "invoke") as pool:
            list(pool.map(lambda invocation: self.invoke(*invocation), invocations))

    def casualties(self) -> list[Invocation]:
        """Events that Lambda gave up on, as far as they are in the queue."""
        if not self.queue_url or self._clock() - self._asked_s < self._queue_every_s:
            return []
        self._asked_s = self._clock()
        lost = []
        with explaining("sqs", "read the queue of lost events"):
            client = self.function.account.client("sqs")
            found = client.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=20)
            for message in found.get("Messages", []):
                one = _lost(message["Body"], self.run)
                if one is None:
                    continue
                client.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                self.events.put(self._event(one))
                lost.append((one.requestPayload.worker, one.requestPayload.attempt))
        return lost

    def _event(self, lost: Lost) -> dict[str, Any]:
        """What is told of an event that Lambda gave up on: an error, if every attempt would fail alike."""
        asked, answer = lost.requestPayload, lost.responsePayload or Answered()
        kind, message = answer.errorType, answer.errorMessage
        if recurs(kind, message):
            says = f"{words(kind)}: {words(message)}" if kind else words(message)
            message = f"the function {self.function.name} fails each time: {says}; {_AGAIN}"
            return {"event": "error", "kind": "RunError", "message": message}
        why = f"{words(lost.requestContext.condition)}: {words(message)}"
        return {"event": "lost", "worker": asked.worker, "attempt": asked.attempt, "why": why}


def _lost(body: str, run: str) -> Lost | None:
    """A message about an invocation of this run; None for one of others."""
    try:
        lost: Lost = fit(Lost, parse(body), partial=True, others=True)
    except Unsound:
        return None
    return lost if lost.requestPayload.run == run else None
