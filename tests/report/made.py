"""Runs of any size without training: what workers would have left in the store, by the format alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.usage import Usage
from nnlite.store.memory import MemoryStore
from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from tests.runtime import small

CLOSING_S = ((format.PULL, 0.1), (format.EVALUATE, 0.05), (format.PUSH, 0.1), (format.WAIT, 0.4))
ROUND_S = ((format.PULL, 0.1), (format.EVALUATE, 0.05), (format.TRAIN, 1.0), (format.PUSH, 0.1), (format.WAIT, 0.4))


def made(num_workers: int, num_rounds: int, **more: Any) -> tuple[MemoryStore, RunSpec]:
    """A run that is done, of workers that all do the same, give or take."""
    rows = small.dataset(max(96, num_workers))
    store, spec = MemoryStore(), small.spec(rows, num_workers, num_rounds, **more)
    keys, rng = Keys(spec.run), np.random.default_rng(0)
    store.put(keys.spec, spec.to_json())
    store.put(keys.head, Head(num_rounds, DONE, "all rounds done", num_rounds, 0.9).to_json(keys.head))
    for round in range(num_rounds + 1):
        trained = 96 if round < num_rounds else 0
        tally = Tally(trained, 2.0 * trained / (round + 1), 40, min(40, 10 + round), 0.0)
        store.put(
            keys.summary(round),
            contribution.summary(round, tally, tally.accuracy_of(spec), 1.7).to_json(keys.summary(round)),
        )
    for worker in range(num_workers):
        lines, at_s = [Span(format.INIT, 0.0, 0.5)], 0.5
        for round in range(num_rounds + 1):
            for kind, mean_s in ROUND_S if round < num_rounds else CLOSING_S:
                seconds = mean_s * rng.uniform(0.8, 1.2)
                lines.append(Span(kind, at_s, seconds, round, samples=100 * (kind == format.TRAIN), reads=1))
                at_s += seconds
            lines.append({"mark": format.CLOSED, "at_s": at_s, "round": round})
        used = Usage(
            at_s, at_s, 0.5, num_rounds * 1.05, num_rounds * 0.2, 0.1, 1, num_rounds * 5, 2, 0, 10, 1000, 100.0
        )
        store.put(keys.lease(worker), Lease(1, "x", own=used, is_final=True).to_json(keys.lease(worker)))
        lines.append({"mark": format.END, "at_s": at_s, "reason": "done"})
        put(
            store, keys, worker, 1, [lines[: len(lines) // 2], lines[len(lines) // 2 :]], began_unix_s=1e9 + worker / 50
        )
    return store, spec


def put(store: MemoryStore, keys: Keys, worker: int, attempt: int, batches: Iterable[Any], began_unix_s: float) -> None:
    """Write the batches of an invocation."""
    for batch, lines in enumerate(batches):
        header = {"run": keys.run, "worker": worker, "attempt": attempt, "batch": batch, "began_unix_s": began_unix_s}
        store.put(keys.trace(worker, attempt, batch), format.encode(header, lines))
