"""The pace: how long every effect takes in virtual time, and when in that time it takes place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nnlite.protocol import effects as fx
from nnlite.simulation.faults import Faults
from nnlite.simulation.meter import Use
from nnlite.simulation.modelled import ModelledLearner
from nnlite.simulation.profile import Verb, WorldProfile
from nnlite.simulation.server import ModelledServer
from nnlite.simulation.values import Scale, Stored

SPEC_BYTES = 2_000  # of a run's specification, about
WRITES = (fx.Create, fx.Swap, fx.Delete, fx.DeleteMany)


class SimulatedPace(Protocol):
    """How long things take. `slowness` multiplies what an invocation does by itself."""

    def begin_s(self, learner: Any, slowness: float, now_s: float, use: Use) -> float:
        """From an invocation to its program's first effect; what that reads is counted into `use`."""

    def before_s(self, effect: fx.Effect, now_s: float, slowness: float) -> float:
        """From asking for an effect until it takes place, for all to see."""

    def after_s(self, effect: fx.Effect, answer: Any, learner: Any, now_s: float, slowness: float) -> float:
        """From there until the answer is in the program's hands."""


@dataclass
class DrawnPace:
    """Everything takes place at once, and its answer arrives after a random time: for toys, and for finding faults."""

    faults: Faults
    rng: np.random.Generator

    def begin_s(self, learner: Any, slowness: float, now_s: float, use: Use) -> float:
        """See `Pace`."""
        return float(self.rng.uniform(0, self.faults.cold_start_s))

    def before_s(self, effect: fx.Effect, now_s: float, slowness: float) -> float:
        """See `Pace`."""
        return 0.0

    def after_s(self, effect: fx.Effect, answer: Any, learner: Any, now_s: float, slowness: float) -> float:
        """See `Pace`."""
        if isinstance(effect, fx.Sleep):
            return effect.seconds * slowness
        if isinstance(effect, (fx.Train, fx.Score, fx.Evaluate)):
            return float(self.rng.exponential(self.faults.slice_s)) * slowness
        if isinstance(effect, (fx.Get, fx.GetMany, fx.Missing, *WRITES)):
            return float(self.rng.exponential(self.faults.latency_s)) * slowness
        return 0.0


@dataclass
class Modelled:
    """By the constants of a profile. A write takes place when all of it has arrived; a read, when it is asked for."""

    profile: WorldProfile
    scale: Scale
    rng: np.random.Generator
    row_bytes: int = 0  #: of one sample in a shard
    server: ModelledServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ModelledServer(self.profile.store)
        self._spread = self.profile.store.spread
        self._chances = _in_blocks(lambda: self.rng.standard_normal(4096))

    def begin_s(self, learner: Any, slowness: float, now_s: float, use: Use) -> float:
        """See `Pace`. The learner gets its machine; specification and shards are read."""
        total_s = self.profile.start_s * float(np.exp(self.profile.start_spread * self._chances()))
        sizes = [SPEC_BYTES]
        if isinstance(learner, ModelledLearner):
            machine = float(np.exp(self.profile.compute.spread * self._chances()))
            learner.slowness = slowness * machine * self.profile.compute.slowness(learner.spec.num_workers)
            sizes += [rows * self.row_bytes for rows in (learner.num_rows, learner.num_test) if rows]
        for num_bytes in sizes:
            use.read(num_bytes)
            total_s += self._request(self.profile.store.get, num_bytes, now_s, num_reads=1)
        return total_s

    def before_s(self, effect: fx.Effect, now_s: float, slowness: float) -> float:
        """See `Pace`."""
        if isinstance(effect, (fx.Create, fx.Swap)):
            num_bytes = self.scale.num_bytes(effect.data)
            encoding_s = num_bytes / self.profile.compute.encode_bytes_per_s * slowness
            return encoding_s + self._request(self.profile.store.put, num_bytes, now_s + encoding_s, num_writes=1)
        if isinstance(effect, fx.Delete):
            return self._request(self.profile.store.delete, 0, now_s, num_writes=1)
        if isinstance(effect, fx.DeleteMany):
            return self._request(self.profile.store.delete, 0, now_s, num_writes=len(effect.keys))
        return 0.0

    def after_s(self, effect: fx.Effect, answer: Any, learner: Any, now_s: float, slowness: float) -> float:
        """See `Pace`. How slow it computes, a learner knows itself."""
        if isinstance(effect, fx.Now):
            return 0.0
        if isinstance(effect, fx.Get):
            return self._read([answer], now_s, slowness)
        if isinstance(effect, fx.GetMany):
            return self._read(answer, now_s, slowness)
        if isinstance(effect, fx.Missing):
            return self._request(self.profile.store.get, 0, now_s, num_reads=len(effect.keys))
        if isinstance(effect, fx.Sleep):
            return effect.seconds
        if isinstance(effect, (fx.Train, fx.Score, fx.Evaluate)) and isinstance(learner, ModelledLearner):
            return learner.took_s
        return 0.0

    def _read(self, found: list[Stored | None], now_s: float, slowness: float) -> float:
        num_bytes = sum(one.num_bytes for one in found if one)
        decoding_s = num_bytes / self.profile.compute.decode_bytes_per_s * slowness
        return decoding_s + self._request(self.profile.store.get, num_bytes, now_s, num_reads=len(found))

    def _request(self, verb: Verb, num_bytes: int, now_s: float, num_reads: int = 0, num_writes: int = 0) -> float:
        latency_s = verb.latency_s + max(0, num_reads + num_writes - 1) * verb.more_key_s
        if self._spread:
            latency_s *= float(np.exp(self._spread * self._chances()))
        shared_s = self.server.done_in_s(now_s, num_bytes, num_reads, num_writes)
        return latency_s + max(num_bytes / verb.bytes_per_s, shared_s)


def _in_blocks(draw: Callable[[], Any]) -> Callable[[], float]:
    """One number at a time from a function that draws many: ten times as fast."""
    drawn: list[float] = []

    def one() -> float:
        if not drawn:
            drawn.extend(draw().tolist())
        return drawn.pop()

    return one
