"""Usage: what invocations took of everything that has a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnlite.errors import RunError

KINDS: dict[str, Any] = {"int": int, "float": float}


@dataclass(frozen=True)
class Usage:
    """Of one invocation, or added up over several."""

    seconds: float = 0.0  #: billed: from the start of its process to its end
    init_s: float = 0.0  #: of these, until it could begin to work
    compute_s: float = 0.0  #: training and scoring
    merge_s: float = 0.0  #: merging, and making and reading checkpoints
    num_invocations: int = 1
    num_reads: int = 0  #: requests to the store, those that find nothing included
    num_writes: int = 0
    num_deletes: int = 0
    written_bytes: int = 0
    peak_mb: float = 0.0  #: the largest of any process

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
        """From decoded JSON. Raises RunError for anything else."""
        try:
            return cls(**{f.name: KINDS[str(f.type)](values[f.name]) for f in fields(cls)})
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not an account of an invocation: {error!r}") from None


def total(usages: Iterable[Usage]) -> Usage:
    """All together."""
    return sum(usages, Usage(num_invocations=0))
