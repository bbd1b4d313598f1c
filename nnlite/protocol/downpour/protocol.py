"""Downpour as an object: its options, what they may be, and how its runs differ from rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nnlite.choices import choice
from nnlite.errors import UsageError
from nnlite.protocol.base import MANY, Protocol
from nnlite.protocol.counting import samples_per_round
from nnlite.protocol.downpour.wire import Wire
from nnlite.protocol.records.keys import LIFE, Keys

if TYPE_CHECKING:
    from nnlite.protocol.effects import Program
    from nnlite.protocol.records.head import Head
    from nnlite.protocol.records.spec import RunSpec
    from nnlite.protocol.roles.waiter import Waiter
    from nnlite.protocol.roles.watcher import Watcher
    from nnlite.protocol.roles.worker import Worker

COMBINES = ("mean", "sum")  #: what the updates of all workers are to a checkpoint
MANY_INVOCATIONS = 1_000  #: more than most runs have


@dataclass(frozen=True, kw_only=True)
class DownpourFields:
    """What a specification says of Downpour."""

    push_every: int = 10  #: steps between the updates of a worker
    pull_every: int = 10  #: steps between its looks for a newer checkpoint
    combine: str = "mean"  #: one of COMBINES: a worker's update is its change divided by the workers, or all of it
    max_staleness: int | None = None  #: of an update when it is applied, in versions; None: any
    staleness_aware: bool = False  #: an update is divided by the number of versions it is late, and one
    wire: str = "float32"  #: the form in which updates travel, see `downpour.wire`


@dataclass(frozen=True, kw_only=True)
class DownpourOptions:
    """What a job may say of Downpour; None leaves it to nnlite."""

    push_every: int | None = choice(None, help="steps between updates (10)", metavar="N", group="downpour")
    pull_every: int | None = choice(
        None, help="steps between looks for a newer checkpoint (10)", metavar="N", group="downpour"
    )
    combine: str | None = choice(
        None, help="checkpoints move by the mean of the workers' changes, or by their sum (mean)", values=COMBINES,
        group="downpour",
    )  # fmt: skip
    max_staleness: int | None = choice(
        None, help="checkpoints that an update may be late (any)", metavar="S", group="downpour"
    )
    staleness_aware: bool = choice(False, help="smaller steps for late updates", group="downpour")
    wire: str | None = choice(
        None, help="updates travel as float32 (default), float16 or topk:1%", metavar="FORM", group="downpour"
    )


@dataclass(frozen=True)
class Downpour(DownpourOptions, Protocol):
    """Asynchronous SGD: workers push what they changed and pull checkpoints without waiting for each other.

    push_every, pull_every: steps between updates, and between looks for a newer checkpoint. combine: checkpoints move
    by the "mean" of changes or by their "sum". max_staleness: versions that an update may be late; staleness_aware:
    late ones count less. wire: the form in which updates travel: "float32", "float16" or "topk:1%".
    """

    name: ClassVar[str] = "downpour"
    ranges: ClassVar[dict[str, tuple[int, int, str]]] = {
        "push_every": (1, MANY, "push_every"),
        "pull_every": (1, MANY, "pull_every"),
        "max_staleness": (1, MANY, "max_staleness"),
    }
    has_rounds: ClassVar[bool] = False
    is_late: ClassVar[bool] = True
    has_evaluations: ClassVar[bool] = True
    head_needs_all: ClassVar[bool] = False
    shares_slots: ClassVar[bool] = False
    suspends_changes: ClassVar[bool] = True
    durable_every: ClassVar[int] = 100

    def check_options(self, spec: RunSpec) -> None:
        if spec.combine not in COMBINES:
            raise UsageError(f"no way {spec.combine!r} to combine updates; there are {', '.join(COMBINES)}")
        Wire.of(spec.wire)

    def check(self, spec: RunSpec) -> None:
        if spec.num_rounds < 1:
            raise UsageError("rounds of downpour: 0, wanted at least 1: its end is the last update")
        if spec.target_accuracy is not None and spec.eval_every < 1:
            raise UsageError("downpour stops at a target accuracy only if it is measured: give eval_every")

    def last_round(self, spec: RunSpec, life: int) -> int:
        """A checkpoint has at least one update more than that before it: of a step, or of an invocation that ended, of
        which there may be many."""
        return life * LIFE + 2 * (spec.num_rounds * spec.steps_of_all_per_round + spec.num_workers) + MANY_INVOCATIONS

    def default_eval_every(self, per_pass: int, has_target: bool) -> int:
        return 1 if has_target else 0

    def describe(self, spec: RunSpec) -> str:
        parts = [f"downpour, push every {spec.push_every} steps, pull every {spec.pull_every}"]
        if not spec.is_lone:
            parts.append(f"{spec.combine} of updates")
        if spec.max_staleness is not None:
            parts.append(f"staleness at most {spec.max_staleness}")
        if spec.staleness_aware:
            parts.append("smaller steps for late updates")
        if spec.wire != "float32":
            parts.append(f"updates as {spec.wire}")
        return ", ".join(parts)

    def rounds_made(self, spec: RunSpec, head: Head) -> int:
        """The head counts checkpoints, so by the steps of all workers."""
        return min(spec.num_rounds, sum(head.steps) * spec.batch_size // samples_per_round(spec))

    def round_of(self, spec: RunSpec, checkpoint: int, samples: int) -> int:
        return min(spec.num_rounds, max(1, -(-samples // samples_per_round(spec))))

    def standing(self, spec: RunSpec, head: Head) -> str:
        return f"{super().standing(spec, head)}, checkpoint {head.round}"

    def worker(self, spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
        from nnlite.protocol.downpour.lone import LoneWorker
        from nnlite.protocol.downpour.worker import DownpourWorker

        return (LoneWorker if spec.is_lone else DownpourWorker)(spec, worker, attempt, holder)

    def watcher(self, spec: RunSpec, first_round: int = 0) -> Watcher:
        from nnlite.protocol.downpour.watcher import DownpourWatcher

        return DownpourWatcher(spec, first_round)

    def missing(self, waiter: Waiter, now_head: Head) -> Program[list[int]]:
        """The workers that are not through; once all are, they close the one round there is."""
        num_workers = waiter.spec.num_workers
        if len(now_head.finished) >= num_workers:
            return (yield from waiter.missing_in_round(now_head))
        yield from waiter.combiner.combine(waiter.holder)
        return [w for w in range(num_workers) if w not in now_head.finished]

    def reborn(self, spec: RunSpec, back: Head, data: Any) -> tuple[Head, Any]:
        """The first version of a new life: nothing that is still written in the old one can be taken for its own."""
        from nnlite.protocol.downpour.updates import reborn

        return reborn(spec, back, data)

    def merged_rounds(self, last: Head) -> range:
        """Only the last checkpoint is scored in a round of all."""
        return range(last.round, last.round - 1, -1)

    def left_over(self, spec: RunSpec, keys: Keys, last: Head) -> Iterator[str]:
        """Updates of this life, the newest of all workers first; all are in the result. A lone worker has never written
        any."""
        if spec.is_lone:
            return
        before = last.round // LIFE * LIFE
        for back in range(max(last.applied, default=before) - before):
            yield from (keys.update(w, seq - back) for w, seq in enumerate(last.applied) if seq - back > before)
