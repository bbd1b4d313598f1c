"""Evaluations on the way (Downpour): a worker that comes past a checkpoint that is due scores it on the whole test
split.

An evaluation is claimed by creating its name, so one worker makes it. If that one dies, this evaluation is missing,
and the next will not be: nothing depends on it but a target accuracy, which is then seen a little later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Create, Evaluate, Now, Program, TrainingSums
from nnlite.protocol.records import head
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys, Version
from nnlite.protocol.records.spec import RunSpec
from nnlite.records import Count, Kept, Share


@dataclass(frozen=True)
class CheckpointScore(Kept, what="an evaluation"):
    """What the test split said of a checkpoint."""

    evaluation: Count  #: its number
    version: Version
    steps: Count  #: of all workers
    accuracy: Share | None
    score_loss: float | None  #: None: no longer a number


class Evaluations:
    """Those of one run, as one worker sees them."""

    def __init__(self, spec: RunSpec):
        self.spec, self.keys = spec, Keys(spec.run)
        self.seen = 0  #: the number of the last evaluation that we know to be somebody's

    def due(self, now_head: Head) -> int:
        """The number of the last evaluation that should have begun at this checkpoint."""
        per_round = self.spec.steps_of_all_per_round
        return sum(now_head.steps) // (self.spec.eval_every * per_round) if self.spec.eval_every else 0

    def evaluate(
        self, now_head: Head, data: Any, where: str, between: Callable[[float], Program[None]]
    ) -> Program[None]:
        """Score the checkpoint that a head shows, if that is due and nobody else does. `between`: what to do after
        every slice of it, which took so many seconds."""
        number = self.due(now_head)
        if number <= self.seen or now_head.closing:
            return
        self.seen = number
        if not (yield Create(self.keys.evaluator(number), where.encode())):
            return
        tally = Tally()
        for part in range(self.spec.num_test_slices):
            first, is_finished = 0, False
            while not is_finished:
                began_s = yield Now()
                scored: TrainingSums = yield Evaluate(data, where, part, self.spec.slice_s, first)
                tally += Tally(0, 0.0, scored.num_samples, scored.num_correct, scored.loss_sum)
                first, is_finished = first + scored.num_samples, scored.finished
                yield from between((yield Now()) - began_s)
        yield from self._tell(number, now_head, tally)

    def _tell(self, number: int, now_head: Head, tally: Tally) -> Program[None]:
        loss = tally.score_loss_sum / max(1, tally.num_scored)
        steps, loss_or_none = sum(now_head.steps), loss if isfinite(loss) else None
        made = CheckpointScore(number, now_head.round, steps, tally.accuracy_of(self.spec), loss_or_none)
        key = self.keys.evaluation(number)
        yield Create(key, made.to_json(key))
        target = self.spec.target_accuracy
        if target is not None and tally.accuracy is not None and tally.accuracy >= target:
            reason = f"reached test accuracy {tally.accuracy:.4f}"
            yield from head.change(self.keys.head, lambda h: h if h.closing else replace(h, closing=reason))
