"""Where runs are: the store that `tools.status`, `tools.stop` and `tools.report` look into."""

from __future__ import annotations

import argparse
from dataclasses import fields

from nnlite.commands import named, platforms, which_stack
from nnlite.errors import UsageError
from nnlite.platform import PLATFORMS, find
from nnlite.platform.aws.functions import Lambda
from nnlite.platform.aws.stack import WhichStack
from nnlite.platform.local import Local
from nnlite.runs.job import DEFAULT_STORE
from nnlite.store import Store, listing


def add_options(parser: argparse.ArgumentParser) -> None:
    """--store, or --platform lambda and which stack."""
    where = parser.add_argument_group("where the runs are")
    where.add_argument(
        "--store", type=named.path, help=f"path or URL (default {DEFAULT_STORE}, or the stack's on Lambda)"
    )
    where.add_argument(
        "--platform", choices=list(PLATFORMS), default=Local.name, help="where workers run (default local)"
    )
    which_stack.add_options(where)


def open_runs(args: argparse.Namespace) -> Store:
    """The store that the options name. Raises UsageError when they contradict each other."""
    kind = find(args.platform)
    of_aws = [flag for flag in given(args) if flag not in ("--store", "--platform")]
    if of_aws and not kind.choices() >= Lambda.choices():
        raise UsageError(f"{of_aws[0]} is for --platform {Lambda.name}: add that, or leave it out")
    if args.store is None:
        if not kind.assumes_store:
            raise UsageError(f"--platform {kind.name}: the store is as the run was told: name its --store")
        args.store = platforms.of(args).store_url()
        args.store_is_assumed = args.store != DEFAULT_STORE
    return named.store(args.store)


def runs_in(store: Store, run: str | None) -> list[str]:
    """The run that was named, or all of them."""
    return listing.run_ids(store) if run is None else [run]


def given(args: argparse.Namespace) -> list[str]:
    """Those of these options that the command line has, as flags; first those of AWS."""
    usual = {one.name: one.default for one in fields(WhichStack)} | {"store": None, "platform": Local.name}
    return ["--" + name.replace("_", "-") for name, value in usual.items() if getattr(args, name) != value]
