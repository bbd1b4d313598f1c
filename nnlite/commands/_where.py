"""Where runs are: the store that `tools.status` and `tools.stop` look into."""

from __future__ import annotations

import argparse

from nnlite.commands import _aws
from nnlite.commands._platforms import DEFAULT_STORE, PLATFORMS
from nnlite.errors import RunError, UsageError
from nnlite.store import Store, listing, open_store


def add_options(parser: argparse.ArgumentParser) -> None:
    """--store, or --platform lambda and which stack."""
    where = parser.add_argument_group("where the runs are")
    where.add_argument("--store", help=f"path or URL (default {DEFAULT_STORE}, or the stack's on Lambda)")
    where.add_argument("--platform", choices=list(PLATFORMS), default="local", help="where workers run (default local)")
    _aws.add_options(where)


def open_runs(args: argparse.Namespace) -> Store:
    """The store that the options name."""
    if args.store is None and args.platform == "lambda":
        args.store = _aws.outputs_of(args)[1]["Store"]
    return open_store(args.store or DEFAULT_STORE)


def runs_in(store: Store, run: str | None) -> list[str]:
    """The run that was named, or all of them."""
    if run is not None:
        return [run]
    found = listing.run_ids(store)
    if not found:
        raise RunError(f"there are no runs in {store.url}: is that the right --store, or --platform?")
    return found


def check(args: argparse.Namespace) -> None:
    """Refuse options of AWS without --platform lambda."""
    if args.platform != "lambda":
        for name in ("region", "profile"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} is for --platform lambda: add that, or leave it out")
