"""The profile: the constants of a store, and of a machine that trains a case."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from nnlite.errors import UsageError

FORMAT = 1
UNLIMITED = 1e15
FULL_CPU_MB = 1_769  # of AWS Lambda: one vCPU

T = TypeVar("T")


@dataclass(frozen=True)
class Verb:
    """How long one request takes: latency_s + (further keys) * more_key_s + bytes / bytes_per_s."""

    latency_s: float
    bytes_per_s: float  #: of one connection
    more_key_s: float = 0.0  #: for every further key that is asked for together with the first


@dataclass(frozen=True)
class StoreProfile:
    """A store: each verb as one client finds it, and what all clients share."""

    get: Verb
    put: Verb
    delete: Verb
    spread: float = 0.0  #: sigma of the logarithm of latencies
    shared_bytes_per_s: float = UNLIMITED  #: of the server, both ways together
    shared_reads_per_s: float = UNLIMITED  #: keys that all clients together can read
    shared_writes_per_s: float = UNLIMITED


@dataclass(frozen=True)
class ComputeProfile:
    """A machine that trains one case: a step takes step_s + rows * row_s on a CPU of its own."""

    step_s: float
    row_s: float
    score_row_s: float  #: to score one row of the test split
    encode_bytes_per_s: float  #: weights made into bytes, checksum included
    decode_bytes_per_s: float  #: and read, or added to others
    spread: float = 0.0  #: sigma of the logarithm of how slow an invocation is
    crowding: tuple[float, ...] = ()  #: on one shared machine: how much slower 1, 2, ... workers at once are

    def slowness(self, num_workers: int) -> float:
        """How much slower each of so many workers is than one alone; 1 where each has a machine of its own."""
        if not self.crowding:
            return 1.0
        cores = len(self.crowding)
        return self.crowding[min(num_workers, cores) - 1] * max(1.0, num_workers / cores)


@dataclass(frozen=True)
class Profile:
    """Everything a simulation takes from the world."""

    store: StoreProfile
    compute: ComputeProfile
    case: str  #: that was measured
    batch_size: int
    start_s: float  #: from an invocation to a worker's first request
    start_spread: float = 0.0  #: sigma of its logarithm
    name: str = ""  #: of the store, for people
    format: int = FORMAT

    def with_memory(self, memory_mb: int, threads: int = 1) -> Profile:
        """On AWS Lambda with so much memory, where the CPU grows with it up to a vCPU for each thread."""
        share = min(1.0, memory_mb / (FULL_CPU_MB * threads))
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

    def to_json(self) -> str:
        """Deterministic JSON."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Profile:
        """Read what `to_json` wrote. Raises UsageError for anything else."""
        try:
            values = json.loads(text)
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']}, wanted {FORMAT}")
            store, compute = values.pop("store"), values.pop("compute")
            compute["crowding"] = tuple(compute["crowding"])
            verbs = {name: _read(Verb, store.pop(name)) for name in ("get", "put", "delete")}
            return _read(cls, values, store=_read(StoreProfile, store, **verbs), compute=_read(ComputeProfile, compute))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{where} is no profile ({error}): write one with python -m tools.bench store --calibrate FILE"
            ) from None


def _read(kind: type[T], values: dict[str, Any], **parts: Any) -> T:
    """A dataclass from JSON values, all of whose numbers are finite and not negative."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(values) - names:
        raise ValueError(f"unknown entries {sorted(unknown)}")
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            wanted = str if name in ("case", "name") else (int, float)
            if not isinstance(number, wanted):
                raise ValueError(f"{name} = {number!r}")
            least = 1e-300 if name.endswith("_per_s") or name == "crowding" else 0
            if not isinstance(number, str) and not (math.isfinite(number) and number >= least):
                raise ValueError(f"{name} = {number!r}")
    return kind(**values, **parts)


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
