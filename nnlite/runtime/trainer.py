"""The trainer: one worker's network, optimizer and shard, moved on by effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.case_file import has_run
from nnlite.data import Augment, Batcher, Minibatches, Split, shards, to_float
from nnlite.nn import Evaluation, Optimizer, Sequential
from nnlite.nn.parameters import aligned_zeros
from nnlite.protocol.averaging import closing, contribution
from nnlite.protocol.downpour.wire import Wire
from nnlite.protocol.effects import Model, Standing, TrainingSums
from nnlite.protocol.records.spec import RunSpec
from nnlite.runtime import shard_store
from nnlite.store import Store

SCORE_ROWS = 512  # test samples scored between two looks at the clock
MASKS, INITIAL = 2, 3  # last words of seeds, for dropout and first weights; orders of rows end in 0, augmentation in 1


def build(spec: RunSpec) -> tuple[Sequential, Optimizer]:
    """The network and the optimizer that a specification describes.

    Raises UsageError when it has classes of a case file that this process has not run.
    """
    if spec.case_file is not None:
        has_run(spec.case_file.name, spec.case_file.sha256, f"run {spec.run}")
    return Sequential.from_config(spec.network, threads=spec.threads), Optimizer.from_config(spec.optimizer)


class State:
    """Weights and optimizer slots as rows of one array, so that they are stored and averaged as one vector.

    With `shares_slots` the model is (1 + num_slots) * P entries: the weights, then each slot, with the same names
    behind the slot's: "momentum:conv1/weight". Without, it is the weights alone, and slots stay with the worker.
    """

    def __init__(self, network: Sequential, optimizer: Optimizer, shares_slots: bool = True):
        size, num_rows = network.layout.size, 1 + len(optimizer.slot_names)
        self.rows: NDArray[np.float32] = aligned_zeros((num_rows, size)).astype(np.float32, copy=False)
        prefixes = ["", *(f"{slot}:" for slot in optimizer.slot_names)]
        self.all_shapes = {prefix + name: shape for prefix in prefixes for name, shape in network.layout.items()}
        self.shapes = self.all_shapes if shares_slots else dict(network.layout.items())
        self.vector = self.rows[: num_rows if shares_slots else 1].reshape(-1)  #: what of it is shared, as one vector
        self.weights, self.slots = self.rows[0], self.rows[1:]  #: (P,) and (num_slots, P) float32

    @classmethod
    def of(cls, spec: RunSpec, network: Sequential, optimizer: Optimizer) -> State:
        """Zeros, in the form that the protocol of a run shares."""
        return cls(network, optimizer, shares_slots=spec.rules.shares_slots)

    def model(self) -> Model:
        """What is shared; a view."""
        return Model(self.vector, self.shapes)

    def everything(self) -> Model:
        """Weights and slots, shared or not; a view."""
        return Model(self.rows.reshape(-1), self.all_shapes)

    def read_everything(self, model: Model, where: str, slots_only: bool) -> None:
        """Take over what `everything` was. Raises StructureError when it is not of this network and optimizer."""
        hint = "Was it written by a run with another network or optimizer?"
        weights.check_shapes(model.shapes, self.all_shapes, where, hint)
        rows = model.vector.reshape(self.rows.shape)
        first = 1 if slots_only else 0
        self.rows[first:] = rows[first:]

    def read(self, data: Any, where: str) -> None:
        """Take over a checkpoint. Raises WeightsError or StructureError when it is not one of ours."""
        found = data if isinstance(data, weights.Weights) else contribution.decode(data, where)[0]
        hint = "Was it written by a run with another network or optimizer?"
        self.vector[:] = closing.shared(found, where).vector_in(self.shapes, where, hint)


def initial(spec: RunSpec) -> Model:
    """Checkpoint 0: weights drawn from the run's seed, slots of zeros."""
    network, optimizer = build(spec)
    state = State.of(spec, network, optimizer)
    state.weights[:] = _first_weights(spec, network)
    return state.model()


def _first_weights(spec: RunSpec, network: Sequential) -> NDArray[np.float32]:
    return network.init(np.random.default_rng([spec.seed, 0, 0, INITIAL]))


