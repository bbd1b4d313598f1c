"""Calibration: a profile of a case at a venue, from a short run of about a second; its cache; and rough guesses."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import median

import numpy as np

from nnlite import output, places
from nnlite.cost.profile import Profile
from nnlite.data import Dataset
from nnlite.errors import NnliteError, UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.short_run import Timed, short_run, shortened
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runtime import trainer
from nnlite.store import Store
from nnlite.store.file import FileStore

ROUND_S, NUM_ROUNDS = 0.15, 4  # of the short run; its first round comes on top
MOST_WORKERS = 8  # of a short run where each is a function of its own
KEEP_S = 7 * 86_400.0  # machines change, and so do their neighbours
MOST_PROBED_BYTES = 4_000_000
MOST_TRIALS = 9  # of a search, that are timed
WARM_RATE = 0.15  # of a cold start, where no warm one was seen
VERSION = 2  # of what is measured, and how


def known(spec: RunSpec, store: Store, venue: Venue, cache: Path | None = None) -> Profile | None:
    """The profile of a run at this venue, if it was measured there lately."""
    try:
        path = _path(spec, store, venue, cache)
        if time.time() - path.stat().st_mtime < KEEP_S:
            return Profile.from_json(path.read_bytes(), str(path))
    except (OSError, NnliteError):
        pass  # not measured yet, or damaged; or this user has no cache
    return None


def calibrated(spec: RunSpec, dataset: Dataset, store: Store, venue: Venue, cache: Path | None = None) -> Profile:
    """The profile, measured unless it is known. Raises NnliteError when the short run fails."""
    found = known(spec, store, venue, cache)
    if found is not None:
        return found
    profile = calibrate(spec, dataset, store, venue)
    try:
        path = _path(spec, store, venue, cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        output.write(path, [replace(profile, num_warm=0).to_json()])  # warm ones will have cooled down
    except (OSError, UsageError):
        pass  # a cache that is not there, or cannot be written, is measured again next time
    return profile


def cache_folder() -> Path:
    """Where profiles are kept: in the user's cache. Raises UsageError when this user has none."""
    return places.cache() / "profiles"


