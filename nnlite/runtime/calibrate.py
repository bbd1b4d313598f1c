"""Calibration: a profile of a case on this machine, from a short run of about a second; and its cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from nnlite.cost.profile import Profile
from nnlite.data import Dataset, to_float
from nnlite.errors import NnliteError
from nnlite.platform.local import LocalPlatform
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.tree import Tree
from nnlite.runtime import trainer
from nnlite.runtime.short_run import Timed, short_run, shortened
from nnlite.store import Store
from nnlite.store.file import FileStore

ROUND_S, NUM_ROUNDS = 0.15, 4  # of the short run; its first round comes on top
KEEP_S = 7 * 86_400.0  # machines change, and so do their neighbours
MOST_PROBED_BYTES = 4_000_000
VERSION = 1  # of what is measured, and how


def calibrated(spec: RunSpec, dataset: Dataset, store: Store, processes: int, cache: Path | None = None) -> Profile:
    """The profile of a run on this machine, from the cache if it was measured there lately."""
    path = (cache or cache_folder()) / f"{_fingerprint(spec, store, processes)}.json"
    try:
        if time.time() - path.stat().st_mtime < KEEP_S:
            return Profile.from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, NnliteError):
        pass  # not measured yet, or damaged: measure
    profile = calibrate(spec, dataset, store, processes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(profile.to_json(), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        pass  # a cache that cannot be written is measured again next time
    return profile


def cache_folder() -> Path:
    """Where profiles are kept: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnlite" / "profiles"


def _fingerprint(spec: RunSpec, store: Store, processes: int) -> str:
    """What a profile depends on."""
    case = [spec.network, spec.optimizer, spec.batch_size, spec.threads, spec.data.augment, spec.case_file]
    rows = [spec.data.name, spec.data.num_train // spec.num_workers]
    machine = [platform.node(), platform.machine(), os.cpu_count(), platform.python_version(), np.__version__]
    kernels = os.environ.get("OPENBLAS_CORETYPE")
    place = store.url.partition("?")[0]
    text = json.dumps([VERSION, case, rows, machine, kernels, place, processes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def calibrate(spec: RunSpec, dataset: Dataset, store: Store, processes: int, cpu_share: float | None = None) -> Profile:
    """Measure: a short run in as many worker processes as the run will have, and a few requests to its store.

    cpu_share: of a core, that each process is held to; None: all it gets.
    """
    steps = steps_for(spec, dataset, ROUND_S)
    short, few = shortened(spec, dataset, Tree.for_workers(processes), steps, NUM_ROUNDS)
    timed = short_run(short, few, lambda s, at: LocalPlatform(s.run, at.url, processes, cpu_share=cpu_share))
    profile = profile_of(timed, *time_store(store, model_bytes(spec)))
    row_bytes = dataset.train.x[:1].nbytes
    rows = [data.num_train / s.num_workers + data.num_test / s.num_workers for s in (spec, short) for data in (s.data,)]
    turns = -(-spec.num_workers // processes)
    return replace(profile, peak_mb=max(0.0, profile.peak_mb + (turns * rows[0] - rows[1]) * row_bytes / 1e6))


def profile_of(timed: Timed, latency_s: float, store_bytes_per_s: float, memory_mb: int = 0) -> Profile:
    """What a short run, and a look at the store, say of the case."""
    spec, size = timed.spec, model_bytes(timed.spec)
    merges = sum(spec.tree_widths[1:]) + 2 * spec.num_workers
    merge_s = sum(account.merge_s for account in timed.accounts)
    usual_s = median(timed.train_s)
    return Profile(
        step_s=timed.step_s,
        score_row_s=timed.score_s * spec.num_workers / spec.data.num_test,
        warm_up_s=max(0.0, timed.first_train_s - usual_s),
        cold_start_s=median(account.init_s for account in timed.accounts),
        merge_bytes_per_s=(spec.num_rounds + 1) * merges * size / max(merge_s, 1e-9),
        latency_s=latency_s,
        store_bytes_per_s=store_bytes_per_s,
        peak_mb=max(account.peak_mb for account in timed.accounts),
        memory_mb=memory_mb,
        jitter=timed.jitter,
    )


def model_bytes(spec: RunSpec) -> int:
    """Of a checkpoint: weights, and optimizer state where it is shared."""
    network, optimizer = trainer.build(spec)
    return trainer.State.of(spec, network, optimizer).vector.nbytes


def steps_for(spec: RunSpec, dataset: Dataset, seconds: float, share: float = 1.0) -> int:
    """How many steps take so long on a share of a core; at least 2."""
    return max(2, int(seconds * share / step_seconds(spec, dataset)))


def step_seconds(spec: RunSpec, dataset: Dataset) -> float:
    """Of training on one minibatch, timed in this process."""
    network, _ = trainer.build(spec)
    rows = dataset.train.take(np.arange(min(spec.batch_size, len(dataset.train))))
    x = to_float(rows.x, dataset.mean, dataset.std)
    rng = np.random.default_rng(0)
    weights, gradient, times = network.init(rng), network.empty(), list[float]()
    while len(times) < 3 or (sum(times) < 0.02 and len(times) < 20):
        began_s = time.perf_counter()
        network.loss_and_gradient(weights, x, rows.y, out=gradient, rng=rng)
        times.append(time.perf_counter() - began_s)
    return min(times)


def time_store(store: Store, size: int, repetitions: int = 5) -> tuple[float, float]:
    """-> seconds of a small request, and bytes/s of values of `size` bytes, written and read."""
    if isinstance(store, FileStore):  # one that nobody has begun to use stays that way
        with tempfile.TemporaryDirectory(prefix="nnlite-") as folder:
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


def rough(spec: RunSpec, dataset: Dataset) -> Profile:
    """A profile from timing a few steps in this process, and else from experience; in a few hundredths of a second."""
    step_s = step_seconds(spec, dataset)
    return Profile(
        step_s=step_s,
        score_row_s=step_s / spec.batch_size / 3,
        warm_up_s=3 * step_s,
        cold_start_s=0.25,
        merge_bytes_per_s=5e8,
        latency_s=5e-4,
        store_bytes_per_s=1e9,
        peak_mb=resident_guess_mb(spec, dataset),
    )


def resident_guess_mb(spec: RunSpec, dataset: Dataset) -> float:
    """What a process with one worker may need: Python and NumPy, its shard, and the model a few times."""
    shard_bytes = (dataset.train.x.nbytes + dataset.test.x.nbytes) / spec.num_workers
    return 35 + (shard_bytes + 8 * model_bytes(spec)) / 1e6
