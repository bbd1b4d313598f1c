"""Usage: what invocations took of everything that has a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nnlite.records import Amount, Count


@dataclass(frozen=True)
class Usage:
    """The usage of one invocation, of all attempts of a worker, or of all workers."""

    seconds: Amount = 0.0  #: billed: its part of the time of its process, from the start of that to its end
    age_s: Amount = 0.0  #: how long it lasted, also while others had their turn in its process
    init_s: Amount = 0.0  #: of `seconds`, those until it could begin to work
    compute_s: Amount = 0.0  #: training and scoring
    merge_s: Amount = 0.0  #: merging, making and reading checkpoints, coordinating
    store_s: Amount = 0.0  #: in requests to the store
    num_invocations: Count = 1  #: processes that were started
    num_reads: Count = 0  #: requests to the store, those that find nothing included
    num_writes: Count = 0
    num_deletes: Count = 0
    read_bytes: Count = 0
    written_bytes: Count = 0
    peak_mb: Amount = 0.0  #: the largest of any process

    @property
    def waiting_s(self) -> float:
        """What is left: waiting for others, and for the store."""
        return max(0.0, self.seconds - self.init_s - self.compute_s - self.merge_s)

    def asked(self) -> dict[str, float]:
        """What has been asked for, for JSON."""
        return {
            "invocations": self.num_invocations,
            "reads": self.num_reads,
            "writes": self.num_writes,
            "deletes": self.num_deletes,
            "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
            "worker_seconds": round(self.seconds, 3),
            "merge_s": round(self.merge_s, 3),
            "store_s": round(self.store_s, 3),
        }

    def __add__(self, other: Usage) -> Usage:
        """One after the other."""
        theirs = vars(other)
        values = {name: value + theirs[name] for name, value in vars(self).items()}
        values["peak_mb"] = max(self.peak_mb, other.peak_mb)
        return Usage(**values)


NOTHING = Usage(num_invocations=0)


def total(usages: Iterable[Usage]) -> Usage:
    """All together, side by side: `age_s` is that of the oldest."""
    all_of_them = list(usages)
    return replace(sum(all_of_them, NOTHING), age_s=max((one.age_s for one in all_of_them), default=0.0))
