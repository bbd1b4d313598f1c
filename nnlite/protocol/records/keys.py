"""The keys of a run: every name can be computed from the run's id, so nothing is ever listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nnlite.records import Range

MOST_WORKERS = 100_000  #: that five digits of a key can name
MOST_ROUNDS = 1_000_000  #: of a run; and attempts of a worker
LIFE = 1_000_000  #: so far apart are the first versions of two lives of a run, see `durable`
MOST_VERSION = 999_999_999  #: of a checkpoint: a thousand lives of a run

WorkerNumber = Annotated[int, Range(0, MOST_WORKERS - 1)]
Version = Annotated[int, Range(0, MOST_VERSION)]  #: of a checkpoint, or a round
Attempt = Annotated[int, Range(0, MOST_VERSION)]


@dataclass(frozen=True)
class Keys:
    """Names of everything that belongs to `run`."""

    run: str

    @property
    def spec(self) -> str:
        """The specification; created once."""
        return f"runs/{self.run}/spec.json"

    @property
    def head(self) -> str:
        """The one object that is replaced: which round it is, and whether the run goes on."""
        return f"runs/{self.run}/head.json"

    def checkpoint(self, version: int) -> str:
        """Weights and optimizer state with which round `version` begins; immutable."""
        return f"runs/{self.run}/ckpt/{version:08d}"

    def node(self, round: int, level: int, node: int) -> str:
        """A contribution (at the last level), or the merge of those below; immutable."""
        return f"runs/{self.run}/rounds/{round:06d}/{level}/{node:05d}"

    def update(self, worker: int, seq: int) -> str:
        """What `worker` changed between two pushes; immutable."""
        return f"runs/{self.run}/updates/{worker:05d}/{seq:08d}"

    @property
    def combine(self) -> str:
        """The lease of the worker that folds updates at the moment; swapped."""
        return f"runs/{self.run}/leases/combine.json"

    @property
    def repair(self) -> str:
        """The lease of the waiter that repairs at the moment, if there is one; swapped."""
        return f"runs/{self.run}/leases/repair.json"

    def summary(self, round: int) -> str:
        """What came out of a round, for people; immutable."""
        return f"runs/{self.run}/rounds/{round:06d}/summary.json"

    def lease(self, worker: int) -> str:
        """The lease of the invocation that is `worker` at the moment; swapped."""
        return f"runs/{self.run}/leases/{worker:05d}.json"

    def cursor(self, worker: int, attempt: int) -> str:
        """Where `worker` stood when this attempt handed over in the middle of its work; immutable."""
        return f"runs/{self.run}/cursors/{worker:05d}/{attempt:04d}"

    def evaluation(self, number: int) -> str:
        """What the test split said of some checkpoint on the way (downpour); immutable."""
        return f"runs/{self.run}/evaluations/{number:06d}.json"

    def evaluator(self, number: int) -> str:
        """The claim of the worker that makes that evaluation; created once."""
        return f"runs/{self.run}/evaluations/{number:06d}.claim"

    def trace(self, worker: int, attempt: int, batch: int) -> str:
        """What an invocation spent its time on, see `traces`; immutable."""
        return f"runs/{self.run}/traces/{worker:05d}/{attempt:04d}/{batch:04d}.jsonl"
