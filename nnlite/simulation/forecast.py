"""The forecast: what a run would take, from a simulation of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlite.protocol.effects import Model
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.simulation.faults import Faults
from nnlite.simulation.meter import StoreMeter, ToldRound
from nnlite.simulation.modelled import ModelledLearner
from nnlite.simulation.pace import Modelled
from nnlite.simulation.profile import WorldProfile
from nnlite.simulation.simulator import Simulation
from nnlite.simulation.values import Scale

TOY_SIZE = 100  # entries of the vector that stands for the weights: enough for one percent of it


@dataclass(frozen=True)
class Subject:
    """What is trained, as far as time and bytes depend on it."""

    num_parameters: int  #: of everything that is shared: weights, and slots where they are averaged
    row_bytes: int  #: of one sample in a shard


@dataclass(frozen=True)
class Forecast:
    """One run. Requests are those of workers, polls included; dollars are list prices."""

    workers: int
    status: str
    reason: str
    total_s: float  #: until the command hears that the run is over
    round_s: float  #: from the end of one round to the end of the next; in downpour, of a local epoch
    requests_per_worker_round: float
    requests: int
    reads: int  #: keys read, also several in one request
    writes: int
    bytes_read: int
    bytes_written: int
    staleness_mean: float  #: checkpoints between an update's base and its application
    staleness_max: int
    gb_s: float
    usd: float
    invocations: int
    crashes: int
    effects: int


def forecast(
    spec: RunSpec, subject: Subject, profile: WorldProfile, seed: int = 0, faults: Faults | None = None
) -> Forecast:
    """Simulate a run to its end. Raises RunError when that would never come."""
    simulation = make(spec, subject, profile, seed, faults)
    last = simulation.run()
    total_s = simulation.now_s
    simulation.drain()
    return _summed_up(simulation, last, total_s)


def make(
    spec: RunSpec, subject: Subject, profile: WorldProfile, seed: int = 0, faults: Faults | None = None
) -> Simulation:
    """The simulation, ready to run."""
    size = min(TOY_SIZE, subject.num_parameters)
    model = Model(np.ones(size, np.float32), {"weight": (size,)})
    scale = Scale(size * 4, subject.num_parameters * 4)
    pace = Modelled(profile, scale, np.random.default_rng(seed), subject.row_bytes)

    def learner(worker: int) -> ModelledLearner:
        return ModelledLearner(spec, worker, model, profile.compute)

    return Simulation(spec, model, learner, seed, faults or Faults(), pace, scale, story_length=0)


def seconds_per_round(meter: StoreMeter, spec: RunSpec, total_s: float) -> float:
    """Seconds of a round, start-up left out where there are several."""
    told = [one for one in meter.rounds if one.summary["num_samples"]]
    if not told:
        return total_s
    if not spec.rules.has_rounds:  # a checkpoint is no round: all of them together are `num_rounds`
        return (told[-1].at_s - meter.first_s.get("began", 0.0)) / spec.num_rounds
    return (told[-1].at_s - told[0].at_s) / (len(told) - 1) if len(told) > 1 else told[0].at_s


def _summed_up(simulation: Simulation, last: Head, total_s: float) -> Forecast:
    spec, meter = simulation.spec, simulation.meter
    use = meter.workers
    staleness = [one.summary for one in meter.rounds if one.summary.get("num_updates")]
    num_updates = sum(one["num_updates"] for one in staleness)
    return Forecast(
        workers=spec.num_workers,
        status=last.status,
        reason=last.reason,
        total_s=total_s,
        round_s=seconds_per_round(meter, spec, total_s),
        requests_per_worker_round=_requests_per_round(meter.rounds, spec, use.num_requests) / spec.num_workers,
        requests=use.num_requests,
        reads=use.num_reads,
        writes=use.num_writes,
        bytes_read=use.bytes_read,
        bytes_written=use.bytes_written,
        staleness_mean=sum(o["mean_staleness"] * o["num_updates"] for o in staleness) / max(1, num_updates),
        staleness_max=max((one["max_staleness"] for one in staleness), default=0),
        gb_s=meter.gb_s,
        usd=meter.usd,
        invocations=simulation.counts["invocations"],
        crashes=simulation.counts["crashes"],
        effects=simulation.num_effects,
    )


def _requests_per_round(rounds: list[ToldRound], spec: RunSpec, total: int) -> float:
    """The sum over all workers in one round; start-up and end left out where there are several rounds."""
    trained = [one for one in rounds if one.summary["num_samples"]]
    if not spec.rules.has_rounds or len(trained) < 2:
        return total / max(1, spec.num_rounds)
    return (trained[-1].num_requests - trained[0].num_requests) / (len(trained) - 1)
