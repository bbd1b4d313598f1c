"""A profile: how long the parts of a run take, measured once on the machine and platform that it will run on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite

from nnlite.errors import RunError
from nnlite.records import Amount, Count, Record


@dataclass(frozen=True)
class Profile(Record, what="a profile", error=RunError):
    """One case at one memory size: all that a model of its runs needs to know."""

    step_s: Amount  #: of training on one minibatch
    score_row_s: Amount  #: of scoring one test sample
    warm_up_s: Amount  #: what the first steps of an invocation take longer: reading the shard, making memory
    cold_start_s: Amount  #: from starting an invocation until it begins to work
    merge_bytes_per_s: Amount  #: weights merged, encoded or decoded
    latency_s: Amount  #: of a small request to the store
    store_bytes_per_s: Amount  #: weights read from the store, or written
    peak_mb: Amount = 0.0  #: the largest size of a worker's process
    memory_mb: Count = 0  #: of the function; 0: not limited
    jitter: Amount = 0.05  #: standard deviation of a worker's time in a round, as a fraction of it
    warm_start_s: Amount = 0.0  #: as cold_start_s, in a process that has worked before
    num_warm: Count = 0  #: such processes that are ready now

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (isfinite(value) and value >= 0):
                raise RunError(f"profile: {name} is {value}, wanted 0 or more")
