"""Search hyper-parameters: `python -m tools.tune --case c`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnlite import configured, output
from nnlite.api import Run
from nnlite.api import search as searching
from nnlite.api.search import USUAL_PARALLEL, usual_parallel
from nnlite.commands import named, options, platforms
from nnlite.commands.costs import CommandBooks
from nnlite.commands.follow_up import follow_up, to_go_on
from nnlite.commands.json_lines import say
from nnlite.commands.leaderboard import Leaderboard, configuration
from nnlite.commands.parser import Parser
from nnlite.commands.planning import name_code
from nnlite.commands.terminal import in_line
from nnlite.commands.trials import add_options, plan
from nnlite.errors import StoreError, UsageError
from nnlite.platform import PLATFORMS
from nnlite.platform.base import Platform
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.spec import SearchSpec
from nnlite.runs import model_file
from nnlite.runs.job import Job
from nnlite.searches import lifecycle as searches
from nnlite.searches.lifecycle import SearchOutcome
from nnlite.searches.plan import Tuning
from nnlite.store import Store

EXAMPLES = """examples:
  python -m tools.tune --case c --dataset fashion-sample --trials 9
  python -m tools.tune --case c --data ../shared/data --trials 50 --parallel 8 --sampler random
  python -m tools.tune --case my_case.py --sampler asha --rounds 27 --eta 3 --max-minutes 10
  python -m tools.tune --case c --platform lambda --trials 50 --parallel 20 --budget-usd 1
  python -m tools.tune --resume tune-c-20260101-120000-3f2a
"""


def main(args: argparse.Namespace) -> int:
    """Begin or resume a search, drive it to its end, and write what it found."""
    _check(args)
    platform = platforms.of(args)
    args.workers = args.workers if args.workers is not None else usual_parallel(platform, args.trials)
    platforms.check(args, platform)
    platforms.settle_store(args, platform)
    store = named.store(args.store)
    return _resume(args, platform, store) if args.resume else _begin(args, platform, store)


def _begin(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    planned = plan(args, platform)
    name_code(args, planned.search.case_file, planned.spec.run)
    spec, search, books = planned.spec, planned.search, CommandBooks(args, planned.spec, store, platform)
    expected = books.expect_search(search, [trial.spec for trial in planned.made.trials])
    facts = {**_facts(spec, search, args), "estimate": f"{books.told(expected)}; rough"}
    if args.dry_run:
        drawn = [trial.configuration for trial in planned.made.trials]
        return _show_json(search, drawn) if args.json else _show({**facts, **_drawn(drawn)})
    out = _out(spec, args)
    _say(facts)
    platform.prepare(spec, args.store)
    books.ask(f"{search.num_trials} trials, {spec.num_workers} at a time,", expected)
    return _drive(planned.begin(), search, out, books)


def _resume(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    run, search = searching.attach(args.resume, platform, args.store, args.data_store, args.case)
    name_code(args, search.case_file, run.name)
    spec, books = run.spec, CommandBooks(args, run.spec, store, platform)
    if args.dry_run:
        drawn = searches.configurations(store, spec.run, search.num_trials)
        return _show_json(search, drawn) if args.json else _show({**_facts(spec, search, args), **_drawn(drawn)})
    out = _out(spec, args)
    if searching.is_over(run):
        return _finish(run, search, out, books)
    platform.prepare(spec, args.store)
    if spec.rates.worker_second_usd:
        trials = [searches.trial(store, spec.run, number).spec for number in range(search.num_trials)]
        books.ask("what is left of this search", books.expect_search(search, trials))
    return _drive(run, search, out, books)


def _drive(run: Run, search: SearchSpec, out: Path, books: CommandBooks) -> int:
    run.show = lambda *_: _board(run, search, books.args)
    try:
        searching.drive(run)
    except KeyboardInterrupt as error:
        error.args = (to_go_on("tune", books.args, run.name),)
        raise
    return _finish(run, search, out, books)


def _board(run: Run, search: SearchSpec, args: argparse.Namespace) -> Leaderboard:
    return Leaderboard(search, searches.configurations(run.store, run.name, search.num_trials), args.json)


def _finish(run: Run, search: SearchSpec, out: Path, books: CommandBooks) -> int:
    """Score the winner, write its weights and its description, and say so."""
    last, seconds = run.head, run.seconds
    found, account = searches.result(run.store, run.spec), books.account(has_just_ended=seconds is not None)
    trial, outcome = found.trial.spec, found.outcome
    weights, described = out.with_name(out.name + ".safetensors"), out.with_name(out.name + ".json")
    chosen = (trial.network, trial.optimizer, trial.batch_size, outcome.rounds)
    text = configured.describe(search.about, *chosen, case_file=books.args.case_to_resume)
    try:
        model_file.save(weights, found.model)
        output.write(described, [text])
    except StoreError as error:
        how = f"python -m tools.tune --resume {books.spec.run}"
        raise StoreError(f"{error}; what the search found stays: {how}") from None
    files = {"weights": str(weights), "case": str(described)}
    if books.args.json:
        values = _result(books.spec, search, last, found, seconds or 0.0, files)
        say("result", **values, cost=account.values())
        return 0
    train = follow_up("train", books.args, "--case", described.absolute())
    _show_result(search, last, found, _board(run, search, books.args), seconds, files, books.shown(account.cost), train)
    return 0


def _result(
    spec: RunSpec, search: SearchSpec, last: Head, found: SearchOutcome, seconds: float, files: dict[str, str]
) -> dict[str, Any]:
    outcome = found.outcome
    return {
        "search": spec.run,
        "trial": outcome.trial,
        "configuration": found.trial.configuration,
        "rounds": outcome.rounds,
        "validation_accuracy": outcome.validation_accuracy,
        "test_accuracy": outcome.test_accuracy,
        "num_trials": len(found.leaderboard),
        "trained_rounds": found.num_rounds(search.ladder),
        "of_rounds": search.num_trials * search.ladder.rounds[-1],
        "seconds": round(seconds, 3),
        "reason": last.reason,
        **files,
    }


def _show_result(
    search: SearchSpec, last: Head, found: SearchOutcome, board: Leaderboard, seconds: float | None,
    files: dict[str, str], cost: str, train: str,
) -> None:  # fmt: skip
    outcome, ladder = found.outcome, search.ladder
    print("\n".join(["", *board.rows(found.leaderboard), ""]))
    trained, whole = found.num_rounds(ladder), search.num_trials * ladder.rounds[-1]
    took = "" if seconds is None else f", {seconds:.1f} s"
    print(f"trained    {trained} rounds of the {whole} of all trials to the end{took} ({in_line(last.reason)})")
    print(f"cost       {cost}")
    print(
        f"best       trial {outcome.trial}, after {outcome.rounds} rounds: {configuration(found.trial.configuration)}"
    )
    validated, tested = outcome.validation_accuracy, outcome.test_accuracy
    print(f"validation accuracy {validated:.4f}, of {search.num_trials} trials the best: a little flattered")
    print(f"test accuracy       {tested:.4f}, the winner's alone, looked at once ({outcome.num_test:,} rows)")
    print(f"weights    {files['weights']}")
    print(f"train it   {train}")
    print(f"go on      {train} --init {shlex.quote(str(Path(files['weights']).absolute()))}")


# ---- what people see before


def _facts(spec: RunSpec, search: SearchSpec, args: argparse.Namespace) -> dict[str, str]:
    rungs = ", ".join(map(str, search.ladder.rounds))
    sampler = f"asha, rungs of {rungs} rounds, eta {search.ladder.eta}" if search.sampler == "asha" else "random"
    rows = f"{spec.data.num_train:,} train, {spec.data.num_test:,} validation, {search.test.num_test:,} test"
    return {
        "search": spec.run,
        "case": spec.case,
        "dataset": f"{spec.data.name}: {rows}",
        "space": "; ".join(f"{name} {domain}" for name, domain in search.space.items()),
        "trials": f"{search.num_trials} of up to {search.ladder.rounds[-1]} rounds, {sampler}, seed {spec.seed}",
        "parallel": f"{spec.num_workers} on {args.platform}",
        "store": args.store,
    }


def _drawn(configurations: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {f"trial {number}": configuration(one) for number, one in enumerate(configurations)}


def _say(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        print(f"{name:<10} {in_line(value)}", file=sys.stderr)


def _show(facts: dict[str, str]) -> int:
    """--dry-run: what would be done, on stdout."""
    for name, value in facts.items():
        print(f"{name:<10} {in_line(value)}")
    print("\nnothing was started (--dry-run)")
    return 0


def _show_json(search: SearchSpec, configurations: Sequence[dict[str, Any]]) -> int:
    """The same as one object: the search's specification, and what was drawn for each trial."""
    say("plan", **json.loads(search.to_json()), trials=configurations)
    return 0


