"""The plan of a run: the options that make a job, and its specification."""

from __future__ import annotations

import argparse
from collections.abc import Container

from nnlite import cases
from nnlite.api.planned import Plan, make
from nnlite.case_file import has_run
from nnlite.commands import named, options
from nnlite.commands.platforms import pricing
from nnlite.data import Reading
from nnlite.errors import UsageError
from nnlite.platform.base import Platform
from nnlite.protocol.records.spec import OwnCode
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


def plan(args: argparse.Namespace, platform: Platform, but: Container[str] = ()) -> Plan:
    """The run that the command line describes. but: options that are not the run's, although they are called so."""
    settle_case(args, "RUN")
    given = {name: value for name, value in options.given(args, Job).items() if name not in but}
    job = Job(**given, reading=Reading(**options.given(args, Reading)))
    with named.wrong_if_named(names_files(args)):
        return make(job, None, platform, init=getattr(args, "init", None), **vars(pricing(args)))


def name_code(args: argparse.Namespace, own: OwnCode | None, run: str) -> None:
    """Have the case file that defines parts of a run or search in every line that says how to go on with it. Raises
    UsageError when this process has not run that file."""
    args.case_to_resume = str(has_run(own.name, own.sha256, run).path) if own is not None else None
