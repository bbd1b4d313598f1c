"""Show what became of a run: `python -m tools.report RUN`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnlite import output
from nnlite.commands import named, where
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.errors import UsageError
from nnlite.report import chrome, optimum, searches
from nnlite.report.findings import caveats
from nnlite.report.page import comparison, optimization_page, page, search_page
from nnlite.report.searches import SearchReport, read_search
from nnlite.report.tables import Report
from nnlite.store import Store
from nnlite.telemetry.reading import read

EXAMPLES = """examples:
  python -m tools.report b-20260101-120000-3f2a
  python -m tools.report b-20260101-120000-3f2a --out report.html --png plots --trace trace.json
  python -m tools.report b-20260101-120000-3f2a --compare b-20260102-120000-77aa
  python -m tools.report b-20260101-120000-3f2a --json
  python -m tools.report b-20260101-120000-3f2a --platform lambda --region eu-west-1
"""


def main(args: argparse.Namespace) -> int:
    """Read the run, write what was asked for, say where it is."""
    if args.optimization or not args.run:
        return _report_optimization(args)
    _check(args)
    with where.open_runs(args) as store:
        search = read_search(store, args.run)
        if search is not None:
            return _report_search(store, search, args)
        report = Report(read(store, args.run))
        other = Report(read(store, args.compare)) if args.compare else None
    for text in caveats(report):
        print(text, file=sys.stderr)
    if args.json:
        _say(report)
    if args.trace:
        _write(Path(args.trace), chrome.trace(report))
    if args.png:
        from nnlite.report.png import draw

        for path in draw([report, other] if other else [report], Path(args.png)):
            print(path)
    if args.out or not (args.json or args.trace or args.png):
        html = comparison([report, other]) if other else page(report)
        _write(Path(args.out or f"{args.run}.html"), html.encode())
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored."""
    if args.compare and (args.json or args.trace) and not (args.out or args.png):
        asked = "--json" if args.json else "--trace"
        raise UsageError(
            f"{asked} is of one run: say where the page goes that compares two (--out), or leave --compare out"
        )


def _report_optimization(args: argparse.Namespace) -> int:
    """The page of what tools.optimize printed."""
    if not args.optimization:
        raise UsageError("which run? Name a RUN, or --optimization FILE")
    if args.run:
        raise UsageError(f"{args.run} or {args.optimization}: name one")
    asked = {"--compare": args.compare, "--trace": args.trace, "--png": args.png, "--json": args.json}
    needless = [*(flag for flag, value in asked.items() if value), *where.given(args)]
    if needless:
        raise UsageError(f"--optimization makes a page of a file, and of no run: leave {needless[0]} out")
    path = Path(args.optimization)
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a file that tools.optimize wrote") from None
    found = optimum.parse(text, str(path))
    for said in optimum.caveats(found):
        print(said, file=sys.stderr)
    _write(Path(args.out or path.with_suffix(".html").name), optimization_page(found, path.stem).encode())
    return 0


def _report_search(store: Store, search: SearchReport, args: argparse.Namespace) -> int:
    """The page of a search, or its leaderboard as JSON."""
    if args.compare or args.png:
        raise UsageError(
            f"{search.name} is a search: --{'compare' if args.compare else 'png'} is for runs, leave it out"
        )
    for text in searches.caveats(search):
        print(text, file=sys.stderr)
    if args.json:
        for place, trial in enumerate(search.ranking, 1):
            values = {"place": place, "configuration": trial.configuration, "seconds": trial.seconds, "usd": trial.usd}
            say("trial", **values, **(trial.last or {}))
    report = Report(read(store, search.name))
    if args.trace:
        _write(Path(args.trace), chrome.trace(report))
    if args.out or not (args.json or args.trace):
        _write(Path(args.out or f"{search.name}.html"), search_page(search, report).encode())
    return 0


def _say(report: Report) -> None:
    """The numbers of a report: the run, its workers, its rounds."""
    say(
        "run",
        run=report.spec.run,
        status=report.status,
        partial=report.record.is_partial,
        seconds=report.seconds,
        test_accuracy=report.accuracy,
        samples=report.samples,
        images_per_s=report.images_per_s,
        workers=report.spec.num_workers,
        attempts=sum(report.record.attempts.values()),
        skipped_lines=report.record.num_skipped,
        seconds_by_kind=report.kinds,
        cost=report.record.account.values(),
    )
    for row in report.workers:
        say(
            "worker",
            worker=row.worker,
            attempts=row.attempts,
            deaths=row.deaths,
            samples=row.samples,
            seconds_by_kind=dict(row.seconds),
            rounds_last=row.rounds_last,
            held_up_s=row.held_up_s,
        )
    has_rounds = report.spec.rules.has_rounds
    for point in report.points:
        of_checkpoint = {} if has_rounds else {"checkpoint": point.checkpoint, "staleness": point.staleness}
        say(
            "round" if has_rounds else "checkpoint",
            round=point.number,
            **of_checkpoint,
            closed_s=point.end_s,
            samples=point.samples,
            loss=point.loss,
            test_accuracy=point.accuracy,
        )


def _write(path: Path, data: bytes) -> None:
    output.check(path)
    output.write(path, [data])
    print(path)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.report",
        description="Write a page about a run: what it learned, who did what when, what it cost. "
        "A run that still goes on gives a partial report.",
        epilog=EXAMPLES,
    )
    what = "its id; or that of a search, which gets a page of its own"
    parser.add_argument("run", metavar="RUN", nargs="?", help=what)
    what = "instead of a run: a page of what `tools.optimize --json` printed"
    parser.add_argument("--optimization", type=named.path, metavar="FILE", help=what)
    parser.add_argument(
        "--out",
        type=named.path,
        metavar="FILE",
        help="the page (default RUN.html, unless something else is asked for)",
    )
    parser.add_argument("--compare", metavar="RUN2", help="a page about both, in the same store")
    parser.add_argument(
        "--trace", type=named.path, metavar="FILE", help="a file for chrome://tracing or Perfetto, one track a worker"
    )
    parser.add_argument("--png", type=named.path, metavar="DIR", help="single plots as pictures; needs matplotlib")
    parser.add_argument("--json", action="store_true", help="the numbers on stdout, one JSON object a line")
    where.add_options(parser)
    return parser
