"""The modelled learner: a trainer that only counts its steps, and says how long they would have taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnlite.protocol.downpour.wire import Wire
from nnlite.protocol.effects import Model, Standing, TrainingSums
from nnlite.protocol.records.spec import RunSpec
from nnlite.simulation.profile import ComputeProfile

SCORE_ROWS = 512  # as `trainer.SCORE_ROWS`


class ModelledLearner:
    """One worker's steps and rows, as `runtime.trainer.Trainer` would take them; its weights are `model` for ever.

    slowness: of this machine, 1 is as fast as was measured. `took_s`: of the last thing it was asked to do.
    """

    def __init__(self, spec: RunSpec, worker: int, model: Model, compute: ComputeProfile, slowness: float = 1.0):
        self.spec, self.model, self.compute, self.slowness = spec, model, compute, slowness
        self.num_rows = _share(spec.data.num_train, spec.num_workers, worker)
        self.num_test = _share(spec.data.num_test, spec.num_workers, worker)
        self.batch_size = min(spec.batch_size, self.num_rows)
        self.steps_per_round = spec.steps_per_round or math.ceil(self.num_rows / self.batch_size)
        self.step = self._round_ends = self._began = self._scored = 0
        self.took_s = 0.0
        self.update = Model(Wire.of(spec.wire).reduced(model.vector), model.shapes)

    def following(self, spec: RunSpec) -> ModelledLearner:
        """See `effects.TakeUp`."""
        return ModelledLearner(spec, 0, self.model, self.compute, self.slowness)

    def adopt(self, round: int, data: Any, where: str) -> None:
        """See `effects.Adopt`."""
        self.step = self._began = round * self.steps_per_round
        self._round_ends = self.step + self.steps_per_round
        self._scored = 0

    def train(self, seconds: float, until_step: int | None = None) -> TrainingSums:
        """See `effects.Train`."""
        end = self._round_ends if until_step is None else until_step
        full_s = (self.compute.step_s + self.batch_size * self.compute.row_s) * self.slowness
        before = self._rows_until(self.step)
        steps = min(end - self.step, max(1, math.ceil(seconds / full_s)) if full_s else end)
        self.step += steps
        rows = self._rows_until(self.step) - before
        self.took_s = (steps * self.compute.step_s + rows * self.compute.row_s) * self.slowness
        return TrainingSums(self.step >= end, self._samples(), float(self._samples()))

    def score(self, seconds: float) -> TrainingSums:
        """See `effects.Score`."""
        row_s = self.compute.score_row_s * self.slowness
        wanted = math.ceil(seconds / (row_s * SCORE_ROWS)) * SCORE_ROWS if row_s else self.num_test
        rows = min(self.num_test - self._scored, wanted)
        self._scored += rows
        self.took_s = rows * row_s
        return TrainingSums(self._scored >= self.num_test, self._scored, float(self._scored), self._scored // 2)

    def collect(self) -> Model:
        """See `effects.Collect`."""
        return self.model

    def join(self, data: Any, where: str, step: int, pending: Sequence[Any]) -> int:
        """See `effects.Join`."""
        self.step = self._began = step
        return self.spec.num_rounds * self.steps_per_round

    def rebase(self, data: Any, where: str, pending: Sequence[Any]) -> None:
        """See `effects.Rebase`."""

    def evaluate(self, data: Any, where: str, part: int, seconds: float, first: int = 0) -> TrainingSums:
        """See `effects.Evaluate`; in one go, however long it takes."""
        rows = _share(self.spec.data.num_test, self.spec.num_workers, part)
        self.took_s = rows * self.compute.score_row_s * self.slowness
        return TrainingSums(True, rows, float(rows), rows // 2)

    def take_update(self, scale: float = 1.0, whole: bool = False) -> Model:
        """See `effects.TakeUpdate`."""
        self._began = self.step
        return self.update

    def suspend(self) -> Standing:
        """See `effects.Suspend`."""
        trained = TrainingSums(False, self._samples(), float(self._samples()))
        return Standing(self.model, self.step, trained, TrainingSums(False, self._scored, float(self._scored)))

    def resume(self, standing: Standing, where: str, round: int | None) -> None:
        """See `effects.Resume`."""
        if round is not None:
            self.adopt(round, None, where)
            self.step, self._scored = standing.step, standing.scored.num_samples

    def _samples(self) -> int:
        """Since the round, or the update, began."""
        return self._rows_until(self.step) - self._rows_until(self._began)

    def _rows_until(self, step: int) -> int:
        """Rows of all steps before this one; only the last minibatch of an epoch may be smaller."""
        epochs, steps = divmod(step, math.ceil(self.num_rows / self.batch_size))
        return epochs * self.num_rows + steps * self.batch_size


def _share(num_rows: int, num_workers: int, worker: int) -> int:
    """Rows of one worker's shard, as `data.shards.assign` cuts them; of the test split it may be none."""
    each, rest = divmod(num_rows, num_workers)
    return each + (worker < rest)
