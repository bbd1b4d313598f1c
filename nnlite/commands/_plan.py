"""The plan of a run: the options that make a job, and its specification."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from nnlite import cases, data
from nnlite.case_file import CaseFile, has_run
from nnlite.commands import _named
from nnlite.commands._platform import given
from nnlite.data import catalog
from nnlite.errors import UsageError
from nnlite.protocol import protocols
from nnlite.protocol.downpour.protocol import COMBINES
from nnlite.protocol.records.spec import OwnCode, RunSpec
from nnlite.runs import job
from nnlite.runs import plan as planning
from nnlite.runs.job import SCALES, SCHEDULES, Job

T = TypeVar("T")
Group = argparse._ArgumentGroup


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to train, and how."""
    how = add_work(parser)
    add_learning(how)
    add_protocol(how)
    add_end(how)


def add_work(parser: argparse.ArgumentParser) -> Group:
    """The options that decide how much there is to do. -> the group "how", for more"""
    what = parser.add_argument_group("what")
    what.add_argument(
        "--case", type=_named.path, help=f"{', '.join(cases.CASES)}, or a Python file of your own that defines `case`"
    )
    what.add_argument("--dataset", help="instead of the case's: see `python -m tools.data list`")
    what.add_argument(
        "--data",
        type=_named.path,
        metavar="DIR",
        help="where dataset files are (or NNLITE_DATA); else they are fetched",
    )
    what.add_argument(
        "--augment", type=_augment, metavar="HOW", help="none, or some of flip, crop:PIXELS, cutout:PIXELS: flip,crop:4"
    )
    how = parser.add_argument_group("how")
    length = how.add_mutually_exclusive_group()
    length.add_argument("--rounds", type=int, help="train, average, adopt: so many times")
    length.add_argument("--epochs", type=int, help="the same counted in passes over the data")
    how.add_argument("--steps-per-round", type=int, metavar="N", help="minibatches a round (default: a local epoch)")
    how.add_argument("--batch-size", type=int, metavar="N", help="samples a step")
    how.add_argument("--optimizer", help=", ".join(cases.OPTIMIZERS))
    how.add_argument(
        "--eval-every", type=int, metavar="N", help="rounds between test accuracies (1; downpour: the end)"
    )
    trace = argparse.BooleanOptionalAction
    how.add_argument(
        "--trace", action=trace, default=True, help="write down what workers do, for tools.report (default)"
    )
    how.add_argument("--threads", type=int, default=1, metavar="T", help="of a worker, for images (default 1)")
    return how


def add_learning(how: Group) -> None:
    """The options that decide what is learned, in the same time."""
    how.add_argument("--learning-rate", type=float, metavar="R")
    how.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate: cosine lets it end near 0 (constant)")
    how.add_argument(
        "--scale",
        choices=SCALES,
        default="auto",
        help="rate, batch and rounds follow the number of workers, unless they are given (auto), or not (none)",
    )
    how.add_argument("--seed", type=int, default=0, help="same seed, same weights (default 0)")


def add_protocol(how: Group) -> None:
    """The options that say how workers work together."""
    how.add_argument(
        "--protocol", choices=protocols.names(), default="averaging", help="averaging (default) or downpour"
    )
    how.add_argument("--push-every", type=int, metavar="N", help="downpour: steps between updates (10)")
    how.add_argument("--pull-every", type=int, metavar="N", help="downpour: steps between checkpoints (10)")
    how.add_argument(
        "--combine", choices=COMBINES, help="downpour: checkpoints move by the mean of changes, or by all (mean)"
    )
    how.add_argument("--max-staleness", type=int, metavar="S", help="downpour: checkpoints an update may be late (any)")
    how.add_argument("--staleness-aware", action="store_true", help="downpour: smaller steps for late updates")
    how.add_argument("--wire", metavar="FORM", help="downpour: updates as float32 (default), float16 or topk:1%%")
    how.add_argument("--slow-momentum", type=float, metavar="B", help="averaging: of what a round changes (by --scale)")
    how.add_argument("--average-last", type=int, metavar="K", help="averaging: end with the mean of K checkpoints (1)")
    how.add_argument("--ema", type=float, metavar="D", help="averaging: end with a moving average of all checkpoints")
    how.add_argument("--quorum", type=int, metavar="Q", help="averaging: so many workers may close a late round (all)")


def add_end(how: Group) -> None:
    """The options that end a run before its last round."""
    how.add_argument("--target-accuracy", type=float, metavar="A", help="stop at this test accuracy, say 0.97")
    how.add_argument(
        "--max-attempts", type=int, default=10, metavar="N", help="deaths of one worker that end a run (10)"
    )
    how.add_argument("--max-minutes", type=float, metavar="M", help="stop a run whose workers were at it for so long")


def widths(text: str) -> tuple[int, ...]:
    """The widths of a merge tree: 1,4,20."""
    return _typed(job.tree, text)


def _augment(text: str) -> data.Augment:
    return _typed(job.augmentation, text)


def _typed(read: Callable[[str], T], text: str) -> T:
    """As argparse wants its types: their error names the option."""
    try:
        return read(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def plan(args: argparse.Namespace) -> tuple[data.Dataset, RunSpec]:
    """The dataset, and the specification that the command line describes."""
    if not args.case:
        raise UsageError(f"which case? --case {'|'.join(cases.CASES)}, a file of your own, or --resume RUN")
    with _named.wrong_if_named(args.data):
        return planning.plan(Job(**given(args, Job)))


def name_code(args: argparse.Namespace, own: OwnCode | None, run: str) -> None:
    """Have the case file that defines parts of a run or search in every line that says how to go on with it. Raises
    UsageError when this process has not run that file."""
    args.case_to_resume = str(has_run(own.name, own.sha256, run).path) if own is not None else None


def run_code(args: argparse.Namespace, own: OwnCode | None, run: str) -> None:
    """Of a run or search that goes on: run the case file that defines parts of it, as the command line names it. Raises
    UsageError when it is missing, or not the one that it began with."""
    if args.case is not None:
        if own is None:
            raise UsageError(f"--resume goes on with {run} as it began: leave --case out")
        file = CaseFile.read(args.case)
        file.check(own.sha256, run)
        file.run()
    name_code(args, own, run)


def check_data(args: argparse.Namespace, dataset: data.Dataset) -> None:
    """Refuse a folder of files for a dataset that is read from none."""
    if args.data is not None and not (dataset.name in data.names() and catalog.has_files(dataset.name)):
        raise UsageError(f"--data {args.data}: {dataset.name} is not read from files: leave it out")