def _out(spec: RunSpec, args: argparse.Namespace) -> Path:
    """Beginning of the names of the files to write; now is the time to find the folder unwritable."""
    out = Path(args.out or spec.run)
    if out.is_dir() or not out.name:
        raise UsageError(f"--out {out} is a folder: name the beginning of a file's name")
    for ending in (".safetensors", ".json"):
        output.check(out.with_name(out.name + ending), f"--out {out}")
    return out


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored, or go wrong later."""
    parser = _parser()
    defaults = vars(parser.parse_args([]))
    platforms.refuse_foreign(args, defaults, but={"budget_usd"})
    if args.rounds_per_invocation != defaults["rounds_per_invocation"]:
        raise UsageError("--rounds-per-invocation: a search hands over between trials, not after rounds: leave it out")
    platforms.refuse_as_it_began(args, parser, "search")


# ---- the command line


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="python -m tools.tune",
        description="Search the best hyper-parameters of a case: random search, or asynchronous successive halving.",
        epilog=EXAMPLES,
    )
    add_options(parser)
    where = parser.add_argument_group("where")
    where.add_argument("--platform", choices=list(PLATFORMS), default="local", help="where trials run (default local)")
    where.add_argument("--parallel", dest="workers", type=int, metavar="P",
                       help=f"trials at a time (default: as many as cores; elsewhere {USUAL_PARALLEL})")  # fmt: skip
    options.add(where, Job, ["store", "data_store"])
    options.add(where, Tuning, ["search"])
    where.add_argument("--resume", metavar="ID", help="go on with a search that was interrupted")
    where.add_argument(
        "--out",
        type=named.path,
        metavar="NAME",
        help="write NAME.safetensors and NAME.json (default: the search's id)",
    )
    platforms.add_prices(parser.add_argument_group("cost"))
    platforms.add_options(parser)
    parser.set_defaults(memory_mb=None, calibrate=False, checkpoint_store=None)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and the trials, start nothing")
    return parser
