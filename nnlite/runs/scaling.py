"""Scaling: how training changes with the number of workers, so that more of them learn the same model.

A case is tuned for one worker. Several take their steps at the same time, and every checkpoint is the mean of what they
changed. So, of each other's work, they see less, and a step of all of them together stands for more samples:

- the local batch shrinks, so that the global one, which is W times as large, stays near what the case was tuned for;
- where it cannot, the rate grows with it (Goyal et al. 2017, "Accurate, Large Minibatch SGD", which also warms up), or
  with its root: with optimizers that divide by the size of the gradient, and in Downpour, where changes come late;
- the rate falls to nothing in the end: only then the changes of many agree;
- rounds of averaging are shorter than a pass over a worker's shard, as far as requests are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from nnlite import cases, nn
from nnlite.protocol import protocols
from nnlite.protocol.records.spec import RunSpec

LEAST_BATCH = 16  # below, a step costs as much as one of 16 samples
MOST = 8.0  # times the rate: beyond, training diverges
WARMUP_RATE = 0.05  # of a worker's steps
SLOW_MOMENTUM = ((17, 0.5), (8, 0.3), (4, 0.2), (0, 0.0))  # from so many workers on
LEAST_ROUNDS = 10  # for a momentum of rounds
FEW = 4  # workers, from which on averaging after every local epoch is too seldom
STEPS_OF_ALL = {True: 256, False: 1024}  # in a round, by whether a request is cheap: workers drift apart in between


@dataclass(frozen=True)
class Scaling:
    """What a worker of several does otherwise than one alone."""

    num_workers: int
    tuned_batch: int  #: the case's: what one worker takes
    batch_size: int  #: what each of several takes
    steps_per_round: int | None  #: of averaging; None: one local epoch
    is_late: bool  #: whether changes arrive late, as in Downpour: they act like more momentum

    def slow_momentum(self, num_rounds: int) -> float:
        """The slow momentum of averaging: the mean of many goes less far than each of them."""
        if self.is_late or num_rounds < LEAST_ROUNDS:
            return 0.0
        return next(beta for least, beta in SLOW_MOMENTUM if self.num_workers >= least)

    def factor(self, optimizer: nn.Optimizer) -> float:
        """Times the rate that one worker has."""
        grown = max(1.0, min(MOST, self.num_workers * self.batch_size / self.tuned_batch))
        is_relative = isinstance(optimizer, (nn.Adam, nn.RMSProp, nn.LAMB))
        return sqrt(grown) if is_relative or self.is_late else grown

    def scheduled(
        self, optimizer: nn.Optimizer, num_steps: int, is_given: bool, is_constant: bool = False
    ) -> nn.Optimizer:
        """The optimizer of a worker that takes `num_steps`. is_given: its rate is the peak as it stands. is_constant:
        where it stays, instead of falling to nothing."""
        factor, warmup = 1.0 if is_given else self.factor(optimizer), int(WARMUP_RATE * num_steps)
        rate = optimizer.learning_rate
        if isinstance(rate, nn.Schedule):
            scaled = nn.Scaled(rate, factor)
            return optimizer.with_learning_rate(nn.Warmup(scaled, warmup) if warmup else scaled)
        peak = rate * factor
        return optimizer.with_learning_rate(nn.Cosine(peak, max(1, num_steps), peak if is_constant else 0.0, warmup))


def of(num_workers: int, tuned_batch: int, protocol: str, is_cheap: bool, batch_size: int | None = None) -> Scaling:
    """The scaling of a run.

    tuned_batch: the case's. is_cheap: whether a request costs next to nothing. batch_size: as given, if it is.
    """
    smallest = min(tuned_batch, LEAST_BATCH)
    local = batch_size if batch_size is not None else max(smallest, ceil(tuned_batch / num_workers))
    steps = max(STEPS_OF_ALL[is_cheap] // num_workers, STEPS_OF_ALL[is_cheap] // 16)
    is_late = protocols.named(protocol).is_late
    return Scaling(num_workers, tuned_batch, local, None if is_late or num_workers < FEW else steps, is_late)


def shown(spec: RunSpec, optimizer: nn.Optimizer) -> str:
    """What people see of it: `rate 0.02 x 4 = 0.08, warm-up 49 steps, batch 16 x 4`."""
    peak, warmup, how = _peak(optimizer.learning_rate)
    tuned = cases.CASES[spec.case].optimizer if spec.case in cases.CASES else optimizer
    usual = (
        tuned if type(tuned) is type(optimizer) else cases.OPTIMIZERS.get(type(optimizer).__name__.lower(), optimizer)
    )
    times = peak / _peak(usual.learning_rate)[0]
    is_scaled = warmup > 0 and abs(times - 1) > 1e-6
    parts = [f"rate {_peak(usual.learning_rate)[0]:g} x {times:.3g} = {peak:g}" if is_scaled else f"rate {peak:g}"]
    parts += [f"warm-up {warmup} steps"] if warmup else []
    parts += [how, f"batch {spec.batch_size} x {spec.num_workers}"]
    return ", ".join(parts)


def _peak(rate: float | nn.Schedule) -> tuple[float, int, str]:
    """The most that a learning rate comes to, the steps until then, and what it does after."""
    if isinstance(rate, nn.Cosine):
        return rate.start, rate.warmup, "constant" if rate.end == rate.start else "cosine"
    if isinstance(rate, nn.Warmup):
        peak, _, how = _peak(rate.then)
        return peak, rate.num_steps, how
    if isinstance(rate, nn.Scaled):
        peak, warmup, how = _peak(rate.schedule)
        return rate.factor * peak, warmup, how
    return (rate.at(0), 0, type(rate).__name__) if isinstance(rate, nn.Schedule) else (rate, 0, "constant")
