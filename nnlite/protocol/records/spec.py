"""The specification of a run: the whole truth about it, validated at the door and never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, Any

from nnlite.errors import RunError, UsageError
from nnlite.protocol import protocols
from nnlite.protocol.averaging.protocol import AveragingFields
from nnlite.protocol.base import MANY, Protocol
from nnlite.protocol.downpour.protocol import DownpourFields
from nnlite.protocol.records.keys import MOST_ROUNDS, MOST_WORKERS
from nnlite.protocol.records.tree import Tree
from nnlite.protocol.records.usage import Usage
from nnlite.records import Amount, Count, Range, Record, Sha256, younger

FORMAT = 2  #: 2: every object says what it is, see `identity`
RANGES = {  # field -> the least and the most it can be, and what people call it
    "num_workers": (1, MOST_WORKERS, "workers"),
    "num_rounds": (0, MOST_ROUNDS, "rounds"),
    "batch_size": (1, MANY, "batch size"),
    "steps_per_round": (1, MANY, "steps per round"),
    "threads": (1, 1024, "threads"),
    "eval_every": (0, MANY, "eval_every"),
    "checkpoint_every": (0, MANY, "checkpoint_every"),
    "max_attempts": (1, MANY, "max_attempts"),
    "rounds_per_invocation": (0, MANY, "rounds per invocation"),
}
LONGEST_S = 1e9  #: thirty years: no clock is asked to wait longer


@dataclass(frozen=True)
class DataSpec:
    """Where a worker finds its samples, and how bytes become numbers."""

    name: str
    digest: str
    num_train: Annotated[int, Range(1, 2**40)]
    num_test: Annotated[int, Range(1, 2**40)]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Range(1e-30)], ...]
    store: str | None = None  #: URL of the store with the shards; None: the run's own
    augment: dict[str, Any] | None = None  #: described; of older runs, its fields alone
    dtype: str | None = None  #: of the rows: uint8 (pixels), int8 or float32; None: an older nnlite did not say
    low: float | None = None  #: the range of the rows of the train split; of pixels 0 to 255
    high: float | None = None
    class_names: tuple[str, ...] = younger(())  #: of the labels, if they have names
    amounts: dict[str, float] | None = younger(None)  #: what targets were that are no classes, see `data.inputs`
    inputs: dict[str, Any] | None = younger(None)  #: what makes rows of what a person gives, see `data.inputs`


@dataclass(frozen=True)
class OwnCode:
    """Which case file defines layers or other parts of a run's own. The code is in no store: each process that needs
    it is started with the file, and compares the hash."""

    name: str  #: without folders
    sha256: Sha256

    def __post_init__(self) -> None:
        if not self.name.endswith(".py") or "/" in self.name or "\\" in self.name:
            raise UsageError(f"{self.name!r:.80} is no name of a Python file")


@dataclass(frozen=True)
class Rates:
    """List prices in USD, by which a run counts what it spends; zero where nobody sends a bill."""

    platform: str = "local"
    memory_mb: Count = 0  #: of a worker's function; 0: not limited
    worker_second_usd: Amount = 0.0
    invocation_usd: Amount = 0.0
    read_usd: Amount = 0.0  #: of one request to the store that reads
    write_usd: Amount = 0.0  #: of one that writes

    def usd(self, used: Usage, unseen_s: float = 0.0) -> float:
        """What that has cost, and the seconds that invocations may have lasted unseen; but for storage."""
        requests_usd = used.num_reads * self.read_usd + used.num_writes * self.write_usd
        seconds_usd = (used.seconds + unseen_s) * self.worker_second_usd
        return used.num_invocations * self.invocation_usd + seconds_usd + requests_usd


@dataclass(frozen=True)
class RunSpec(AveragingFields, DownpourFields, Record, what="a run's specification", most_bytes=4_000_000, indent=1):
    """Same spec and seed, same weights. Network and optimizer are descriptions (`described`), never code.

    The options of every protocol stand flat among the other fields; what they mean is in its package."""

    run: str
    case: str
    seed: int
    num_workers: int
    tree_widths: tuple[int, ...]
    num_rounds: int
    batch_size: int
    network: dict[str, Any]
    optimizer: dict[str, Any]
    data: DataSpec
    protocol: str = "averaging"  #: the name of one of `protocols`; in "downpour" a round is only a count of steps
    threads: int = 1  #: of a worker; a sum's order, and so its last bits, depend on it
    steps_per_round: int | None = None  #: None: one local epoch, a pass over the worker's shard
    eval_every: int = 1  #: rounds between scorings of the test split; the last checkpoint is always scored.
    #: In downpour, where a round is so many steps of all workers, 0 means nothing but the last
    target_accuracy: float | None = None
    checkpoint_every: int = 0  #: keep every n-th checkpoint besides the newest two; 0: none
    budget_usd: float | None = None  #: the run stops by itself before its workers have cost more
    max_s: float | None = None  #: and when one of its workers has been at it for so long
    rates: Rates = field(default_factory=Rates)  #: what is paid where the run runs
    tariff: dict[str, Any] | None = None  #: the list prices by which its cost is stated, see `cost.prices`
    checkpoint_store: str | None = None  #: URL of a store that forgets nothing, for every `checkpoint_every`th version
    rounds_per_invocation: int = 0  #: after so many the worker hands over to a new invocation; 0: never for that
    case_file: OwnCode | None = None  #: a user's file that defines layers or other parts of the network
    lease_ttl_s: float = 60.0
    straggler_timeout_s: float = 30.0
    hand_over_s: float = 5.0  #: before the platform's deadline, the next invocation is to take over
    beat_s: float = 10.0
    look_s: float = 2.0  #: between two looks at the head while training
    poll_s: float = 0.01
    max_poll_s: float = 0.25
    slice_s: float = 0.5
    max_attempts: int = 10
    wait_s: float | None = None  #: so long an invocation waits for others before it hands over; None: to its deadline
    format: Annotated[int, Range(FORMAT, FORMAT)] = FORMAT
    init: str | None = None  #: names the file of weights that checkpoint 0 was made of; None: they are drawn
    trace: bool = True  #: workers write down what they spend their time on, see `traces`

    def __post_init__(self) -> None:
        check_run(self.run)
        for name, (least, most, label) in self._ranges():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                limit = f"at least {least}" if value < least else f"at most {most:,}"
                raise UsageError(f"{label}: {value:,}, wanted {limit}")
        for name, value in vars(self).items():
            if name.endswith("_s") and value is not None and not 0 < value <= LONGEST_S:
                raise UsageError(f"{name} = {value}: wanted a positive number of seconds, at most {LONGEST_S:g}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: wanted a whole number from 0 to {2**32 - 1}")
        if self.target_accuracy is not None and self.data.amounts is not None:
            raise UsageError(f"target accuracy {self.target_accuracy}: {self.data.name} has amounts, no classes")
        if self.target_accuracy is not None and not 0 < self.target_accuracy <= 1:
            raise UsageError(f"target accuracy {self.target_accuracy}: wanted a fraction above 0, at most 1")
        if self.budget_usd is not None and not (isfinite(self.budget_usd) and self.budget_usd > 0):
            raise UsageError(f"budget of {self.budget_usd} USD: wanted a positive number")
        self._check_protocol()
        self._check_workers()

    def _ranges(self) -> Iterator[tuple[str, tuple[int, int, str]]]:
        yield from RANGES.items()
        for one in protocols.REGISTERED.values():
            yield from one.ranges.items()

    def _check_protocol(self) -> None:
        rules = self.rules
        for one in protocols.REGISTERED.values():
            one.check_options(self)
        rules.check(self)
        if self.checkpoint_store is not None and self.checkpoint_every < 1:
            raise UsageError("a checkpoint store is for every so many checkpoints: give checkpoint_every")

    def _check_workers(self) -> None:
        if self.num_workers > self.data.num_train:
            raise UsageError(
                f"{self.num_workers} workers, but {self.data.name} has only {self.data.num_train} training "
                f"samples: use at most {self.data.num_train} workers"
            )
        Tree.for_workers(self.num_workers, self.tree_widths)

    @property
    def rules(self) -> Protocol:
        """The protocol as an object: what it answers is asked here, and its name compared nowhere."""
        return protocols.named(self.protocol)

    @property
    def sha256(self) -> str:
        """SHA-256 of this specification as it stands in the store. What starts a worker carries it, so that nobody can
        put another one in its place."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def tree(self) -> Tree:
        """The merge tree."""
        return Tree(self.tree_widths)

    @property
    def num_test_slices(self) -> int:
        """Into how many slices the test split is cut: one a worker, but none empty."""
        return min(self.num_workers, self.data.num_test)

    @property
    def steps_of_all_per_round(self) -> int:
        """Steps that all workers together take in a round: one epoch, or `steps_per_round` each."""
        per_worker = self.steps_per_round or -(-self.data.num_train // (self.num_workers * self.batch_size))
        return per_worker * self.num_workers

    def last_round(self, life: int = 0) -> int:
        """Beyond it no head of this run can be, once restored `life` times."""
        return self.rules.last_round(self, life)

    @property
    def update_share(self) -> float:
        """What a worker pushes of a change it has made (downpour): every worker's is an answer to the whole question,
        and all of them would overshoot as many times as there are workers."""
        return 1.0 / self.num_workers if self.combine == "mean" else 1.0

    def scores(self, round: int) -> bool:
        """Whether the checkpoint that round `round` begins with is scored on the test split."""
        return round == self.num_rounds or (round > 0 and self.eval_every > 0 and round % self.eval_every == 0)

    @property
    def is_lone(self) -> bool:
        """Whether a single worker trains: then there is nobody to tell what it changed, nor to keep away."""
        return self.num_workers == 1

    @property
    def has_caps(self) -> bool:
        """Whether the run stops by itself before it costs, or lasts, too much."""
        return self.budget_usd is not None or self.max_s is not None

    def is_kept(self, version: int) -> bool:
        """Whether this checkpoint is to last: in the durable store, or, without one, in the run's own."""
        return self.checkpoint_every > 0 and version % self.checkpoint_every == 0

    def keeps(self, version: int) -> bool:
        """Whether this checkpoint stays in the run's own store when it is no longer needed."""
        return self.checkpoint_store is None and self.is_kept(version)

    @classmethod
    def of_run(cls, run: str, data: bytes, where: str) -> RunSpec:
        """The specification of `run`, as it stands at `where`. Raises StoreError for anything else, RunError for that
        of another run."""
        spec = cls.from_json(data, where)
        if spec.run != run:
            raise RunError(
                f"{where} is the specification of run {spec.run!r}, expected that of {run!r}: was its folder copied or "
                "renamed? Give it its own name back, or begin the run anew"
            )
        return spec


def check_run(run: str) -> None:
    """Raise UsageError for what cannot be the id of a run."""
    if not isinstance(run, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", run):
        raise UsageError(f"run id {run!r}: use 1 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
