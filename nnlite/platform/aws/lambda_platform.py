"""The Lambda platform: invocations of a function, and what its on-failure queue tells of lost ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nnlite.platform.aws.account import explaining
from nnlite.platform.aws.function import Function
from nnlite.platform.base import Invocation, Platform

NUM_THREADS = 16
QUEUE_EVERY_S = 5.0


class LambdaPlatform(Platform):
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
                invocation, why = _lost(message["Body"], self.run)
                if invocation is None:
                    continue
                client.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                self.events.put({"event": "lost", "worker": invocation[0], "attempt": invocation[1], "why": why})
                lost.append(invocation)
        return lost


def _lost(body: str, run: str) -> tuple[Invocation | None, str]:
    """Which invocation of this run a message is about, and why it was lost; None for one of others."""
    try:
        values: dict[str, Any] = json.loads(body)
        payload, context = values["requestPayload"], values["requestContext"]
        if payload["run"] != run:
            return None, ""
        response = values.get("responsePayload") or {}
        why = f"{context.get('condition', 'lost')}: {response.get('errorMessage', 'no answer')}"
        return (int(payload["worker"]), int(payload["attempt"])), why
    except (ValueError, KeyError, TypeError):
        return None, ""
