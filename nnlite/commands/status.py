"""See how runs stand: `python -m tools.status [RUN]`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time

from nnlite.commands import where
from nnlite.commands.costs import shown
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.commands.program import EXIT_ERROR
from nnlite.commands.spelling import command, with_options
from nnlite.commands.terminal import in_line
from nnlite.errors import NnliteError, UsageError
from nnlite.protocol.records.head import RUNNING
from nnlite.protocol.records.spec import RunSpec
from nnlite.quantities import dollars
from nnlite.runs.status import LATE, LOST, STATES, RunSurvey, Surveyor
from nnlite.runtime.workers import read_spec
from nnlite.store import Store

POLL_S = 1.0
EXAMPLES = """examples:
  python -m tools.status
  python -m tools.status b-20260101-120000-3f2a --follow
  python -m tools.status --platform lambda --region eu-west-1
"""


def main(args: argparse.Namespace) -> int:
    """Show all runs, or one, once or until it is over."""
    if args.follow and args.run is None:
        raise UsageError("--follow follows one run: name a RUN")
    with where.open_runs(args) as store:
        runs = where.runs_in(store, args.run)
        if not runs:
            print(f"there are no runs in {store.url}", file=sys.stderr)
        if args.run is None:
            return EXIT_ERROR if [name for name in runs if not _show_briefly(store, name, args)] else 0
        _show(Surveyor(store, read_spec(store, args.run)), args)
    return 0


def _show_briefly(store: Store, name: str, args: argparse.Namespace) -> bool:
    """One look at a run among others; who lives takes longer to see. False if it cannot be read, as it is said."""
    try:
        spec = read_spec(store, name)
        survey = Surveyor(store, spec).look()
    except NnliteError as error:
        print(f"{name}: {with_options(str(error))}", file=sys.stderr)
        return False
    if args.json:
        _say(spec, survey)
        return True
    head = survey.head
    rounds = spec.rules.briefly(spec, head)
    accuracy = "" if head.accuracy is None else f"  test accuracy {head.accuracy:.4f}"
    accuracy += "  (a copy)" if survey.is_copy else ""
    paid = dollars(survey.account.usd)
    print(f"{name:<34} {head.status:<8} {rounds:>9}  {spec.num_workers:>4} workers  {paid}{accuracy}")
    return True


def _show(surveyor: Surveyor, args: argparse.Namespace) -> None:
    """Look until it is known who lives; with --follow, until the run is over."""
    began_s, last = time.monotonic(), None
    while True:
        survey = surveyor.look()
        is_over = survey.head.status != RUNNING
        known = surveyor.settled(survey) or time.monotonic() - began_s > surveyor.patience_s + 2 * POLL_S
        line = _line(surveyor, survey)
        if (is_over or known or args.follow) and line != last:
            if args.json:
                _say(surveyor.spec, survey)
            else:
                print(line, flush=True)
            last = line
        if is_over or survey.is_copy or (known and not args.follow):
            return
        time.sleep(POLL_S)


def _line(surveyor: Surveyor, survey: RunSurvey) -> str:
    head, spec = survey.head, surveyor.spec
    made = spec.rules.standing(spec, head)
    workers = ", ".join(f"{survey.count(state)} {state}" for state in STATES if survey.count(state))
    names = [str(w) for w, state in enumerate(survey.workers) if state in (LATE, LOST)]
    late = f" (late or lost: {', '.join(names[:20])})" if names else ""
    accuracy = "" if head.accuracy is None else f"  test accuracy {head.accuracy:.4f}"
    reason = f" ({with_options(in_line(head.reason))})" if head.reason else ""
    cap = "" if spec.budget_usd is None else f", budget ${spec.budget_usd:g}"
    if survey.is_copy:
        return (
            f"{spec.run}  {head.status} when it was copied here, to its checkpoint store{reason}  {made}{accuracy}; "
            f"if its own store has forgotten it: {command('train')} --resume {spec.run} --store URL "
            f"--checkpoint-store {shlex.quote(surveyor.store.url)}"
        )
    account = survey.account
    cost = shown(account.cost, account.is_paid, bool(spec.rates.memory_mb))
    return (
        f"{spec.run}  {head.status}{reason}  {made}{accuracy}  workers: {workers}{late}  "
        f"{account.attempts} invocations, {account.used.seconds:,.1f} s, {cost}{cap}"
    )


def _say(spec: RunSpec, survey: RunSurvey) -> None:
    head = survey.head
    say(
        "status", run=spec.run, status=head.status, reason=head.reason, round=spec.rules.rounds_made(spec, head),
        num_rounds=spec.num_rounds, checkpoint=head.round, test_accuracy=head.accuracy, platform=spec.rates.platform,
        workers={state: survey.count(state) for state in STATES}, attempts=survey.account.attempts,
        copy=survey.is_copy, budget_usd=spec.budget_usd, cost=survey.account.values(),
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.status",
        description="Show the runs of a store; or of one run its round, its workers and its cost so far.",
        epilog=EXAMPLES,
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="default: all, each in a line")
    parser.add_argument("--follow", action="store_true", help="go on until the run is over")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    where.add_options(parser)
    return parser
