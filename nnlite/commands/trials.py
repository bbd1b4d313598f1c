"""The options of a search, and its plan as the command line describes it."""

from __future__ import annotations

import argparse

from nnlite.api import search
from nnlite.api.search import PlannedSearch
from nnlite.commands import named, options
from nnlite.commands.planning import add_reading, names_files, settle_case
from nnlite.commands.platforms import pricing
from nnlite.data import Reading
from nnlite.errors import UsageError
from nnlite.platform.base import Platform
from nnlite.protocol.search.spec import SAMPLERS
from nnlite.runs.job import Job
from nnlite.searches.plan import Tuning


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to search, and how."""
    what = parser.add_argument_group("what")
    options.add(what, Job, ("case", "dataset", "data", "optimizer"))
    what.add_argument(
        "--validation", type=float, default=0.1, metavar="F", help="part of the training split to choose by (0.1)"
    )
    add_reading(parser)
    how = parser.add_argument_group("how")
    how.add_argument("--sampler", choices=SAMPLERS, default="asha", help="asha (default), or random")
    how.add_argument("--trials", type=int, default=27, metavar="N", help="configurations to try (default 27)")
    how.add_argument("--rounds", type=int, metavar="R", help="epochs of a whole trial (default: the case's)")
    how.add_argument("--eta", type=int, metavar="E", help="asha: 1 in E trials is promoted, to E times the rounds (3)")
    how.add_argument("--grace", type=int, metavar="G", help="asha: no trial ends before so many rounds (1)")
    how.add_argument("--rungs", type=int, metavar="K", help="asha: rungs (default: as many as fit)")
    how.add_argument("--seed", type=int, default=0, help="same seed, same trials and results (default 0)")
    how.add_argument("--max-minutes", type=float, metavar="M", help="stop then, with the best so far")


def plan(args: argparse.Namespace, platform: Platform) -> PlannedSearch:
    """The search that the command line describes. Raises UsageError when it contradicts itself."""
    settle_case(args, "SEARCH")
    try:
        reading = Reading(**options.given(args, Reading))
        asked = Tuning(**{**options.given(args, Tuning), "parallel": args.workers, "reading": reading})
    except UsageError as error:
        raise _in_options(error) from None
    with named.wrong_if_named(names_files(args)):
        return search.plan(asked, platform, pricing(args))


def _in_options(error: UsageError) -> UsageError:
    """The error with the names that parameters have here: `--parallel` is the workers of a search."""
    text = str(error).replace(" is for sampler ", " is for --sampler ")
    if error.parameter != "parallel":
        return UsageError(text, parameter=error.parameter)
    return UsageError(text.replace("parallel", "workers", 1), parameter="workers")
