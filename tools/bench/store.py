"""`tools.bench store`: how fast weights go into a store and come back, and what working through it costs."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from nnlite import output
from nnlite.errors import UsageError
from nnlite.store import Store, open_store

NUM_BYTES = 7_025_704  # of the weights of case b
CHUNK_BYTES = 1_000_000  # of a bare item: what memcached takes as it comes
COUNTED = (1, 2, 10)  # workers of the real runs whose requests are counted
SIMULATED = (10, 100, 1_000)
WHAT = ("bandwidth", "downpour", "requests")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "store",
        help="weights put into a store and read from it, and what working through it costs",
        description="bandwidth: put and get 7 MB in interleaved rounds; for memcached, beside a bare client that does "
        "no more than cut them into items. downpour: images/s of one EMNIST worker that pushes and pulls every 10 "
        "steps, beside the same steps without a store. requests: of a worker in a round of averaging, polls included, "
        "counted in real runs and in simulated ones. --calibrate instead writes the constants of this store and "
        "machine for tools.simulate.",
        epilog="example: python -m tools.bench store --store memcached://127.0.0.1:11211/bench --what downpour",
    )
    parser.add_argument("--store", default=".nnlite", help="path or URL (default %(default)s)")
    parser.add_argument("--what", default="bandwidth", help=f"of {','.join(WHAT)}, or all (default %(default)s)")
    parser.add_argument("--rounds", type=int, help="how often everything has its turn (default 25; downpour: 5)")
    parser.add_argument("--calibrate", metavar="FILE", help="write a profile for tools.simulate --profile FILE")
    parser.add_argument("--case", default="b", help="whose steps --calibrate measures (default %(default)s)")
    parser.add_argument("--dataset", help="with --calibrate: instead of the case's; only its shape matters")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Measure what was asked for."""
    if args.rounds is not None and args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: wanted at least 1")
    if args.calibrate:
        return _calibrate(args)
    what = WHAT if args.what == "all" else tuple(args.what.split(","))
    if unknown := set(what) - set(WHAT):
        raise UsageError(f"--what {','.join(sorted(unknown))}: wanted some of {','.join(WHAT)}, or all")
    for name in what:
        {"bandwidth": _bandwidth, "downpour": _downpour, "requests": _requests}[name](args)
    return 0


def _calibrate(args: argparse.Namespace) -> int:
    from nnlite.simulation.workload import Workload
    from tools.bench.calibrate import calibrate

    output.check(args.calibrate, f"--calibrate {args.calibrate}")
    workload = Workload.of_case(args.case, args.dataset)
    with open_store(args.store) as store:
        num_bytes = workload.subject("averaging").num_parameters * 4
        found = calibrate(
            store, workload.network(), workload.optimizer, workload.case.name, workload.batch_size, num_bytes
        )
    output.write(args.calibrate, [found.to_json() + b"\n"], "a profile")
    print(found.to_json().decode() if args.json else f"wrote {args.calibrate}: {found.summary()}")
    return 0


def _downpour(args: argparse.Namespace) -> None:
    """Images/s with and without a store, interleaved."""
    from tools.bench import coordination

    rates: dict[str, list[float]] = {}
    with open_store(args.store) as store:
        arms = coordination.downpour(store)
        for _ in range(args.rounds or 5):
            for name, arm in arms.items():
                rates.setdefault(name, []).append(arm())
    alone, together = (statistics.median(rates[name]) for name in ("alone", "downpour"))
    row = {"alone_images_per_s": round(alone), "downpour_images_per_s": round(together), "kept": together / alone}
    shown = f"one worker {alone:10,.0f} images/s without a store, {together:10,.0f} with: {row['kept']:.0%} of it"
    print(json.dumps(row) if args.json else shown, flush=True)


def _requests(args: argparse.Namespace) -> None:
    """Requests of a worker and round of averaging: real runs, then simulated ones."""
    from tools.bench import coordination

    with open_store(args.store) as store:
        for num_workers in COUNTED:
            _show_requests("real", num_workers, coordination.requests(store, num_workers), args)
        kind = store.url.partition("://")[0]
    for num_workers in SIMULATED:
        _show_requests("simulated", num_workers, coordination.simulated_requests(kind, num_workers), args)


def _show_requests(how: str, num_workers: int, found: float, args: argparse.Namespace) -> None:
    row = {"how": how, "workers": num_workers, "requests_per_worker_round": round(found, 2)}
    shown = f"{how:9} {num_workers:6,} workers {found:8.2f} requests a worker and round"
    print(json.dumps(row) if args.json else shown, flush=True)


def _bandwidth(args: argparse.Namespace) -> None:
    """Run every verb in turns, and print the median of each, and the bandwidth beside the bare client's."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(args.store))
        verbs = {**_of_store(store), **_of_bare_client(args.store, stack)}
        seconds: dict[str, list[float]] = {name: [] for name in verbs}
        for _ in range(args.rounds or 25):
            for name, verb in verbs.items():
                seconds[name].append(_time(verb))
        store.delete("bench/weights")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median_s in medians.items():
        ratio = medians.get(f"bare {name}", 0.0) / median_s or None  # above 1: more bandwidth than the bare client
        row = {"verb": name, "median_ms": round(median_s * 1e3, 3), "mb_per_s": round(NUM_BYTES / 1e6 / median_s, 1)}
        if args.json:
            print(json.dumps({**row, "of_bare_bandwidth": ratio and round(ratio, 2)}))
        else:
            shown = f"  {ratio:.2f} of the bare client's bandwidth" if ratio else ""
            print(f"{name:10} {row['median_ms']:9.2f} ms {row['mb_per_s']:9.1f} MB/s{shown}")


def _of_store(store: Store) -> dict[str, Callable[[], Any]]:
    value = bytes(NUM_BYTES)
    return {"put": lambda: store.put("bench/weights", value), "get": lambda: store.get("bench/weights")}


def _of_bare_client(url: str, stack: ExitStack) -> dict[str, Callable[[], Any]]:
    """The same by pymemcache alone, at the first server of a memcached URL; nothing for other stores."""
    if not url.startswith("memcached://"):
        return {}
    from pymemcache.client.base import Client

    host, _, port = url.removeprefix("memcached://").partition("/")[0].split(",")[0].partition(":")
    client = Client((host, int(port or 11211)), default_noreply=False, connect_timeout=3, timeout=20, no_delay=True)
    stack.callback(client.close)
    value, starts = bytes(NUM_BYTES), range(0, NUM_BYTES, CHUNK_BYTES)

    def put() -> None:
        for start in starts:
            client.set(f"bare-{start}", value[start : start + CHUNK_BYTES], expire=60)

    def get() -> None:
        b"".join(client.get(f"bare-{start}") for start in starts)

    return {"bare put": put, "bare get": get}


def _time(verb: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    verb()
    return time.perf_counter() - start_s
