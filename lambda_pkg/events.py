"""Events: what the function can be asked for, read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnlite.errors import RunError
from nnlite.records import Record
from nnlite.runtime.invocation import Payload


@dataclass(frozen=True)
class Visit(Record, what="a call for repair", error=RunError):
    """What the schedule sends: look after the detached runs."""

    action: str
    store: str  #: URL of the stack's store
    rule: str  #: name of the schedule's rule, which rests while there are none


def read(event: Any) -> Payload | Visit:
    """An event as Lambda hands it over. Raises RunError for anything else than these two."""
    if isinstance(event, dict) and event.get("action") == "repair":
        return Visit.from_values(event, "the event")
    return Payload.from_values(event, "the event")
