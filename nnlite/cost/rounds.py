"""A model of a run: what its rounds take and ask of the store, as a pure function of a profile.

It is a first cut, in closed form: everybody works at the same speed but for some jitter, and the store has room for
all. `RunModel` is the seam: whatever says `seconds`, `usage` of a shape can stand in for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log2
from statistics import NormalDist

from nnlite.cost.profile import Profile
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.protocol.records.usage import Usage


@dataclass(frozen=True)
class Shape:
    """What of a specification decides how long it takes. `processes`: how many workers run at a time."""

    num_workers: int
    tree: Tree
    num_rounds: int
    steps: int  #: of a worker in a round
    test_rows: int  #: of a worker
    num_scorings: int
    model_bytes: int
    processes: int
    poll_s: float
    max_poll_s: float
    beat_s: float
    look_s: float
    trace: bool

    @classmethod
    def of(cls, spec: RunSpec, model_bytes: int, processes: int | None = None) -> Shape:
        """The shape of a run; `processes` None: each worker has a function of its own."""
        per_epoch = ceil(ceil(spec.data.num_train / spec.num_workers) / spec.batch_size)
        return cls(
            num_workers=spec.num_workers,
            tree=spec.tree,
            num_rounds=spec.num_rounds,
            steps=spec.steps_per_round or per_epoch,
            test_rows=ceil(spec.data.num_test / spec.num_workers),
            num_scorings=sum(spec.scores(r) for r in range(1, spec.num_rounds + 1)),
            model_bytes=model_bytes,
            processes=min(processes or spec.num_workers, spec.num_workers),
            poll_s=spec.poll_s,
            max_poll_s=spec.max_poll_s,
            beat_s=spec.beat_s,
            look_s=spec.look_s,
            trace=spec.trace,
        )


@dataclass(frozen=True)
class RunModel:
    """How long a run of this shape takes, and what all its invocations use."""

    shape: Shape
    profile: Profile

    @property
    def turns(self) -> int:
        """Workers that share a process, and so take turns."""
        return ceil(self.shape.num_workers / self.shape.processes)

    @property
    def copy_s(self) -> float:
        """Weights through the store, once."""
        return self.profile.latency_s + self.shape.model_bytes / self.profile.store_bytes_per_s

    @property
    def pass_s(self) -> float:
        """Weights encoded, decoded or merged, once."""
        return self.shape.model_bytes / self.profile.merge_bytes_per_s

    @property
    def train_s(self) -> float:
        """Training of one worker in a round."""
        return self.shape.steps * self.profile.step_s

    @property
    def score_s(self) -> float:
        """Scoring of one worker in a round that scores."""
        return self.shape.test_rows * self.profile.score_row_s

    @property
    def contribute_s(self) -> float:
        """The requests of one worker: reading head and checkpoint, and creating its contribution."""
        return self.profile.latency_s + 2 * self.copy_s + 2 * self.pass_s

    @property
    def climb_s(self) -> float:
        """From the last contribution to the moved head: merges, one level after the other, and closing."""
        total = 0.0
        for level in range(self.shape.tree.leaf_level):
            fan_in = self._fan_in(level)
            trips = ceil(log2(fan_in + 1)) * self.profile.latency_s
            reading = (fan_in - 1) * self.shape.model_bytes / self.profile.store_bytes_per_s
            total += trips + reading + fan_in * self.pass_s + self.copy_s
        return total + self.copy_s + 3 * self.profile.latency_s  # checkpoint; summary, head read and swapped

    def _fan_in(self, level: int) -> int:
        return ceil(self.shape.tree.widths[level + 1] / self.shape.tree.widths[level])

    @property
    def late_s(self) -> float:
        """How much later than the mean the slowest of all is ready: the largest of so many normal variables (Blom)."""
        num = self.shape.processes
        deviations = NormalDist().inv_cdf((num - 0.375) / (num + 0.25)) if num > 1 else 0.0
        return self.profile.jitter * self.train_s * self.turns * deviations

    @property
    def notice_s(self) -> float:
        """From the next checkpoint until the slowest has noticed: looks begin shortly before it is expected, and come
        every 10 % of a round. Who made it need not look; of n others, each somewhere between two looks, the last finds
        it after n / (n + 1) of the pause."""
        step_s, num = 0.1 * self.turns * self.train_s, self.shape.num_workers
        pause_s = min(max(self.shape.poll_s, step_s), self.shape.max_poll_s)
        return pause_s * (num - 1) / num + self.profile.latency_s

    @property
    def round_s(self) -> float:
        """A round, without scoring."""
        alone = self.turns * (self.train_s + self.contribute_s)
        return alone + self.late_s + self.climb_s + self.notice_s

    @property
    def start_s(self) -> float:
        """Until all can begin: nobody begins without the last."""
        is_warm = self.profile.num_warm >= self.shape.processes
        return self.profile.warm_start_s if is_warm else self.profile.cold_start_s

    @property
    def seconds(self) -> float:
        """The whole run: start-up, rounds, scorings, and the last round, that only scores."""
        shape, profile = self.shape, self.profile
        scoring = shape.num_scorings * self.turns * self.score_s
        last = self.round_s - self.turns * self.train_s - self.late_s
        first = self.start_s + self.turns * profile.warm_up_s
        return first + shape.num_rounds * self.round_s + scoring + last

    @property
    def _num_batches(self) -> float:
        """The writes of a worker's trace: one after a second, then each 5 s, later each tenth of its age; and the
        last."""
        if not self.shape.trace:
            return 0.0
        return 1.0 + (self.seconds > 1.0) + min(self.seconds, 50.0) // 5 + max(0.0, log(self.seconds / 50.0, 1.1))

    @property
    def usage(self) -> Usage:
        """The seconds of all invocations together: each lasts as long as the run."""
        shape, profile = self.shape, self.profile
        num, workers, rounds = shape.processes, shape.num_workers, shape.num_rounds
        merges = sum(shape.tree.widths[1:])  # parts that are merged into something, in a round
        trained = rounds * self.train_s + shape.num_scorings * self.score_s + profile.warm_up_s
        longest_s = max(shape.max_poll_s, 0.25 * self.turns * self.train_s)  # between two looks
        looks = 3 - 2 / workers + (self.late_s + 0.1 * self.train_s) / longest_s  # for the next checkpoint
        nodes = sum(shape.tree.widths[:-1])
        asked = 2.4 * (merges - nodes)  # a worker that is not the last of its siblings asks for some of them, too
        reads = (rounds + 1) * (workers * looks + asked + 1) + 3 * workers
        writes: float = (rounds + 1) * (workers + nodes + 3) + workers
        reads += workers * trained / shape.look_s  # at the head, while training
        writes += workers * (self.seconds // shape.beat_s + self._num_batches)
        return Usage(
            seconds=num * self.seconds,
            age_s=self.seconds,
            init_s=num * self.start_s,
            compute_s=workers * trained,
            merge_s=(rounds + 1) * (2 * workers + merges) * self.pass_s,
            num_invocations=num,
            num_reads=round(reads),
            num_writes=round(writes),
            num_deletes=round(rounds * (workers + nodes)),
            written_bytes=rounds * (workers + nodes + 1) * shape.model_bytes,
            peak_mb=profile.peak_mb,
        )
