"""`tools.bench estimate`: how near the estimate of a run comes to what the run then costs."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from nnlite.cost.bill import Cost
from nnlite.invoker.processor import num_processes
from nnlite.protocol.records.usage import Usage

CASES = {"a": [], "c": [], "emnist": [], "b": ["--rounds", "2"]}  # case -> options of tools.train


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "estimate",
        help="estimates of runs beside their cost",
        description="Calibrate, estimate, and run a case, several times in turn; print dollars at list prices and "
        "GB-seconds, estimated and used, and the medians of their ratios.",
        epilog="example: python -m tools.bench estimate --case a --data ../shared/data",
    )
    parser.add_argument("--case", choices=CASES, action="append", help="only this case; may be given again")
    parser.add_argument("--data", metavar="DIR", help="where dataset files are")
    parser.add_argument("--workers", type=int, default=2, help="of each run (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default %(default)s)")
    parser.add_argument("--platform", choices=["local", "lambda"], default="local",
                        help="where (default local); on Lambda the runs are paid for")  # fmt: skip
    parser.add_argument("--share", type=float, help="hold each worker to this share of a core, so that what else this "
                        "machine does matters less (default: all it gets)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Print a row for each case."""
    for row in measure(args):
        shown = f"case {row['case']:8}" + "".join(
            f" {row['estimated_' + unit]:10.4g} {words} estimated, {row['used_' + unit]:10.4g} used, ratio "
            f"{row[unit + '_ratio']:.2f} ({min(row[unit + '_ratios']):.2f} to {max(row[unit + '_ratios']):.2f});"
            for unit, words in (("usd", "USD"), ("gb_s", "GB-seconds"))
        )
        print(json.dumps(row) if args.json else shown.rstrip(";"), flush=True)
    return 0


def measure(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each case, with the ratio of every repetition; medians over these."""
    for name in args.case or list(CASES):
        pairs = [_pair(name, args) for _ in range(args.rounds)]
        row: dict[str, Any] = {"case": name, "platform": args.platform}
        for unit in ("usd", "gb_s"):
            ratios = [estimated[unit] / used[unit] for estimated, used in pairs]
            row["estimated_" + unit] = median(estimated[unit] for estimated, _ in pairs)
            row["used_" + unit] = median(used[unit] for _, used in pairs)
            row[unit + "_ratio"] = round(median(ratios), 3)
            row[unit + "_ratios"] = [round(ratio, 3) for ratio in ratios]
        row["last"] = {"estimated": pairs[-1][0], "used": pairs[-1][1]}
        yield row


def _pair(name: str, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cost of a run, estimated from a fresh calibration and then as it was."""
    from nnlite.commands import platforms, train
    from nnlite.commands.planning import plan
    from nnlite.estimating import calibrate
    from nnlite.estimating.books import Books
    from nnlite.estimating.conditions import local
    from nnlite.runs import lifecycle
    from nnlite.store import open_store

    found = ["--data", args.data] if args.data else []
    argv = ["--case", name, "--workers", str(args.workers), *found, *CASES[name]]
    asked = train._parser().parse_args([*argv, "--platform", args.platform, "--calibrate", "--yes"])
    platform = platforms.of(asked)
    with ExitStack() as stack:
        if platform.is_here:
            asked.store = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "store")
        platforms.settle_store(asked, platform)
        store = stack.enter_context(open_store(asked.store))
        planned = plan(asked, platform)
        spec = planned.spec
        is_here = platform.is_here
        venue = local(min(args.workers, num_processes()), args.share) if is_here else platform.venue(spec, asked.store)
        books = Books(spec, store, venue, platform.probes_cost)
        expected = books.by(calibrate.calibrate(spec, planned.dataset, store, books.venue))
        planned.begin()
        lifecycle.Driver(store, spec, books.venue.open(spec, store)).drive(dict.fromkeys(range(args.workers), 1))
        account = books.account()
    estimate = expected.estimate
    return _values(estimate.cost, estimate.usage), _values(account.cost, account.used)


def _values(cost: Cost, used: Usage) -> dict[str, Any]:
    return {**cost.values(), "reads": used.num_reads, "writes": used.num_writes}
