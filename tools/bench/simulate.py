"""`tools.bench simulate`: real runs on this machine beside simulated ones, fed with constants measured here and now."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nnlite
from nnlite import data
from nnlite.errors import UsageError
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import lifecycle
from nnlite.runtime import trainer
from nnlite.simulation.forecast import Subject, forecast
from nnlite.simulation.profile import WorldProfile
from nnlite.store import Store, open_store
from tools.bench.calibrate import calibrate


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "simulate",
        help="how true the simulator is: real local runs beside simulated ones",
        description="In turns: measure the constants of this machine and store, train for real, and simulate the same "
        "run with these constants. Seconds a round of averaging, as medians; a run's first round, with its start-up, "
        "is not counted.",
        epilog="example: python -m tools.bench simulate --case b --dataset fashion-sample --rounds 3",
    )
    parser.add_argument("--case", default="b", help="(default %(default)s)")
    parser.add_argument("--dataset", help="instead of the case's")
    parser.add_argument("--data", metavar="DIR", help="where dataset files are")
    parser.add_argument("--workers", default="1,2", metavar="1,2", help="numbers of workers (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="of each run, at least 2 (default %(default)s)")
    parser.add_argument("--steps-per-round", type=int, metavar="N", help="(default: a local epoch)")
    parser.add_argument("--repetitions", type=int, default=5, help="of everything, in turns (default %(default)s)")
    parser.add_argument("--store", metavar="URL", help="(default: files in a folder that is removed)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Take turns, and print a row for each number of workers."""
    if args.rounds < 2 or args.repetitions < 1:
        raise UsageError("--rounds wants at least 2, as the first is not counted; --repetitions at least 1")
    counts = [int(part) for part in args.workers.split(",")]
    times: dict[int, dict[str, list[float]]] = {count: {"measured": [], "simulated": []} for count in counts}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = args.store or str(Path(folder) / "store")
        store = stack.enter_context(open_store(url))
        for repetition in range(args.repetitions):
            profile = _calibrated(store, _plan(args, counts[0], url, "calibration")[1])
            for count in counts:
                dataset, spec = _plan(args, count, url, f"bench-{time.time_ns()}")
                times[count]["measured"].append(measure(store, dataset, spec))
                times[count]["simulated"].append(forecast(spec, _subject(dataset, spec), profile, repetition).round_s)
    for count, found in times.items():
        measured_s, simulated_s = (statistics.median(found[name]) for name in ("measured", "simulated"))
        row = {"workers": count, "measured_s": round(measured_s, 4), "simulated_s": round(simulated_s, 4)}
        row["ratio"] = round(simulated_s / measured_s, 3)
        _show(row, found, args.json)
    return 0


def _show(row: dict[str, Any], found: dict[str, list[float]], as_json: bool) -> None:
    if as_json:
        print(json.dumps({**row, "all": found}), flush=True)
        return
    each = "  ".join(f"{m:.3f}|{s:.3f}" for m, s in zip(found["measured"], found["simulated"], strict=True))
    print(
        f"{row['workers']} workers: a round took {row['measured_s']:.3f} s, simulated {row['simulated_s']:.3f} s, "
        f"{row['ratio']:.2f} of it   ({each})",
        flush=True,
    )


def _plan(args: argparse.Namespace, num_workers: int, url: str, run: str) -> tuple[data.Dataset, RunSpec]:
    """Exactly what `tools.train` would do."""
    more = {"dataset": args.dataset, "data": args.data, "steps_per_round": args.steps_per_round}
    planned = nnlite.plan(args.case, workers=num_workers, rounds=args.rounds, store=url, run=run, **more)
    return planned.dataset, planned.spec


def _calibrated(store: Store, spec: RunSpec) -> WorldProfile:
    network, optimizer = trainer.build(spec)
    num_bytes = trainer.State.of(spec, network, optimizer).vector.nbytes
    return calibrate(store, network, optimizer, spec.case, spec.batch_size, num_bytes)


def _subject(dataset: data.Dataset, spec: RunSpec) -> Subject:
    state = trainer.State.of(spec, *trainer.build(spec))
    return Subject(state.vector.size, dataset.train.x[0].nbytes)


def measure(store: Store, dataset: data.Dataset, spec: RunSpec) -> float:
    """Seconds a round of a real run, the first not counted."""
    lifecycle.begin(store, store, spec, dataset)
    told_s: list[float] = []

    def tell(event: str, values: dict[str, Any]) -> None:
        if event == "round" and values["num_samples"]:
            told_s.append(time.monotonic())

    platform = LocalInvoker(spec.run, store.url, spec.num_workers)
    last = lifecycle.Driver(store, spec, platform, tell=tell).drive(dict.fromkeys(range(spec.num_workers), 1))
    print(f"{spec.run}: {spec.num_workers} workers, {last.reason}", file=sys.stderr)
    return (told_s[-1] - told_s[0]) / (len(told_s) - 1)
