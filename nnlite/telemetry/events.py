"""Events: what happens to a run while somebody watches it, as values of types.

Between processes an event is a JSON object with a name; `typed` makes these of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnlite.protocol.counting import number


@dataclass(frozen=True)
class Event:
    """Something that happened to a run."""


@dataclass(frozen=True)
class RoundClosed(Event):
    """All workers' weights of a round were merged; in downpour, a checkpoint was made of updates."""

    round: int  #: from 1; in downpour, of the checkpoint
    samples: int  #: trained on in it, by all workers
    loss: float | None  #: mean over the training samples
    seconds: float | None


@dataclass(frozen=True)
class Evaluated(Event):
    """The test split was scored with the weights after a round; 0: with those the run began with."""

    round: int
    test_accuracy: float | None
    test_loss: float | None


@dataclass(frozen=True)
class WorkerBegan(Event):
    """An invocation of a worker has come to work."""

    worker: int
    attempt: int


@dataclass(frozen=True)
class WorkerLeft(Event):
    """An invocation of a worker has ended in good order."""

    worker: int
    attempt: int
    reason: str = ""


@dataclass(frozen=True)
class WorkerReplaced(Event):
    """A worker gave no sign of life, and was started again."""

    worker: int
    attempt: int  #: the new one


@dataclass(frozen=True)
class WorkerHandedOver(Event):
    """An invocation has come near its deadline, and the worker goes on in another."""

    worker: int
    attempt: int  #: the new one


@dataclass(frozen=True)
class InvocationLost(Event):
    """The platform has said that a worker was not started, or did not end well."""

    worker: int
    reason: str


@dataclass(frozen=True)
class InvocationEnded(Event):
    """A process, or a function, has ended for a reason that the next attempt may not meet."""

    reason: str


@dataclass(frozen=True)
class RunRestored(Event):
    """The store had forgotten the run: it goes on from a durable checkpoint."""

    round: int


@dataclass(frozen=True)
class ContributionForgotten(Event):
    """The store has forgotten what a worker contributed to a round: it is made again."""

    round: int


@dataclass(frozen=True)
class Told(Event):
    """Anything else, for people: what it is called, and its values."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


def typed(name: str, values: Mapping[str, Any]) -> list[Event]:
    """The events that one message tells of. A round's message has the score of the weights that it began with."""
    if name == "round":
        found: list[Event] = []
        if values["accuracy"] is not None:
            found.append(Evaluated(values["round"], values["accuracy"], values["score_loss"]))
        if values["num_samples"]:
            closed = (number(values["round"]), values["num_samples"], values["loss"], values["seconds"])
            found.append(RoundClosed(*closed))
        return found
    one = _one(name, values)
    return [Told(name, dict(values)) if one is None else one]


def _one(name: str, values: Mapping[str, Any]) -> Event | None:
    try:
        return _MADE[name](values) if name in _MADE else None
    except KeyError:  # another event of that name, such as a search's
        return None


_MADE: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "evaluated": lambda v: Evaluated(v["version"], v["accuracy"], v["score_loss"]),
    "began": lambda v: WorkerBegan(v["worker"], v["attempt"]),
    "left": lambda v: WorkerLeft(v["worker"], v["attempt"], str(v.get("reason") or "")),
    "replaced": lambda v: WorkerReplaced(v["worker"], v["attempt"]),
    "handed over": lambda v: WorkerHandedOver(v["worker"], v["attempt"]),
    "lost": lambda v: InvocationLost(v["worker"], str(v["why"])),
    "unavailable": lambda v: InvocationEnded(str(v["message"])),
    "restored": lambda v: RunRestored(v["round"]),
    "forgotten": lambda v: ContributionForgotten(number(v["round"])),
}