class Trainer:
    """Performs what computes, for one worker. What a step does depends on its number alone, so a worker that
    starts again at a checkpoint does the very same work."""

    def __init__(self, spec: RunSpec, worker: int, data_store: Store, clock: Callable[[], float] = time.monotonic):
        self.spec, self.worker, self.clock = spec, worker, clock
        self._store = data_store
        self.network, self.optimizer = build(spec)
        self.state = State.of(spec, self.network, self.optimizer)
        self.gradient = self.network.empty()
        self.wire = Wire.of(spec.wire)
        self.step = 0  #: steps taken in all
        self._round_ends = 0  #: at this step
        self._slices: dict[int, Split] = {}  #: of the test split
        self._pushed = np.empty(0, np.float32)  #: (P,) the weights as others know them, once we push updates
        self._begin()

    def _begin(self) -> None:
        self.trained = TrainingSums(False, 0, 0.0)
        self.scored = Evaluation(0.0, 0, 0)

    def following(self, spec: RunSpec) -> Trainer:
        """The trainer of another run, of one worker, at its first step with its first weights. It shares our data,
        if that is the same."""
        other = Trainer(spec, 0, self._store, self.clock)
        other.state.weights[:] = _first_weights(spec, other.network)
        if (self.spec.data, self.spec.num_workers, self.worker) == (spec.data, spec.num_workers, 0):
            vars(other).update({name: read for name, read in vars(self).items() if name in ("_train", "_slices")})
        return other

    # ---- averaging

    def adopt(self, round: int, data: Any, where: str) -> None:
        """Stand at the start of `round`, with the checkpoint's weights and slots."""
        self.state.read(data, where)
        self.step = round * self.steps_per_round
        self._round_ends = self.step + self.steps_per_round
        self._begin()

    def collect(self) -> Model:
        """The weights and slots as they stand; a view, valid until the next step."""
        return self.state.model()

    # ---- handing over

    def suspend(self) -> Standing:
        """How far we have come; a view, valid until the next step. Where workers push updates a copy, with what was
        changed since the last one in place of the weights."""
        model = self.state.everything()
        if self.spec.rules.suspends_changes:
            model = Model(model.vector.copy(), model.shapes)
            model.vector[: len(self._pushed)] -= self._pushed
        return Standing(model, self.step, self.trained, _progress(self.scored, False))

    def resume(self, standing: Standing, where: str, round: int | None) -> None:
        """Go on in the middle of `round`; or, having joined, with the optimizer's state and what was changed since the
        last update."""
        self.state.read_everything(standing.model, where, slots_only=round is None)
        if round is None:
            self.state.weights += standing.model.vector[: len(self._pushed)]
        else:
            self.step, self._round_ends = standing.step, (round + 1) * self.steps_per_round
            scored = standing.scored
            self.trained = standing.trained
            self.scored = Evaluation(scored.loss_sum, scored.num_correct, scored.num_samples)

    # ---- downpour

    def join(self, data: Any, where: str, step: int, pending: Sequence[Any]) -> int:
        """Stand at `step` on a checkpoint plus `pending` updates (P,). -> the steps to take in all."""
        self._stand_on(data, where, pending)
        self._pushed = self.state.weights.copy()
        self.step = step
        self._begin()
        return self.spec.num_rounds * self.steps_per_round

    def rebase(self, data: Any, where: str, pending: Sequence[Any]) -> None:
        """Go over to another checkpoint plus `pending`, with what was changed since the last update on top."""
        change = self.state.weights - self._pushed
        self._stand_on(data, where, pending)
        self._pushed[:] = self.state.weights
        self.state.weights += change

    def _stand_on(self, data: Any, where: str, pending: Sequence[Any]) -> None:
        self.state.read(data, where)
        for update in pending:
            self.state.weights += update

    def take_update(self, scale: float = 1.0, whole: bool = False) -> Model:
        """The part of the change (P,) since the last update, times `scale`, that the wire carries, or all of it when it
        is to be `whole`. The rest stays ours, and is in the next; it was not scaled yet, so that it is scaled once."""
        change = self.state.weights - self._pushed
        if scale != 1.0:
            change *= np.float32(scale)
        sent = change.copy() if whole else self.wire.reduced(change)
        self._pushed += sent
        if scale != 1.0 or self.wire.kind != "float32":
            change -= sent
            if scale != 1.0:
                change /= np.float32(scale)
            np.add(self._pushed, change, out=self.state.weights)
        # else what rounding leaves is in the next one as well
        self._begin()
        return Model(sent, self.state.shapes)

    # ---- training

    @property
    def steps_per_round(self) -> int:
        """Steps of this worker in a round."""
        return self.spec.steps_per_round or self._minibatches.steps_per_epoch

    def train(self, seconds: float, until_step: int | None = None) -> TrainingSums:
        """Take steps until the round is over, or at `until_step`, or the time is up; at least one."""
        end, until_s = self._round_ends if until_step is None else until_step, self.clock() + seconds
        with np.errstate(all="ignore"):  # overflow shows in the loss, and the protocol looks at that
            while self.step < end:
                self._take_step()
                if not np.isfinite(self.trained.loss_sum) or self.clock() >= until_s:
                    break
        return TrainingSums(self.step >= end, self.trained.num_samples, self.trained.loss_sum)

    def _take_step(self) -> None:
        x, y = self._batcher.batch(self.step)
        seed = [self.spec.seed, self.worker, self.step, MASKS]
        rng = np.random.default_rng(seed) if self.network.is_random else None
        loss = self.network.loss_and_gradient(self.state.weights, x, y, out=self.gradient, rng=rng)
        state, layout = self.state, self.network.layout
        self.optimizer.step_inplace(state.weights, self.gradient, state.slots, self.step, layout)
        so_far = self.trained
        self.trained = TrainingSums(False, so_far.num_samples + len(y), so_far.loss_sum + loss * len(y))
        self.step += 1

    # ---- scoring

    def score(self, seconds: float) -> TrainingSums:
        """Score this worker's slice of the test split, until it is through or the time is up."""
        until, test = self.clock() + seconds, self._test
        while test is not None and self.scored.count < len(test):
            self.scored += self._scored(self.state.weights, test, self.scored.count)
            if self.clock() >= until:
                break
        done = test is None or self.scored.count >= len(test)
        return _progress(self.scored, done)

    def evaluate(self, data: Any, where: str, part: int, seconds: float, first: int = 0) -> TrainingSums:
        """Score a slice of the test split, any, with a checkpoint that is not ours: from row `first` on, until it is
        through or the time is up."""
        until_s = self.clock() + seconds
        model, test, scored = (
            State.of(self.spec, self.network, self.optimizer),
            self._slice(part),
            Evaluation(0.0, 0, 0),
        )
        model.read(data, where)
        while first + scored.count < len(test):
            scored += self._scored(model.weights, test, first + scored.count)
            if self.clock() >= until_s:
                break
        return _progress(scored, first + scored.count >= len(test))

    def _scored(self, vector: NDArray[np.float32], test: Split, first: int) -> Evaluation:
        part = slice(first, first + SCORE_ROWS)
        x = to_float(test.x[part], self.spec.data.mean, self.spec.data.std)
        with np.errstate(all="ignore"):
            return self.network.evaluate(vector, x, test.y[part])

    # ---- data

    @cached_property
    def _train(self) -> Split:
        return self._shard("train", self.spec.num_workers, self.worker)

    @cached_property
    def _test(self) -> Split | None:
        return self._slice(self.worker) if self.worker < self.spec.num_test_slices else None

    def _slice(self, part: int) -> Split:
        """A slice of the test split; all of them are kept, as a worker that evaluates once is likely to do it again."""
        if part not in self._slices:
            self._slices[part] = self._shard("test", self.spec.num_test_slices, part)
        return self._slices[part]

    def _shard(self, part: str, num_shards: int, shard: int) -> Split:
        data = self.spec.data
        return shard_store.read(self._store, shards.key(data.name, data.digest, part, num_shards, shard))

    @cached_property
    def _minibatches(self) -> Minibatches:
        return Minibatches(len(self._train), self.spec.batch_size, self.spec.seed, self.worker)

    @cached_property
    def _batcher(self) -> Batcher:
        data = self.spec.data
        augment = Augment.of(data.augment) if data.augment else None
        return Batcher(self._train, data.mean, data.std, self._minibatches, augment)


def _progress(scored: Evaluation, is_finished: bool) -> TrainingSums:
    return TrainingSums(is_finished, scored.count, scored.loss_sum, scored.num_correct)
