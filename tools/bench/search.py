"""`tools.bench search`: what ASHA finds beside random search that trains every trial to the end, and for how much."""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from nnlite import output
from nnlite.errors import UsageError
from nnlite.invoker.processor import num_processes

SAMPLERS = ("random", "asha")
BEGIN, END = "<!-- tools.bench search -->", "<!-- end -->"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "search",
        help="ASHA beside random search: what each finds, and for how much training",
        description="Search case c with both samplers and several seeds; compare the winners and the training it took.",
        epilog="example: python -m tools.bench search --data ../shared/data --write docs/benchmarks.md",
    )
    parser.add_argument("--case", default="c")
    parser.add_argument("--dataset", help="instead of the case's")
    parser.add_argument("--data", metavar="DIR", help="where dataset files are")
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--rounds", type=int, help="epochs of a whole trial (default: the case's)")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each kind (default 5)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table into a document, where it has a place"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Search, print a row for each search and the comparison."""
    if args.seeds < 1:
        raise UsageError(f"--seeds {args.seeds}: wanted at least 1")
    if args.write is not None:
        output.check(args.write, f"--write {args.write}")
        if not re.search(f"{BEGIN}.*?{END}", _read(args.write), re.S):
            raise UsageError(f"--write {args.write}: it has no place for the table: {BEGIN} and {END}")
    rows = []
    for row in _rows(args):
        rows.append(row)
        print(json.dumps(row) if args.json else _line(row), flush=True)
    last = compare(rows)
    print(json.dumps(last) if args.json else f"\n{sentence(last)}")
    if args.write is not None:
        _write(args.write, rows, last)
    return 0


def _rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seed in range(args.seeds):
        for sampler in SAMPLERS:
            yield {"seed": seed, "sampler": sampler, **_search(args, seed, sampler)}


def _search(args: argparse.Namespace, seed: int, sampler: str) -> dict[str, Any]:
    """One search, in processes of this machine as `tools.tune` runs it."""
    from nnlite.platform.local import Local
    from nnlite.protocol.records.head import DONE
    from nnlite.runs import lifecycle
    from nnlite.searches import lifecycle as searches
    from nnlite.searches.plan import Tuning, plan
    from nnlite.store import open_store

    asked = Tuning(
        args.case, args.dataset, args.data, rounds=args.rounds, trials=args.trials, sampler=sampler, seed=seed,
        parallel=num_processes(),
    )  # fmt: skip
    planned = plan(asked)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        searches.begin(store, planned.spec, planned.search, planned.trials, (planned.seen, planned.whole))
        seconds: list[float] = []
        driver = lifecycle.Driver(store, planned.spec, Local().open(planned.spec, store))
        driver.tell = lambda event, values: seconds.append(values["seconds"]) if event == "trial" else None
        began_s = time.monotonic()
        last = driver.drive(dict.fromkeys(range(planned.spec.num_workers), 1))
        wall_s = time.monotonic() - began_s
        assert last.status == DONE, last
        found = searches.result(store, planned.spec)
    return {
        "trial": found.outcome.trial,
        "validation_accuracy": round(found.outcome.validation_accuracy, 4),
        "test_accuracy": round(found.outcome.test_accuracy, 4),
        "rounds": found.num_rounds(planned.search.ladder),
        "training_s": round(sum(seconds), 1),
        "wall_s": round(wall_s, 1),
    }


def compare(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How much worse ASHA's winners are (points of accuracy, negative: better), and its share of the training."""
    pairs = [
        tuple(next(r for r in rows if r["seed"] == seed and r["sampler"] == sampler) for sampler in SAMPLERS)
        for seed in sorted({row["seed"] for row in rows})
    ]
    test = [100 * (full["test_accuracy"] - asha["test_accuracy"]) for full, asha in pairs]
    validation = [100 * (full["validation_accuracy"] - asha["validation_accuracy"]) for full, asha in pairs]
    shares = [asha["rounds"] / full["rounds"] for full, asha in pairs]
    return {
        "event": "comparison",
        "seeds": len(pairs),
        "validation_gap_points": round(mean(validation), 3),
        "validation_gap_points_worst": round(max(validation), 3),
        "test_gap_points": round(mean(test), 3),
        "test_gap_points_worst": round(max(test), 3),
        "compute_share": round(mean(shares), 3),
        "compute_share_worst": round(max(shares), 3),
        "test_accuracy_worst": min(asha["test_accuracy"] for _, asha in pairs),
    }


def sentence(last: dict[str, Any]) -> str:
    """The comparison, for people."""
    return (
        f"ASHA, over {last['seeds']} seeds: {last['validation_gap_points']:+.2f} points behind the best of random "
        f"search on the validation split (at worst {last['validation_gap_points_worst']:+.2f}), "
        f"{last['test_gap_points']:+.2f} on the test split (at worst {last['test_gap_points_worst']:+.2f}), for "
        f"{last['compute_share']:.1%} of its rounds of training (at most {last['compute_share_worst']:.1%})"
    )


def _line(row: dict[str, Any]) -> str:
    return (
        f"seed {row['seed']}  {row['sampler']:6}  trial {row['trial']:>2}  "
        f"validation {row['validation_accuracy']:.4f}  test {row['test_accuracy']:.4f}  "
        f"{row['rounds']:>4} rounds  {row['training_s']:6.1f} s of training  {row['wall_s']:6.1f} s"
    )


def _write(document: Path, rows: list[dict[str, Any]], last: dict[str, Any]) -> None:
    table = "\n".join(
        [
            "| seed | sampler | winner | validation | test | rounds of training | seconds of training |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {r['seed']} | {r['sampler']} | trial {r['trial']} | {r['validation_accuracy']:.4f} | "
                f"{r['test_accuracy']:.4f} | {r['rounds']} | {r['training_s']:.0f} |"
                for r in rows
            ),
        ]
    )
    text = f"{BEGIN}\n{table}\n\n{sentence(last)}.\n{END}"
    output.write(document, [re.sub(f"{BEGIN}.*?{END}", lambda _: text, _read(document), flags=re.S).encode()])


def _read(document: Path) -> str:
    try:
        return document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--write {document} cannot be read ({error}): name a document") from None
