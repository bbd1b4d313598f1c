"""Usage: what invocations took of everything that has a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from nnlite.errors import RunError
from nnlite.records import Amount, Count, Unsound, fit


@dataclass(frozen=True)
class Usage:
    """Of one invocation, or added up over several."""

    seconds: Amount = 0.0  #: billed: from the start of its process to its end
    init_s: Amount = 0.0  #: of these, until it could begin to work
    compute_s: Amount = 0.0  #: training and scoring
    merge_s: Amount = 0.0  #: merging, and making and reading checkpoints
    num_invocations: Count = 1
    num_reads: Count = 0  #: requests to the store, those that find nothing included
    num_writes: Count = 0
    num_deletes: Count = 0
    written_bytes: Count = 0
    peak_mb: Amount = 0.0  #: the largest of any process

    @property
    def waiting_s(self) -> float:
        """What is left: waiting for others, and for the store."""
        return max(0.0, self.seconds - self.init_s - self.compute_s - self.merge_s)

    def asked(self) -> dict[str, float]:
        """What has been asked for, for JSON."""
        counts = {"invocations": self.num_invocations, "reads": self.num_reads, "writes": self.num_writes}
        return {**counts, "worker_seconds": round(self.seconds, 3)}

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = asdict(self), asdict(other)
        values = {name: mine[name] + theirs[name] for name in mine}
        return Usage(**{**values, "peak_mb": max(self.peak_mb, other.peak_mb)})

    def __sub__(self, other: Usage) -> Usage:
        """What came to `other`, an earlier account of the same invocation."""
        mine, theirs = asdict(self), asdict(other)
        values = {name: mine[name] - theirs[name] for name in mine}
        return Usage(**{**values, "peak_mb": self.peak_mb, "num_invocations": self.num_invocations})

    @classmethod
    def from_values(cls, values: Any) -> Usage:
        """From decoded JSON, among other things. Raises RunError for anything else."""
        try:
            return fit(cls, values, others=True)
        except Unsound as fault:
            raise RunError(f"not an account of an invocation: {fault}") from None


def total(usages: Iterable[Usage]) -> Usage:
    """All together."""
    return sum(usages, Usage(num_invocations=0))
