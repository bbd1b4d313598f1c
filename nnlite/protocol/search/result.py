"""The result of a trial at a rung: one immutable object, the same bytes whichever worker made it, and however often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from nnlite.protocol.records.keys import Attempt, Version, WorkerNumber
from nnlite.protocol.search.asha import JobKey, Rank
from nnlite.records import Amount, Count, Kept, OneOf, Share

OK, DIVERGED, FAILED = "ok", "diverged", "failed"


@dataclass(frozen=True)
class Result(Kept, what="the result of a trial"):
    """What came out of one stretch of training, scored on the validation split. It says nothing of time."""

    trial: Count
    rung: Count
    rounds: Version  #: behind the trial, in all
    num_samples: Count = 0  #: trained on since the rung below
    status: Annotated[str, OneOf((OK, DIVERGED, FAILED))] = OK
    reason: str = ""
    accuracy: Share | None = None  #: on the validation split
    loss: float | None = None
    train_loss: float | None = None  #: mean since the rung below

    @property
    def key(self) -> JobKey:
        """Its name."""
        return self.trial, self.rung

    @property
    def rank(self) -> Rank | None:
        """Less is better: by accuracy, then by loss. None for what diverged or failed: worse than any."""
        if self.status != OK or self.accuracy is None or self.loss is None:
            return None
        return -self.accuracy, self.loss


@dataclass(frozen=True)
class Timing(Kept, what="the timing of a trial"):
    """How long a stretch of training took, and what it cost: beside the result, as it differs from time to time."""

    worker: WorkerNumber
    attempt: Attempt
    seconds: Amount = 0.0
    usd: Amount = 0.0


def leaderboard(results: Mapping[JobKey, Result]) -> list[Result]:
    """Where every trial stands, at its highest rung, best first; what diverged or failed comes last."""
    standing: dict[int, Result] = {}
    for result in results.values():
        if result.trial not in standing or result.rung > standing[result.trial].rung:
            standing[result.trial] = result
    return sorted(standing.values(), key=lambda r: (r.rank is None, r.rank or (), r.trial))


def winner(results: Mapping[JobKey, Result]) -> Result | None:
    """The best of the leaderboard, or None when nothing came to an end that is any good."""
    best = leaderboard(results)[:1]
    return best[0] if best and best[0].rank is not None else None
