"""Effects: what a protocol asks for, and what it is answered.

A protocol is a generator that yields these and is sent the answers. It does no I/O, reads no clock and draws
no random numbers, so the same program runs for real (`runtime.performer`) and in virtual time, and every
`yield` is a place where a test can kill, delay, duplicate or fail it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from nnlite.records import Count

T = TypeVar("T")
Program = Generator["Effect", Any, T]  #: a protocol that returns a T in the end


class FoundObject(Protocol):
    """What a store answers: a value, and the version to swap it by."""

    @property
    def data(self) -> Any:
        """The bytes."""

    @property
    def version(self) -> Any:
        """Opaque: compare for equality only."""


@dataclass(frozen=True)
class Effect:
    """Base class of everything that can be asked for."""


# ---- the store; `durable` means the other one, that forgets nothing


@dataclass(frozen=True)
class Get(Effect):
    """-> Found, or None when there is no such key."""

    key: str
    durable: bool = False


@dataclass(frozen=True)
class GetMany(Effect):
    """-> list of Found or None, in the order of the keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Missing(Effect):
    """-> list of those of the keys that are not there; the others are not read, where the store can do so."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Create(Effect):
    """-> True, or False when the key was there already (with, by our rules, the same bytes)."""

    key: str
    data: Any
    durable: bool = False


@dataclass(frozen=True)
class Swap(Effect):
    """Replace exactly what was read; `found` None creates. -> True, or False when it had changed."""

    key: str
    data: bytes
    found: FoundObject | None
    durable: bool = False


@dataclass(frozen=True)
class Delete(Effect):
    """-> None, whether or not the key was there."""

    key: str
    durable: bool = False


@dataclass(frozen=True)
class DeleteMany(Effect):
    """-> None. One request, where the store can do so."""

    keys: tuple[str, ...]


# ---- time


@dataclass(frozen=True)
class Now(Effect):
    """-> seconds of a clock that never goes back, by which nobody else's times can be compared."""


@dataclass(frozen=True)
class Sleep(Effect):
    """-> None after at least `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Remaining(Effect):
    """-> seconds until the platform ends this invocation; infinite where it does not."""


@dataclass(frozen=True)
class Spent(Effect):
    """-> Usage of this invocation so far."""


# ---- computing


@dataclass(frozen=True)
class TakeUp(Effect):
    """From now on what is trained is a run of one worker of this specification (a `RunSpec`): stand at its first
    step, with its first weights. -> None"""

    spec: Any


@dataclass(frozen=True)
class Adopt(Effect):
    """Take over the weights and optimizer state of a checkpoint, and stand at the start of `round`. -> None"""

    round: int
    data: Any
    where: str


@dataclass(frozen=True)
class Train(Effect):
    """Train on until the round is over (or `until_step` steps were taken in all) or `seconds` have passed, at
    least one step. -> Progress"""

    seconds: float
    until_step: int | None = None


@dataclass(frozen=True)
class Score(Effect):
    """Score this worker's slice of the test split, for about `seconds`. -> Progress of the scoring"""

    seconds: float


@dataclass(frozen=True)
class Evaluate(Effect):
    """Score one of the slices of the test split with a checkpoint that is not ours, from row `first` on, for about
    `seconds`. -> Progress of just this"""

    data: Any
    where: str
    slice: int
    seconds: float
    first: int = 0


@dataclass(frozen=True)
class Collect(Effect):
    """-> Model: the weights and optimizer state as they stand."""


@dataclass(frozen=True)
class Join(Effect):
    """Stand at `step` on a checkpoint plus the updates (P,) of ours that it does not contain. -> int: the steps
    to take in all"""

    data: Any
    where: str
    step: int
    pending: tuple[Any, ...]


@dataclass(frozen=True)
class Rebase(Effect):
    """Go over to a newer checkpoint plus `pending`, keeping what was changed since the last update. -> None"""

    data: Any
    where: str
    pending: tuple[Any, ...]


@dataclass(frozen=True)
class TakeUpdate(Effect):
    """-> Model: the change of the weights since the last update, times `scale`, and of that what the run's wire
    carries, in memory of its own; or all of it, when it is to be `whole`. What the wire does not carry is, unscaled, in
    the next update, which begins here."""

    scale: float = 1.0
    whole: bool = False


@dataclass(frozen=True)
class Suspend(Effect):
    """-> Standing: all that the next invocation needs to go on at the next step."""


@dataclass(frozen=True)
class Resume(Effect):
    """Go on where `standing` was taken, in the middle of `round`. With no round, one has joined already: then only
    the optimizer's state is taken from it, and what was changed since the last update. -> None"""

    standing: Standing
    where: str
    round: int | None = None


@dataclass(frozen=True)
class TrainingSums:
    """Sums since the round's training, or scoring, or the current update, began."""

    finished: bool
    num_samples: Count
    loss_sum: float
    num_correct: Count = 0


@dataclass(frozen=True)
class Model:
    """One vector, and the names and shapes of what lies in it."""

    vector: Any
    shapes: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Standing:
    """A worker in the middle of its work: weights with all of the optimizer's state, and how far it has come. Of one
    that pushes updates, in place of the weights, what was changed since the last of them."""

    model: Model
    step: int
    trained: TrainingSums
    scored: TrainingSums


# ---- the platform


@dataclass(frozen=True)
class Invoke(Effect):
    """Start `worker` once more, as `attempt`; may be lost, or happen twice. -> None"""

    worker: int
    attempt: int


@dataclass(frozen=True)
class Casualties(Effect):
    """-> list of (worker, attempt) that the platform knows to be dead since the last time it was asked."""


@dataclass(frozen=True)
class Note(Effect):
    """Tell the watcher. -> None"""

    event: str
    values: dict[str, Any] = field(default_factory=dict)
