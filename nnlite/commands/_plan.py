"""The plan of a run: the options that make a job, and its specification."""

from __future__ import annotations

import argparse

from nnlite import cases, data
from nnlite.case_file import CaseFile, has_run
from nnlite.commands import _named, options
from nnlite.data import Reading, catalog
from nnlite.errors import UsageError
from nnlite.protocol.records.spec import OwnCode, RunSpec
from nnlite.runs import plan as planning
from nnlite.runs.job import Job

HEADINGS = {
    "what": "what",
    "how": "how",
    "averaging": "how, with --protocol averaging",
    "downpour": "how, with --protocol downpour",
    "where": "where",
}
WORK = (  #: the options that decide how much there is to do
    "rounds", "epochs", "steps_per_round", "batch_size", "optimizer", "eval_every", "trace", "threads"
)  # fmt: skip


def add_work(parser: argparse.ArgumentParser) -> None:
    """The options that decide how much there is to do, on what."""
    options.add_groups(parser, Job, {"what": "what"})
    add_reading(parser)
    options.add(parser.add_argument_group("how"), Job, WORK)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options that say how a file or folder of one's own is read."""
    options.add_groups(parser, Reading, {"own": "data of your own"})


def settle_case(args: argparse.Namespace, to_go_on: str) -> None:
    """Let a dataset that is named without a case have the one that suits it. Raises UsageError where none is named."""
    if not args.case and not args.dataset:
        raise UsageError(
            f"which case? --case {'|'.join(cases.CASES)}, a file of your own, --dataset PATH alone, or --resume "
            f"{to_go_on}"
        )
    args.case = args.case or cases.AUTO.name


def names_files(args: argparse.Namespace) -> bool:
    """Whether the command line names the files of a dataset: what is wrong with them makes the request a wrong one."""
    return args.data is not None or (args.dataset is not None and cases.names_path(args.dataset))


def plan(args: argparse.Namespace) -> tuple[data.Dataset, RunSpec]:
    """The dataset, and the specification that the command line describes."""
    settle_case(args, "RUN")
    with _named.wrong_if_named(names_files(args)):
        return planning.plan(Job(**options.given(args, Job), reading=Reading(**options.given(args, Reading))))


def name_code(args: argparse.Namespace, own: OwnCode | None, run: str) -> None:
    """Have the case file that defines parts of a run or search in every line that says how to go on with it. Raises
    UsageError when this process has not run that file."""
    args.case_to_resume = str(has_run(own.name, own.sha256, run).path) if own is not None else None


def run_code(args: argparse.Namespace, own: OwnCode | None, run: str) -> None:
    """Run the case file that defines parts of a run or search that goes on, as the command line names it. Raises
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
