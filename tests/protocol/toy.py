"""A toy learner with integers for weights, and specs for runs of it: exact sums, no data, no network."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite import weights
from nnlite.protocol.averaging import closing, contribution
from nnlite.protocol.downpour.wire import Wire
from nnlite.protocol.effects import (
    Create,
    Delete,
    DeleteMany,
    Effect,
    Get,
    GetMany,
    Model,
    Now,
    Spent,
    Standing,
    Swap,
    TrainingSums,
)  # fmt: skip
from nnlite.protocol.records.spec import DataSpec, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.protocol.records.usage import Usage
from nnlite.simulation.simulator import Faults, SimulatedInvocation, Simulation
from nnlite.store import Versioned

SIZE = 6
SHAPES = {"weight": (2, 3)}
STEPS = int(os.environ.get("NNLITE_TOY_STEPS", "7"))  # of a worker that pushes updates
SLICES = 3  # in which a round's training and scoring are done


class ToyLearner:
    """Moves its weights by a function of (worker, round), as a trainer with a shard of `samples` would."""

    def __init__(self, worker: int, wire: str = "float32"):
        self.wire = Wire.of(wire)
        self.worker, self.samples = worker, 10 + worker
        self.weights = np.zeros(SIZE, np.float32)
        self.round = self.slices = self.scored = 0
        self.pushed, self.step = self.weights.copy(), 0
        self.done = 0  #: steps since the last update

    def adopt(self, round: int, data: Any, where: str) -> None:
        self.weights[:] = closing.shared(contribution.decode(data, where)[0], where).vector
        self.round, self.slices, self.scored = round, 0, 0

    def train(self, seconds: float, until_step: int | None = None) -> TrainingSums:
        if until_step is not None:
            self.step += 1
            self.weights += np.arange(SIZE, dtype=np.float32) * (self.worker + 1) + self.step
            self.done += 1
            return TrainingSums(self.step == until_step, self.samples * self.done, float(self.samples * self.done))
        self.slices += 1
        self.weights += np.arange(SIZE, dtype=np.float32) * (self.worker + 1) + self.round
        share = self.samples * self.slices // SLICES
        return TrainingSums(self.slices == SLICES, share, float(share))

    def score(self, seconds: float) -> TrainingSums:
        self.scored = min(self.scored + 1, SLICES)
        return TrainingSums(self.scored == SLICES, self.scored, 0.5 * self.scored, self.scored % 2)

    def collect(self) -> Model:
        return Model(self.weights, SHAPES)

    def suspend(self) -> Standing:
        done = TrainingSums(False, self.samples * self.slices // SLICES, float(self.samples * self.slices // SLICES))
        scored = TrainingSums(False, self.scored, 0.5 * self.scored, self.scored % 2)
        if self.step:
            left = Model(self.weights - self.pushed, SHAPES)
            done = TrainingSums(False, self.samples * self.done, float(self.samples * self.done))
            return Standing(left, self.step, done, scored)
        return Standing(Model(self.weights, SHAPES), self.slices, done, scored)

    def resume(self, standing: Standing, where: str, round: int | None) -> None:
        if round is None:
            self.weights = self.weights + standing.model.vector
        else:
            self.weights[:] = standing.model.vector
            self.round, self.slices, self.scored = round, standing.step, standing.scored.num_samples

    def join(self, data: Any, where: str, step: int, pending: Sequence[Any]) -> int:
        self.weights = vector_of(data, where) + sum(pending)
        self.pushed, self.step = self.weights.copy(), step
        return STEPS

    def rebase(self, data: Any, where: str, pending: Sequence[Any]) -> None:
        change = self.weights - self.pushed
        self.pushed = vector_of(data, where) + sum(pending)
        self.weights = self.pushed + change

    def take_update(self, scale: float = 1.0, whole: bool = False) -> Model:
        change = (self.weights - self.pushed) * np.float32(scale)
        sent = change if whole else self.wire.reduced(change)
        self.pushed += sent
        self.weights = self.pushed + (change - sent) / np.float32(scale)
        self.done = 0
        return Model(sent, SHAPES)

    def evaluate(self, data: Any, where: str, part: int, seconds: float, first: int = 0) -> TrainingSums:
        correct = min(4, int(vector_of(data, where)[0]) // 50)
        return TrainingSums(first == 2, 2, 0.5, max(0, correct - 2) if first else min(2, correct))


def vector_of(data: Any, where: str) -> Any:
    """Of a checkpoint, in bytes or decoded."""
    return (data if isinstance(data, weights.Weights) else contribution.decode(data, where)[0]).vector


def spec(num_workers: int = 4, num_rounds: int = 3, widths: tuple[int, ...] | None = None, **more: Any) -> RunSpec:
    """A run of the toy."""
    return RunSpec(
        run="toy",
        case="toy",
        seed=0,
        num_workers=num_workers,
        tree_widths=Tree.for_workers(num_workers, widths).widths,
        num_rounds=num_rounds,
        batch_size=1,
        network={},
        optimizer={},
        data=DataSpec("toy", "0" * 64, 1000, 100, (0.0,), (1.0,)),
        **{
            "lease_ttl_s": 20.0,
            "straggler_timeout_s": 5.0,
            "beat_s": 1.0,
            "max_poll_s": 1.0,
            "max_attempts": 1000,
            **more,
        },
    )


def simulate(run_spec: RunSpec, seed: int = 0, faults: Faults | None = None) -> Simulation:
    """A simulation of toy learners, ready to run."""
    initial = Model(np.arange(SIZE, dtype=np.float32), SHAPES)
    return Recorded(run_spec, initial, lambda worker: ToyLearner(worker, run_spec.wire), seed, faults or Faults())


class Recorded(Simulation):
    """A simulation that remembers which effects took place, in order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.performed: list[tuple[SimulatedInvocation | None, Effect]] = []

    def perform(self, effect: Effect, invocation: SimulatedInvocation | None = None) -> Any:
        self.performed.append((invocation, effect))
        return super().perform(effect, invocation)


