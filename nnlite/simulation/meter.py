"""The meter: what a simulated run asked of its store, how long its workers ran, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nnlite.protocol import effects as fx
from nnlite.protocol.records.spec import Rates
from nnlite.protocol.records.usage import Usage
from nnlite.simulation.values import Scale


@dataclass
class Use:
    """Use of the store by one invocation, or many."""

    num_requests: int = 0  #: a GetMany is one
    num_reads: int = 0  #: keys; what S3 bills as GET
    num_writes: int = 0  #: what S3 bills as PUT; deleting is free there
    bytes_read: int = 0
    bytes_written: int = 0

    def count(self, effect: fx.Effect, answer: Any, scale: Scale) -> None:
        """Take in one effect that has taken place."""
        if isinstance(effect, fx.Get):
            self.read(answer.num_bytes if answer else 0)
        elif isinstance(effect, fx.GetMany):
            self.read(sum(one.num_bytes for one in answer if one), len(answer))
        elif isinstance(effect, fx.Missing):
            self.read(0, len(effect.keys))
        elif isinstance(effect, (fx.Create, fx.Swap)):
            self.num_requests += 1
            self.num_writes += 1
            self.bytes_written += scale.num_bytes(effect.data)
        elif isinstance(effect, (fx.Delete, fx.DeleteMany)):
            self.num_requests += 1

    def read(self, num_bytes: int, num_keys: int = 1) -> None:
        """One request that reads."""
        self.num_requests += 1
        self.num_reads += num_keys
        self.bytes_read += num_bytes

    def add(self, other: Use) -> None:
        """Add all counts of another."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def usage(self, seconds: float) -> Usage:
        """The account of an invocation that lasted so long."""
        asked = {name: getattr(self, name) for name in ("num_reads", "num_writes")}
        return Usage(seconds, seconds, **asked, read_bytes=self.bytes_read, written_bytes=self.bytes_written)


@dataclass(frozen=True)
class ToldRound:
    """A round that the watcher told: when, what workers had asked for by then, and its summary."""

    at_s: float
    num_requests: int
    summary: dict[str, Any]


@dataclass
class StoreMeter:
    """Sums over all invocations of workers; the watcher, which runs where the command does, is counted apart."""

    rates: Rates = field(default_factory=Rates)
    workers: Use = field(default_factory=Use)
    watcher: Use = field(default_factory=Use)
    seconds: float = 0.0  #: of workers, start-up included
    usd: float = 0.0
    num_requests: int = 0  #: of workers, also of those that have not ended
    rounds: list[ToldRound] = field(default_factory=list)
    first_s: dict[str, float] = field(default_factory=dict)  #: when each event was told for the first time

    def count(self, use: Use, effect: fx.Effect, answer: Any, scale: Scale, is_worker: bool) -> None:
        """Take in one effect that has taken place, also into the `use` of the invocation that asked for it."""
        before = use.num_requests
        use.count(effect, answer, scale)
        if is_worker:
            self.num_requests += use.num_requests - before

    def ended(self, use: Use, seconds: float) -> None:
        """An invocation of a worker is over."""
        self.workers.add(use)
        self.seconds += seconds
        self.usd += self.rates.usd(use.usage(seconds))

    def told(self, now_s: float, event: str, values: dict[str, Any]) -> None:
        """Somebody told something."""
        self.first_s.setdefault(event, now_s)
        if event == "round":
            self.rounds.append(ToldRound(now_s, self.num_requests, values))

    @property
    def gb_s(self) -> float:
        """GB-seconds, by the memory that the rates name."""
        return self.seconds * self.rates.memory_mb / 1024
