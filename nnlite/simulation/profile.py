"""The profile: the constants of a store, and of a machine that trains a case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from nnlite.errors import UsageError
from nnlite.quantities import ONE_CORE_MB
from nnlite.records import Amount, Count, Range, Record

FORMAT = 1
UNLIMITED = 1e15
Speed = Annotated[float, Range(1e-300, float("inf"))]


@dataclass(frozen=True)
class Verb:
    """How long one request takes: latency_s + (further keys) * more_key_s + bytes / bytes_per_s."""

    latency_s: Amount
    bytes_per_s: Speed  #: of one connection
    more_key_s: Amount = 0.0  #: for every further key that is asked for together with the first


@dataclass(frozen=True)
class StoreProfile:
    """A store: each verb as one client finds it, and what all clients share."""

    get: Verb
    put: Verb
    delete: Verb
    spread: Amount = 0.0  #: sigma of the logarithm of latencies
    shared_bytes_per_s: Speed = UNLIMITED  #: of the server, both ways together
    shared_reads_per_s: Speed = UNLIMITED  #: keys that all clients together can read
    shared_writes_per_s: Speed = UNLIMITED


@dataclass(frozen=True)
class ComputeProfile:
    """A machine that trains one case: a step takes step_s + rows * row_s on a CPU of its own."""

    step_s: Amount
    row_s: Amount
    score_row_s: Amount  #: to score one row of the test split
    encode_bytes_per_s: Speed  #: weights made into bytes, checksum included
    decode_bytes_per_s: Speed  #: and read, or added to others
    spread: Amount = 0.0  #: sigma of the logarithm of how slow an invocation is
    crowding: tuple[Speed, ...] = ()  #: on one shared machine: how much slower 1, 2, ... workers at once are

    def slowness(self, num_workers: int) -> float:
        """How much slower each of so many workers is than one alone; 1 where each has a machine of its own."""
        if not self.crowding:
            return 1.0
        cores = len(self.crowding)
        return self.crowding[min(num_workers, cores) - 1] * max(1.0, num_workers / cores)


HINT = "write one with python -m tools.bench store --calibrate FILE"


@dataclass(frozen=True)
class WorldProfile(Record, what="a profile", hint=HINT, error=UsageError, indent=1):
    """Everything a simulation takes from the world."""

    store: StoreProfile
    compute: ComputeProfile
    case: str  #: that was measured
    batch_size: Count
    start_s: Amount  #: from an invocation to a worker's first request
    start_spread: Amount = 0.0  #: sigma of its logarithm
    name: str = ""  #: of the store, for people
    format: Annotated[int, Range(FORMAT, FORMAT)] = FORMAT

    def with_memory(self, memory_mb: int, threads: int = 1) -> WorldProfile:
        """On AWS Lambda with so much memory, where the CPU grows with it up to a vCPU for each thread."""
        share = min(1.0, memory_mb / (ONE_CORE_MB * threads))
        timed = {name: getattr(self.compute, name) / share for name in ("step_s", "row_s", "score_row_s")}
        rates = {name: getattr(self.compute, name) * share for name in ("encode_bytes_per_s", "decode_bytes_per_s")}
        return replace(self, compute=replace(self.compute, **timed, **rates), start_s=self.start_s / share)

    def summary(self) -> str:
        """For people."""
        get, put, one = self.store.get, self.store.put, self.compute
        return (
            f"get {get.latency_s * 1e3:.3g} ms and {get.bytes_per_s / 1e6:,.0f} MB/s, put {put.latency_s * 1e3:.3g} ms "
            f"and {put.bytes_per_s / 1e6:,.0f} MB/s; a step {(one.step_s + self.batch_size * one.row_s) * 1e3:.3g} ms, "
            f"{len(one.crowding) or 1} at once {(one.crowding or (1.0,))[-1]:.2f} times as slow"
        )


# What is assumed of a store in a data centre where nobody has measured it. AWS documents 5,500 reads and 3,500 writes a
# second for a prefix of S3, and a Lambda function gets about 75 MB/s; the memcached is one node with 10 Gbit/s.
ASSUMED = {
    "s3": StoreProfile(
        Verb(0.025, 75e6, 0.002), Verb(0.040, 75e6), Verb(0.020, 75e6), spread=0.4,
        shared_reads_per_s=5_500, shared_writes_per_s=3_500,
    ),
    "memcached": StoreProfile(
        Verb(0.0007, 75e6, 0.00001), Verb(0.0014, 75e6), Verb(0.0014, 75e6, 0.0014), spread=0.2,
        shared_bytes_per_s=1.25e9, shared_reads_per_s=100_000, shared_writes_per_s=100_000,
    ),
    "file": StoreProfile(Verb(0.00005, 2e9, 0.00005), Verb(0.0002, 1e9), Verb(0.0001, 1e9, 0.0001)),
}  # fmt: skip
