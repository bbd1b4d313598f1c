"""`tools.bench store`: how fast the weights of case b go into a store and come back."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from nnlite.errors import UsageError
from nnlite.store import Store, open_store

NUM_BYTES = 7_025_704  # of the weights of case b
CHUNK_BYTES = 1_000_000  # of a bare item: what memcached takes as it comes


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "store",
        help="weights put into a store and read from it",
        description="Put and get 7 MB in interleaved rounds; for memcached, beside a bare client that does no more "
        "than cut them into items.",
        epilog="example: python -m tools.bench store --store memcached://127.0.0.1:11211/bench",
    )
    parser.add_argument("--store", default=".nnlite", help="path or URL (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=25, help="rounds (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Run every verb in turns, and print the median of each, and the bandwidth beside the bare client's."""
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: wanted at least 1")
    with ExitStack() as stack:
        store = stack.enter_context(open_store(args.store))
        verbs = {**_of_store(store), **_of_bare_client(args.store, stack)}
        seconds: dict[str, list[float]] = {name: [] for name in verbs}
        for _ in range(args.rounds):
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
    return 0


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