def _path(spec: RunSpec, store: Store, venue: Venue, cache: Path | None) -> Path:
    """Named after all that a profile depends on."""
    own = spec.case_file.sha256 if spec.case_file else None
    case = [spec.network, spec.optimizer, spec.batch_size, spec.threads, spec.data.augment, own]
    case += [spec.slow_momentum, spec.average_last, spec.ema]  # of closing a round, which is in the merging's time
    rows = [spec.data.name, spec.data.num_train // spec.num_workers]
    text = json.dumps([VERSION, case, rows, venue.name, store.place, num_workers(venue)], sort_keys=True)
    return (cache or cache_folder()) / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def num_workers(venue: Venue) -> int:
    """The workers of a short run: as many as the run will have at a time; of functions, which do not crowd each other,
    some."""
    return venue.processes if venue.is_here else min(venue.processes, MOST_WORKERS)


def calibrate(spec: RunSpec, dataset: Dataset, store: Store, venue: Venue) -> Profile:
    """Measure: a short run at the venue, and what a request to its store takes."""
    steps = steps_for(spec, ROUND_S, venue.share)
    short, few = shortened(spec, dataset, Tree.for_workers(num_workers(venue)), steps, NUM_ROUNDS)
    timed = short_run(short, few, venue)
    seen = timed.reach or time_store(store, model_bytes(spec))
    profile = profile_of(timed, *seen, memory_mb=venue.memory_mb, cold_start_s=venue.cold_start_s)
    rows = [data.num_train / s.num_workers + data.num_test / s.num_workers for s in (spec, short) for data in (s.data,)]
    turns = -(-spec.num_workers // venue.processes)
    more_mb = (turns * rows[0] - rows[1]) * row_bytes(spec) / 1e6
    more_s = timed.shard_s * rows[0] / rows[1]
    return replace(profile, peak_mb=max(0.0, profile.peak_mb + more_mb), warm_up_s=profile.warm_up_s + more_s)


def profile_of(
    timed: Timed, latency_s: float, store_bytes_per_s: float, memory_mb: int = 0, cold_start_s: float = 0.0
) -> Profile:
    """What a short run, and a look at the store, say of the case. cold_start_s: what is assumed if none was seen."""
    spec, size = timed.spec, model_bytes(timed.spec)
    merges = sum(spec.tree_widths[1:]) + 2 * spec.num_workers
    merge_s = sum(account.merge_s for account in timed.accounts)
    usual_s = median(timed.train_s)
    cold_s = timed.cold_start_s if timed.cold_start_s is not None else cold_start_s
    return Profile(
        step_s=timed.step_s,
        score_row_s=timed.score_s * spec.num_workers / spec.data.num_test,
        warm_up_s=max(0.0, timed.first_train_s - usual_s),
        cold_start_s=cold_s,
        warm_start_s=timed.warm_start_s if timed.warm_start_s is not None else WARM_RATE * cold_s,
        num_warm=spec.num_workers if timed.reach is not None else 0,
        merge_bytes_per_s=(spec.num_rounds + 1) * merges * size / max(merge_s, 1e-9),
        latency_s=latency_s,
        store_bytes_per_s=store_bytes_per_s,
        peak_mb=max(account.peak_mb for account in timed.accounts),
        memory_mb=memory_mb,
        jitter=timed.jitter,
    )


def model_bytes(spec: RunSpec) -> int:
    """The size of a checkpoint: weights, and optimizer state where it is shared."""
    network, optimizer = trainer.build(spec)
    return trainer.State.of(spec, network, optimizer).vector.nbytes


def row_bytes(spec: RunSpec) -> int:
    """The size of one sample in a shard: its values, and a label."""
    return prod(trainer.build(spec)[0].input_shape) * np.dtype(spec.data.dtype or np.uint8).itemsize + 1


def steps_for(spec: RunSpec, seconds: float, share: float = 1.0) -> int:
    """How many steps take so long on a share of a core; at least 2."""
    return max(2, int(seconds * share / step_seconds(spec)))


def step_seconds(spec: RunSpec) -> float:
    """Seconds of training on one minibatch of noise, timed in this process."""
    network, _ = trainer.build(spec)
    rng, num_rows = np.random.default_rng(0), min(spec.batch_size, spec.data.num_train)
    x, outputs = network.noise(num_rows, rng), network.output_shape[0]
    y = (np.arange(num_rows) % outputs).astype(np.uint8) if outputs > 1 else np.ones(num_rows, np.int8)
    weights, gradient, times = network.init(rng), network.empty(), list[float]()
    while len(times) < 3 or (sum(times) < 0.02 and len(times) < 20):
        began_s = time.perf_counter()
        network.loss_and_gradient(weights, x, y, out=gradient, rng=rng)
        times.append(time.perf_counter() - began_s)
    return min(times)


def time_store(store: Store, size: int, repetitions: int = 5) -> tuple[float, float]:
    """-> seconds of a small request, and bytes/s of values of `size` bytes, written and read."""
    if isinstance(store, FileStore):  # one that nobody has begun to use stays that way
        with places.temporary() as folder:
            return _time_store(FileStore(folder), size, repetitions)
    return _time_store(store, size, repetitions)


def _time_store(store: Store, size: int, repetitions: int) -> tuple[float, float]:
    key, large = f"probes/{os.getpid()}-{time.time_ns()}", bytes(min(size, MOST_PROBED_BYTES))
    small_s: list[float] = []
    large_s: list[float] = []
    for value, times in ((b"0" * 200, small_s), (large, large_s)):
        for _ in range(repetitions):
            began_s = time.perf_counter()
            store.put(key, value)
            store.get(key)
            times.append((time.perf_counter() - began_s) / 2)
    store.delete(key)
    latency_s = median(small_s)
    return latency_s, len(large) / max(median(large_s) - latency_s, 1e-7)


def rough(spec: RunSpec, venue: Venue) -> Profile:
    """A profile from timing a few steps in this process, and else from experience; in a few hundredths of a second."""
    step_s = step_seconds(spec) / venue.share
    shard_bytes = (spec.data.num_train + spec.data.num_test) * row_bytes(spec) / spec.num_workers
    read_s = venue.latency_s + shard_bytes / venue.store_bytes_per_s
    return Profile(
        step_s=step_s,
        score_row_s=step_s / spec.batch_size / 3,
        warm_up_s=3 * step_s + read_s,
        cold_start_s=venue.cold_start_s / venue.share,
        warm_start_s=WARM_RATE * venue.cold_start_s / venue.share,
        merge_bytes_per_s=5e8 * venue.share,
        latency_s=venue.latency_s,
        store_bytes_per_s=venue.store_bytes_per_s,
        peak_mb=35 + (shard_bytes + 8 * model_bytes(spec)) / 1e6,  # Python and NumPy, its shard, the model a few times
        memory_mb=venue.memory_mb,
    )


def search_round_s(trials: Sequence[RunSpec], venue: Venue) -> float:
    """Mean seconds of a trial's round: timed in this process for some of them, scoring included."""
    some = trials[:: -(-len(trials) // MOST_TRIALS)]
    return sum(_trial_round_s(spec) for spec in some) / len(some) / venue.share


def _trial_round_s(spec: RunSpec) -> float:
    scored = spec.data.num_test / (3 * min(spec.batch_size, spec.data.num_train))
    return step_seconds(spec) * ((spec.steps_per_round or 1) + scored)
