"""Averaging as an object: its options, and what they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nnlite.choices import choice
from nnlite.errors import UsageError
from nnlite.protocol.base import MANY, Protocol
from nnlite.protocol.records.keys import MOST_WORKERS

if TYPE_CHECKING:
    from nnlite.protocol.records.spec import RunSpec
    from nnlite.protocol.roles.worker import Worker


@dataclass(frozen=True, kw_only=True)
class AveragingFields:
    """What a specification says of averaging."""

    slow_momentum: float = 0.0  #: in closing a round, below 1; 0: it ends with the mean, see `closing`
    average_last: int | None = None  #: the result is the mean of so many checkpoints
    ema: float | None = None  #: the result is a moving average of all checkpoints, which decays so much a round
    quorum: int | None = None  #: so many workers are enough to close a round that takes too long


@dataclass(frozen=True, kw_only=True)
class AveragingOptions:
    """What a job may say of averaging; None leaves it to nnlite."""

    slow_momentum: float | None = choice(
        None, help="momentum of what a round changes, from 0 to below 1 (by --scale)", metavar="B", group="averaging"
    )
    average_last: int | None = choice(
        None, help="end with the mean of the last K checkpoints (1)", metavar="K", group="averaging"
    )
    ema: float | None = choice(
        None, help="end with a moving average of all checkpoints, which decays so much a round", metavar="D",
        group="averaging",
    )  # fmt: skip
    quorum: int | None = choice(
        None, help="so many workers may close a round that takes too long (all)", metavar="Q", group="averaging"
    )


@dataclass(frozen=True)
class Averaging(AveragingOptions, Protocol):
    """Synchronous model averaging: rounds of local training, each closed by the mean over a merge tree.

    slow_momentum: of what a round changes, from 0 to below 1. average_last: end with the mean of so many checkpoints;
    ema: with a moving average of all of them. quorum: so many workers may close a round that takes too long.
    """

    name: ClassVar[str] = "averaging"
    ranges: ClassVar[dict[str, tuple[int, int, str]]] = {
        "quorum": (1, MOST_WORKERS, "quorum"),
        "average_last": (1, MANY, "average_last"),
    }

    def check_options(self, spec: RunSpec) -> None:
        for name, value in (("slow momentum", spec.slow_momentum), ("ema", spec.ema)):
            if value is not None and not 0 <= value < 1:
                raise UsageError(f"{name} {value}: wanted a number from 0 to below 1")
        if spec.average_last is not None and spec.ema is not None:
            raise UsageError("average_last and ema both say what the result is a mean of: leave one out")
        if spec.quorum is not None and spec.quorum > spec.num_workers:
            raise UsageError(f"quorum {spec.quorum}, but there are only {spec.num_workers} workers")

    def describe(self, spec: RunSpec) -> str:
        more = {
            f"slow momentum {spec.slow_momentum:g}": spec.slow_momentum > 0,
            f"mean of the last {spec.average_last} checkpoints": spec.average_last is not None,
            f"moving average {spec.ema} of checkpoints": spec.ema is not None,
            f"{spec.quorum} workers are a quorum": spec.quorum is not None,
        }
        return ", ".join([self.name, *(text for text, is_so in more.items() if is_so)])

    def worker(self, spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
        from nnlite.protocol.averaging.worker import AveragingWorker

        return AveragingWorker(spec, worker, attempt, holder)
