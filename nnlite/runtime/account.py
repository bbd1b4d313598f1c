"""The account of a run: what its processes said they used, added up."""

from __future__ import annotations

from typing import Any

from nnlite.cost.usage import Usage, total
from nnlite.platform.base import Platform
from nnlite.runtime.performer import Teller


class Account:
    """Collects "usage" events. Each holds the sum so far of its process, so the last of each counts.

    `phases`: process -> its accounts from the ends of training and scoring, in order.
    """

    def __init__(self) -> None:
        self.processes: dict[Any, Usage] = {}
        self.phases: dict[Any, list[tuple[str, Usage]]] = {}

    def listening(self, tell: Teller) -> Teller:
        """A teller that takes in what is told, and hands on what is not for us."""

        def listen(event: str, values: dict[str, Any]) -> None:
            if event == "usage":
                self.take(values)
            else:
                tell(event, values)

        return listen

    def take(self, values: dict[str, Any]) -> None:
        """Take in one event."""
        process, usage = values["process"], Usage.from_values(values)
        self.processes[process] = usage
        if values["phase"]:
            self.phases.setdefault(process, []).append((values["phase"], usage))

    def finish(self, platform: Platform | None) -> None:
        """The run is over: take in what nobody has listened to any more."""
        while platform is not None and not platform.events.empty():
            event = platform.events.get()
            if event["event"] == "usage":
                self.take(event)

    def total(self) -> Usage:
        """All processes together."""
        return total(self.processes.values())
