"""`tools.bench table`: EMNIST by workers, batch size and how often weights are exchanged, as a table for a README."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnlite import data
from nnlite.platform.openfaas.functions import OpenFaaS
from nnlite.platform.openfaas.unattended import ASYNC_WAIT_S
from nnlite.runs import lifecycle, plan
from nnlite.runs.job import Job
from nnlite.store import Store, open_store
from tools.bench.emnist import add_places, counts, invoker_of, memcached, platform_of

LEARNING_RATE = 0.06  # SGD, of each worker: its momentum comes from the others being late (Mitliagkas et al. 2016)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "table",
        help="EMNIST by workers, batch size, and steps between push and pull",
        description="Train case emnist by Downpour SGD once for every combination, all of them on as many samples, and "
        "print a Markdown table of times and accuracies. Where: processes of this machine, or OpenFaaS.",
        epilog="example: python -m tools.bench table --data ../shared/data --platform openfaas "
        "--store memcached://127.0.0.1:11211/table --worker-store memcached://memcached.openfaas-fn:11211/table",
    )
    parser.add_argument("--data", metavar="DIR", help="where dataset files are (or NNLITE_DATA)")
    parser.add_argument("--dataset", default="emnist-bymerge", help="default %(default)s")
    parser.add_argument("--workers", type=counts, default=(1, 3, 6), metavar="1,3,6")
    parser.add_argument("--batch", type=counts, default=(16, 32, 64, 128), metavar="16,32,64,128")
    parser.add_argument("--every", type=counts, default=(1, 5, 10), metavar="1,5,10", help="steps; push and pull")
    parser.add_argument("--samples", type=int, default=100_000, help="to train on, all together (default %(default)s)")
    parser.add_argument("--store", metavar="URL", help="default: a memcached of its own")
    add_places(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Train every combination, and print the table."""
    dataset = data.load(args.dataset, data_dir=Path(args.data) if args.data else None)
    if args.store:
        rows(args, dataset, args.store)
        return 0
    with memcached(None) as (host, port):
        args.store = f"memcached://{host}:{port}/table"
        rows(args, dataset, args.store)
    return 0


def rows(args: argparse.Namespace, dataset: data.Dataset, url: str) -> None:
    """Print a row for each combination as soon as it is measured."""
    args.store = url
    platform_of(args)
    if not args.json:
        print("| workers | batch size | push, pull every | seconds | samples/s | test accuracy |")
        print("|---|---|---|---|---|---|", flush=True)
    with open_store(url) as store:
        for row in measure(args, dataset, store):
            if args.json:
                print(json.dumps(row), flush=True)
            else:
                cells: tuple[Any, ...] = (row["workers"], row["batch_size"], row["every"], f"{row['seconds']:.1f}")
                cells += (f"{row['samples'] / row['seconds']:,.0f}", f"{row['test_accuracy']:.3f}")
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


def measure(args: argparse.Namespace, dataset: data.Dataset, store: Store) -> Iterator[dict[str, Any]]:
    """A row for each combination."""
    for workers, batch, every in itertools.product(args.workers, args.batch, args.every):
        steps = max(1, args.samples // (workers * batch))
        job = Job(
            case="emnist", workers=workers, batch_size=batch, push_every=every, pull_every=every, protocol="downpour",
            rounds=1, steps_per_round=steps, optimizer="sgd", learning_rate=LEARNING_RATE,
        )  # fmt: skip
        platform = platform_of(args)
        waits = isinstance(platform, OpenFaaS) and platform.invocation == "async"
        spec = replace(plan.plan(job, dataset)[1], max_poll_s=0.05, wait_s=ASYNC_WAIT_S if waits else None)
        lifecycle.begin(store, store, spec, dataset)
        invoker = invoker_of(platform, spec, store)
        began_s = time.perf_counter()
        last = lifecycle.Driver(store, spec, invoker).drive(dict.fromkeys(range(workers), 1))
        seconds = time.perf_counter() - began_s
        if last.status != "done":
            print(f"{spec.run} {last.status}: {last.reason}", file=sys.stderr)
        yield {
            "workers": workers, "batch_size": batch, "every": every, "seconds": round(seconds, 2),
            "samples": workers * steps * batch, "test_accuracy": last.accuracy or 0.0,
        }  # fmt: skip
