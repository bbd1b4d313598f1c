"""`tools.bench estimate`: how near the estimate of a run comes to what the run then costs."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

CASES = {"a": [], "c": [], "emnist": [], "b": ["--rounds", "2"]}  # case -> options of tools.train
WORKERS = 2


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "estimate",
        help="estimates of runs beside their cost",
        description="Calibrate, estimate, and run a case on two local workers, several times in turn; print GB-seconds "
        "estimated and used, and the median of their ratios.",
        epilog="example: python -m tools.bench estimate --case a --data ../shared/data",
    )
    parser.add_argument("--case", choices=CASES, action="append", help="only this case; may be given again")
    parser.add_argument("--data", metavar="DIR", help="where dataset files are")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default %(default)s)")
    parser.add_argument("--share", type=float, help="hold each worker to this share of a core, so that what else this "
                        "machine does matters less (default: all it gets)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Print a row for each case."""
    for row in measure(args.case or list(CASES), args.data, args.rounds, args.share):
        shown = (
            f"case {row['case']:8} {row['estimated_gb_s']:9.3f} GB-seconds estimated, {row['used_gb_s']:9.3f} used "
            f"(medians); ratio {row['ratio']:.2f}, from {min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        )
        print(json.dumps(row) if args.json else shown, flush=True)
    return 0


def measure(
    names: list[str], data_dir: str | None, repetitions: int, share: float | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each case, with the ratio of every repetition."""
    for name in names:
        pairs = [_pair(name, data_dir, share) for _ in range(repetitions)]
        ratios = [estimated / used for estimated, used in pairs]
        yield {
            "case": name,
            "estimated_gb_s": round(median(e for e, _ in pairs), 4),
            "used_gb_s": round(median(u for _, u in pairs), 4),
            "ratio": round(median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
        }


def _pair(name: str, data_dir: str | None, share: float | None) -> tuple[float, float]:
    """GB-seconds, estimated from a fresh calibration and then used."""
    from nnlite.cost.bill import cost
    from nnlite.cost.estimate import estimate
    from nnlite.platform.local import LocalPlatform
    from nnlite.runtime import calibrate, runs
    from nnlite.runtime.account import Account
    from nnlite.store import open_store
    from tools import train
    from tools._plan import plan

    found = ["--data", data_dir] if data_dir else []
    args = train._parser().parse_args(["--case", name, "--workers", str(WORKERS), *found, *CASES[name]])
    dataset, spec = plan(args)
    processes = min(WORKERS, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "store"))
        profile = calibrate.calibrate(spec, dataset, store, processes, share)
        expected = estimate(spec, profile, calibrate.model_bytes(spec), processes=processes)
        runs.begin(store, store, spec, dataset)
        account, platform = Account(), LocalPlatform(spec.run, store.url, processes, cpu_share=share)
        driver = runs.Driver(store, spec, platform, tell=account.listening(lambda *_: None))
        driver.drive(dict.fromkeys(range(WORKERS), 1))
        account.finish(platform)
    used = account.total()
    return expected.cost.total_gb_s, cost(used, used.peak_mb, None).total_gb_s
