"""The learner: what the simulator needs of a trainer. `runtime.trainer.Trainer` has it, and so can a toy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from nnlite.protocol import effects as fx
from nnlite.protocol.records.spec import RunSpec


class Learner(Protocol):
    """One method for each effect that computes."""

    def following(self, spec: RunSpec) -> Learner:
        """See `effects.TakeUp`."""

    def adopt(self, round: int, data: Any, where: str) -> None:
        """See `effects.Adopt`."""

    def train(self, seconds: float, until_step: int | None = None) -> fx.TrainingSums:
        """See `effects.Train`."""

    def join(self, data: Any, where: str, step: int, pending: Sequence[Any]) -> int:
        """See `effects.Join`."""

    def rebase(self, data: Any, where: str, pending: Sequence[Any]) -> None:
        """See `effects.Rebase`."""

    def take_update(self, scale: float = 1.0, whole: bool = False) -> fx.Model:
        """See `effects.TakeUpdate`."""

    def evaluate(self, data: Any, where: str, part: int, seconds: float, first: int = 0) -> fx.TrainingSums:
        """See `effects.Evaluate`."""

    def score(self, seconds: float) -> fx.TrainingSums:
        """See `effects.Score`."""

    def collect(self) -> fx.Model:
        """See `effects.Collect`."""

    def suspend(self) -> fx.Standing:
        """See `effects.Suspend`."""

    def resume(self, standing: fx.Standing, where: str, round: int | None) -> None:
        """See `effects.Resume`."""


COMPUTING = (
    fx.Adopt, fx.Train, fx.Join, fx.Rebase, fx.TakeUpdate, fx.Evaluate, fx.Score, fx.Collect, fx.Suspend, fx.Resume
)  # fmt: skip


def compute(effect: fx.Effect, learner: Learner) -> Any:
    """What a learner answers to one of the effects that are COMPUTING."""
    match effect:
        case fx.Adopt(round, data, where):
            learner.adopt(round, data, where)
        case fx.Train(seconds, until_step):
            return learner.train(seconds, until_step)
        case fx.Join(data, where, step, pending):
            return learner.join(data, where, step, pending)
        case fx.Rebase(data, where, pending):
            learner.rebase(data, where, pending)
        case fx.TakeUpdate(scale, whole):
            return learner.take_update(scale, whole)
        case fx.Evaluate(data, where, part, seconds, first):
            return learner.evaluate(data, where, part, seconds, first)
        case fx.Score(seconds):
            return learner.score(seconds)
        case fx.Collect():
            return learner.collect()
        case fx.Suspend():
            return learner.suspend()
        case fx.Resume(standing, where, round_):
            learner.resume(standing, where, round_)
    return None
