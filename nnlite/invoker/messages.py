"""Messages: what invocations say to the command that drives their run, each kind with the fields that it must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from nnlite.records import Count, Range, Unsound, message

LONGEST_S = 31_536_000  # of an invocation: a year, where sockets can still be told to wait so long


@dataclass(frozen=True)
class OfWorker:
    """Something happened to an attempt of a worker."""

    worker: Count
    attempt: Count


@dataclass(frozen=True)
class OfRound(OfWorker):
    """The same, with the round that it was about."""

    round: Count


@dataclass(frozen=True)
class Because(OfWorker):
    """The same, with a reason."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """An error, and of which class it was."""

    message: str
    kind: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Ready:
    """A function that is up: how long it may run."""

    exec_timeout_s: Annotated[float, Range(0, LONGEST_S)]


FAILURES: dict[str, type[Any]] = {"error": Failed, "unavailable": Failed}
#: of a worker process; the other events of a run are told by its watcher, which is in the command itself
OF_PROCESS: dict[str, type[Any]] = FAILURES | {
    "unable": Failed, "invoke": OfWorker,
    "began": OfWorker, "left": Because, "handed over": OfWorker, "replaced": OfWorker, "woken": OfWorker,
    "taken": OfWorker, "closed": OfRound, "restored": OfRound, "forgotten": OfRound, "uncleaned": Because,
}  # fmt: skip
OF_FUNCTION: dict[str, type[Any]] = FAILURES | {"ready": Ready, "left": Because}


def heard(kinds: dict[str, type[Any]], text: str) -> dict[str, Any] | None:
    """What a text says: an "event", and the fields that its kind has. None for what is no message at all, as libraries
    and servers write into the same pipes and answers; "malformed", with a "reason", for one that is none of `kinds`."""
    try:
        return message(kinds, text)
    except Unsound as fault:
        return {"event": "malformed", "reason": str(fault)}
