"""Toy trials: learners whose weights remember every step they took, and searches of them in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnlite.protocol.averaging import contribution
from nnlite.protocol.effects import Model, Standing, TakeUp, TrainingSums
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.asha import Ladder, ladder
from nnlite.protocol.search.result import Result
from nnlite.protocol.search.spec import SearchKeys, SearchSpec
from nnlite.protocol.search.watcher import Outcome, outcome
from nnlite.simulation.simulator import WATCHER, Faults, SimulatedInvocation, Simulation
from tests.protocol import toy

SHAPES = {"weight": (2,)}
STEPS = 3  # a round
SLICES = 2  # in which a scoring is done
PRIME = 9973
DIVERGES = 4  # every so manieth trial does, at its sixth step


class TrialLearner:
    """A step replaces the first weight by a function of it, of the step and of the trial: do one step too many, too
    few, twice, or of another trial, and every score after it is another."""

    def __init__(self, trial: int = -1, on: str = ""):
        self.trial, self.on = trial, on
        self.weights = np.array([trial, 0], np.float32)
        self.step = self.scored = self.since = 0

    def following(self, spec: RunSpec) -> TrialLearner:
        return TrialLearner(spec.optimizer["trial"], spec.data.name)

    def join(self, data: Any, where: str, step: int, pending: Sequence[Any]) -> int:
        assert not pending
        self.weights[:] = contribution.decode(data, where)[0].vector
        self.step, self.scored, self.since = step, 0, 0
        return 0

    def train(self, seconds: float, until_step: int | None = None) -> TrainingSums:
        assert until_step is not None
        if self.step < until_step:
            self.weights[0] = (int(self.weights[0]) * 31 + self.step * 7 + self.trial) % PRIME
            self.step += 1
            self.since += 1
        diverged = self.trial % DIVERGES == DIVERGES - 1 and self.step >= 6
        return TrainingSums(self.step >= until_step, 10 * self.since, float("nan") if diverged else float(self.since))

    def score(self, seconds: float) -> TrainingSums:
        self.scored = min(self.scored + 1, SLICES)
        share = self.scored / SLICES
        return TrainingSums(
            share == 1, int(PRIME * share), float(self.weights[0]) * share, int(self.weights[0] * share)
        )

    def collect(self) -> Model:
        return Model(self.weights, SHAPES)

    def suspend(self) -> Standing:
        trained = TrainingSums(False, 10 * self.since, float(self.since))
        return Standing(Model(self.weights, SHAPES), self.step, trained, TrainingSums(False, self.scored, 0.0))

    def resume(self, standing: Standing, where: str, round: int | None) -> None:
        self.weights[:] = standing.model.vector
        self.step, self.scored = standing.step, standing.scored.num_samples
        self.since = standing.trained.num_samples // 10


def search_of(
    num_trials: int = 9, parallel: int = 3, rungs: Ladder | None = None, ahead: int = 6, **more: Any
) -> SearchSpec:
    """A search of toy trials."""
    rungs = rungs or ladder(9)
    sampler = "asha" if rungs.top else "random"
    test = replace(toy.spec().data, name="whole")
    return SearchSpec("toy", sampler, num_trials, parallel, max(ahead, parallel), rungs, test, **more)


def run_of(search: SearchSpec, **more: Any) -> RunSpec:
    """The run of a search."""
    return toy.spec(search.parallel, search.ladder.rounds[-1], protocol="search", **more)


def simulate(search: SearchSpec, seed: int = 0, faults: Faults | None = None, **more: Any) -> Simulation:
    """A simulation of it, ready to run."""
    spec = run_of(search, **more)
    initial = Model(np.zeros(2, np.float32), SHAPES)
    simulation = Simulation(spec, initial, lambda worker: TrialLearner(), seed, faults or Faults())
    keys = SearchKeys(search.search)
    simulation._put(keys.spec, search.to_json())
    for trial in range(search.num_trials):
        described = replace(
            spec, run=keys.trial_run(trial), protocol="averaging", num_workers=1, tree_widths=(1,),
            steps_per_round=STEPS, optimizer={"trial": trial},
        )  # fmt: skip
        simulation._put(keys.trial(trial), described.to_json())
    return simulation


def come_to_an_end(simulation: Simulation, bound_s: float) -> tuple[Head, Outcome, list[Result]]:
    """Run it, and draw the outcome."""
    last = simulation.run(bound_s)
    return (last, *draw(simulation))


def draw(simulation: Simulation) -> tuple[Outcome, list[Result]]:
    """The outcome of a search that is over, as the command that started it draws it."""
    command = SimulatedInvocation(WATCHER, 0, outcome(simulation.spec.run), TrialLearner())
    answer: Any = None
    while True:
        try:
            effect = command.program.send(answer)
            simulation.counts[f"command {type(effect).__name__}"] += 1
            answer = simulation.perform(effect, command)
            if isinstance(effect, TakeUp):
                simulation.counts[f"command on {effect.spec.data.name}"] += 1
        except StopIteration as end:
            return end.value


def results(simulation: Simulation) -> dict[str, bytes]:
    """All that a search leaves which must not depend on what went wrong."""
    wanted = ("/result.json", "/outcome.json", "/model")
    return {key: stored.data for key, stored in simulation.store.items() if key.endswith(wanted)}
