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
from nnlite.runs.job import Job
from nnlite.searches.plan import Tuning


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to search, and how."""
    what = parser.add_argument_group("what")
    options.add(what, Job, ("case", "dataset", "data", "optimizer"))
    options.add(what, Tuning, ["validation"])
    add_reading(parser)
    how = ("sampler", "trials", "rounds", "eta", "grace", "rungs", "seed", "max_minutes")
    options.add(parser.add_argument_group("how"), Tuning, how)


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
