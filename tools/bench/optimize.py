"""`tools.bench optimize`: how near to the best memory size a search ends, beside a plain descent."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from statistics import mean, median
from typing import Any

from nnlite.cost.curve import OBJECTIVES
from nnlite.cost.search import MemorySearch
from nnlite.errors import UsageError
from tools.bench.descent import descend
from tools.bench.profiles import Synthetic

LOWEST_MB, HIGHEST_MB, MAX_PROBES = 256, 3008, 8
NEAR = 0.05  # what counts as found


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "optimize",
        help="the search for a memory size, on synthetic profiles",
        description="Search the best memory size of synthetic profiles (memory-bound, CPU-bound, flat, step at one "
        "core) whose timings have 5 to 20 %% noise and outliers, by ours and by a descent from two points.",
        epilog="example: python -m tools.bench optimize --profiles 50",
    )
    parser.add_argument("--profiles", type=int, default=50, help="how many (default %(default)s)")
    parser.add_argument("--timings", type=int, default=3, help="rounds that a probe times (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="(default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Print one row for each objective and method."""
    if args.profiles < 1 or args.timings < 1 or args.first_seed < 0:
        raise UsageError("--profiles and --timings: wanted 1 or more; --first-seed: 0 or more")
    if not args.json:
        print(f"{'objective':22} {'method':10} {'within 5 %':>12} {'median':>8} {'worst':>8} {'probes':>7}")
    for row in measure(range(args.first_seed, args.first_seed + args.profiles), args.timings):
        shown = (
            f"{row['objective']:22} {row['method']:10} {row['found']:>5} of {row['profiles']:<3} "
            f"{100 * row['median_regret']:>7.1f}% {100 * row['worst_regret']:>7.1f}% {row['mean_probes']:>7.1f}"
        )
        print(json.dumps(row) if args.json else shown, flush=True)
    return 0


def measure(seeds: range, timings: int = 3) -> Iterator[dict[str, Any]]:
    """One row for each objective and method: how often it ends within 5 %, and how far off it is."""
    for objective in OBJECTIVES:
        for method in ("ours", "descent"):
            found = [one(method, objective, seed, timings) for seed in seeds]
            regrets = [regret for regret, _ in found]
            yield {
                "objective": objective,
                "method": method,
                "found": sum(regret <= NEAR for regret in regrets),
                "profiles": len(regrets),
                "median_regret": round(median(regrets), 4),
                "worst_regret": round(max(regrets), 4),
                "mean_probes": round(mean(probes for _, probes in found), 2),
            }


def one(method: str, objective: str, seed: int, timings: int = 3) -> tuple[float, int]:
    """-> the regret of what a method ends with on one profile, and its probes. The descent takes the median of the
    rounds that a probe times; ours takes all of them."""
    profile = Synthetic(seed)
    if method == "descent":
        chosen_mb, probes = descend(
            lambda mb: median(profile(mb) for _ in range(timings)), objective, LOWEST_MB, HIGHEST_MB, MAX_PROBES
        )
    else:
        search = MemorySearch(objective, LOWEST_MB, HIGHEST_MB, MAX_PROBES, cores=profile.threads)
        while (memory_mb := search.next()) is not None:
            search.add(memory_mb, *(profile(memory_mb) for _ in range(timings)))
        chosen_mb, probes = search.choice_mb, search.num_probes
    return profile.regret(objective, chosen_mb, LOWEST_MB, HIGHEST_MB), probes
