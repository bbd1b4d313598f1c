"""The result of a trial at a rung: one immutable object, the same bytes whoever made it, and however often."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nnlite.errors import StoreError
from nnlite.protocol.asha import JobKey, Rank

OK, DIVERGED, FAILED = "ok", "diverged", "failed"


@dataclass(frozen=True)
class Result:
    """What came out of one stretch of training, scored on the validation split. It says nothing of time."""

    trial: int
    rung: int
    rounds: int  #: behind the trial, in all
    num_samples: int = 0  #: trained on since the rung below
    status: str = OK
    reason: str = ""
    accuracy: float | None = None  #: on the validation split
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

    def to_json(self) -> bytes:
        """Deterministic JSON, UTF-8."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Result:
        """Read what `to_json` wrote. Raises StoreError for anything else."""
        return cls(**_values(data, where))


@dataclass(frozen=True)
class Timing:
    """How long a stretch of training took, and what it cost: beside the result, as it differs from time to time."""

    worker: int
    attempt: int
    seconds: float = 0.0
    usd: float = 0.0

    def to_json(self) -> bytes:
        """Deterministic JSON, UTF-8."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Timing:
        """Read what `to_json` wrote. Raises StoreError for anything else."""
        return cls(**_values(data, where))


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


def _values(data: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(bytes(data))
        if not isinstance(values, dict):
            raise TypeError("not an object")
        return values
    except (ValueError, TypeError) as error:
        raise StoreError(f"{where} is not what a search writes there (damaged, or not ours): {error}") from None
