"""A profile: how long the parts of a run take, measured once on the machine and platform that it will run on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from nnlite.errors import RunError

KINDS: dict[str, Any] = {"int": int, "float": float}


@dataclass(frozen=True)
class Profile:
    """Of one case at one memory size; all a model of its runs needs to know."""

    step_s: float  #: of training on one minibatch
    score_row_s: float  #: of scoring one test sample
    warm_up_s: float  #: what the first steps of an invocation take longer: reading the shard, making memory
    cold_start_s: float  #: from starting an invocation until it begins to work
    merge_bytes_per_s: float  #: weights merged, encoded or decoded
    latency_s: float  #: of a small request to the store
    store_bytes_per_s: float  #: weights read from the store, or written
    peak_mb: float = 0.0  #: the largest size of a worker's process
    memory_mb: int = 0  #: of the function; 0: not limited
    jitter: float = 0.05  #: standard deviation of a worker's time in a round, as a fraction of it
    warm_start_s: float = 0.0  #: as cold_start_s, in a process that has worked before
    num_warm: int = 0  #: such processes that are ready now

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (isfinite(value) and value >= 0):
                raise RunError(f"profile: {name} is {value}, wanted 0 or more")

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> Profile:
        """Read what `to_json` wrote. Raises RunError for anything else."""
        try:
            values = json.loads(text)
            return cls(**{f.name: KINDS[str(f.type)](values[f.name]) for f in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{where} is not a profile: {error!r}") from None
