"""Invoker: what every way to start invocations offers to the command that drives a run."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

Invocation = tuple[int, int]  # (worker, attempt)


class Invoker(ABC):
    """Starts invocations of a run's workers: asynchronously, at least once, or never. Nothing is trusted to arrive.

    `events` are what invocations said so far, as dicts with an "event" and the fields of its kind (`invoker.messages`);
    an "error" is one that the next attempt would only meet again, so it ends the run.
    """

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    @abstractmethod
    def invoke(self, worker: int, attempt: int) -> None:
        """Start one invocation, and do not wait for it."""

    def start(self, invocations: Iterable[Invocation]) -> None:
        """Start many."""
        for worker, attempt in invocations:
            self.invoke(worker, attempt)

    def casualties(self) -> list[Invocation]:
        """Invocations that are known to be dead, each told once; the others are found by their leases."""
        return []

    def close(self) -> None:  # noqa: B027 (most platforms outlive the command)
        """The command is through with the run: give back what it holds."""