def schedule(seed: int) -> Faults:
    """Every seed its own mix of troubles."""
    return Faults(
        crash_rate=(0.0, 0.005, 0.02, 0.05)[seed % 4],
        lose_rate=(0.0, 0.1, 0.3)[seed % 3],
        double_rate=(0.0, 0.2, 0.9)[seed // 3 % 3],
        straggler_rate=(0.0, 0.2)[seed // 2 % 2],
        cold_start_s=(0.5, 15.0)[seed // 7 % 2],
        clock_skew_s=(0.0, 600.0)[seed // 11 % 2],
        timeout_s=(math.inf, 9.0)[seed // 5 % 2],
    )


def followed(program, there, written, ends=lambda effect: False, now_s=0.0):
    """Run a program on the store `there`, to its end or to the effect that `ends` it, which is returned."""
    answer = None
    with contextlib.suppress(StopIteration):
        while not ends(effect := program.send(answer)):
            answer = now_s if isinstance(effect, Now) else answered(effect, there, written)
        return effect


def answered(effect, there, written):
    """What a store of dictionary `there` answers; what was written is noted."""
    if isinstance(effect, (Get, GetMany)):
        keys = effect.keys if isinstance(effect, GetMany) else [effect.key]
        found = [Versioned(there[k], "") if k in there else None for k in keys]
        return found if isinstance(effect, GetMany) else found[0]
    if isinstance(effect, Create) and effect.key in there:
        return False
    if isinstance(effect, (Create, Swap)):
        there[effect.key] = effect.data
        written.append(effect.key)
        return True
    if isinstance(effect, (Delete, DeleteMany)):
        for key in effect.keys if isinstance(effect, DeleteMany) else [effect.key]:
            there.pop(key, None)
    return Usage() if isinstance(effect, Spent) else 0.0
