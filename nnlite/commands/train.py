"""Train a network: `python -m tools.train --case b`."""

from __future__ import annotations

import argparse
from pathlib import Path

import nnlite
from nnlite.api import Run
from nnlite.commands import costs, named, options, platforms, shown_run
from nnlite.commands.costs import CommandBooks
from nnlite.commands.follow_up import to_go_on
from nnlite.commands.parser import Parser
from nnlite.commands.planning import HEADINGS, add_reading, name_code, plan
from nnlite.commands.progress import ProgressLines
from nnlite.errors import StoreError, UsageError
from nnlite.platform import PLATFORMS
from nnlite.platform.base import Platform
from nnlite.protocol.records.head import DONE, RUNNING
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import model_file
from nnlite.runs.job import Job
from nnlite.store import Store

EXAMPLES = """examples:
  python -m tools.train --case b --dataset fashion-sample --workers 2
  python -m tools.train --case c --data ../shared/data --target-accuracy 0.97
  python -m tools.train --dataset iris.csv --target species
  python -m tools.train --case my_case.py --optimizer adam --learning-rate 0.001
  python -m tools.train --case tuned.json --init tuned.safetensors --rounds 5
  python -m tools.train --case b --platform lambda --workers 20 --budget-usd 1
  python -m tools.train --case emnist --platform openfaas --store memcached://127.0.0.1:11211/nnlite --workers 3
  python -m tools.train --resume b-20260101-120000-3f2a
"""


def main(args: argparse.Namespace) -> int:
    """Begin or resume a run, drive it to its end, and write its weights."""
    _check(args)
    platform = platforms.of(args)
    platforms.check(args, platform)
    platforms.settle_store(args, platform)
    store = named.store(args.store)
    return _resume(args, platform, store) if args.resume else _begin(args, platform, store)


def _begin(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    planned = plan(args, platform)
    name_code(args, planned.spec.case_file, planned.spec.run)
    books = CommandBooks(args, planned.spec, store, platform)
    if args.dry_run:
        return shown_run.show_plan(books, planned.dataset)
    out = _out(planned.spec, args)
    shown_run.introduce(books, planned.dataset)
    platform.prepare(planned.spec, args.store)
    books.ask(f"{planned.spec.num_workers} workers", books.introduce(planned.dataset))
    return _drive(planned.begin(), out, books)


def _resume(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    run = nnlite.attach(
        args.resume, platform=platform, store=args.store, case=args.case, checkpoint_store=args.checkpoint_store,
        data_store=args.data_store,
    )  # fmt: skip
    spec = run.spec
    args.checkpoint_store, args.data_store = spec.checkpoint_store, spec.data.store  # of follow-ups
    name_code(args, spec.case_file, spec.run)
    books = CommandBooks(args, spec, store, platform)
    if args.dry_run:
        return shown_run.show_plan(books, None)
    out, standing = _out(spec, args), run.standing
    if standing is not None and standing.status == DONE and (args.out or not out.exists()):
        return _finish(run, out, books)  # its command did not come to write them
    platform.prepare(spec, args.store)
    if platform.probes_cost:
        books.ask(f"{spec.num_workers} workers", books.introduce(None))
    return _drive(run, out, books)


def _drive(run: Run, out: Path, books: CommandBooks) -> int:
    """See a run to its end, or leave it to its platform."""
    args = books.args
    run.show = lambda spec, made: ProgressLines(spec, made, args.json)
    run.goes_on_alone = lambda: platforms.goes_on_alone(run.platform, run.spec, run.store)
    try:
        _ = run.detach() if args.detach else run.drive()
    except KeyboardInterrupt as error:
        error.args = (to_go_on("train", args, run.name),)
        raise
    if args.detach or run.head.status == RUNNING:
        return shown_run.show_how_to_follow(run.spec, args)
    return _finish(run, out, books)


def _finish(run: Run, out: Path, books: CommandBooks) -> int:
    """Write the weights of a run that is done, and say so."""
    try:
        run.save(out)
    except StoreError as error:
        books.args.out = str(out)  # in the command: it fetches them also if an older file stands there
        raise StoreError(f"{error}; the weights stay in the store: python -m tools.train --resume {run.name}") from None
    return shown_run.show_result(run, out, books)


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored, or go wrong later."""
    parser = _parser()
    platforms.refuse_foreign(args, vars(parser.parse_args([])))
    platforms.refuse_as_it_began(args, parser, "run")
    if args.calibrate and (args.dry_run or args.resume):
        other = "--dry-run" if args.dry_run else "--resume"
        raise UsageError(f"--calibrate measures by a short run, which {other} does not make: leave it out")


def _out(spec: RunSpec, args: argparse.Namespace) -> Path:
    """The file for the weights; now, not after an hour of training, is the time to find it unwritable."""
    out = Path(args.out or f"{spec.run}.safetensors")
    model_file.check(out, f"--out {out}")
    return out


# ---- the command line

COMMON = (  #: what --help shows; --help-all shows the others
    "case", "dataset", "data", "target", "epochs", "batch_size", "optimizer", "learning_rate", "workers", "protocol",
    "platform", "budget_usd", "target_accuracy", "resume", "out", "dry_run", "json",
)  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.train",
        description="Train a network on workers that average their weights after every round.",
        epilog=EXAMPLES,
        common=COMMON,
    )
    groups = options.add_groups(parser, Job, HEADINGS)
    add_reading(parser)
    costs.add_options(parser)
    where = groups["where"]
    where.add_argument("--platform", choices=list(PLATFORMS), default="local", help="where workers run (default local)")
    where.add_argument("--init", type=named.path, metavar="FILE",
                       help="begin with the weights of a safetensors file, like tune's best")  # fmt: skip
    where.add_argument("--resume", metavar="RUN", help="go on with a run that was interrupted")
    where.add_argument("--out", type=named.path, metavar="FILE",
                       help="where the weights go (default RUN.safetensors); .onnx: an ONNX file")  # fmt: skip
    where.add_argument("--detach", action="store_true", help="on Lambda: start the workers and leave them alone")
    platforms.add_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and the network, start nothing")
    return parser
