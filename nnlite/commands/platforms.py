"""Platforms on a command line: the options that say where workers run and by whose prices, and what these make."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container
from dataclasses import fields
from typing import Any

from nnlite.commands import options
from nnlite.commands.program import flags
from nnlite.commands.signals import is_terminated
from nnlite.errors import UsageError
from nnlite.platform import PLATFORMS, find
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs.job import Job
from nnlite.store import Store

OF_PRICES = ("region", "arch", "prices")
NOT_OF_THE_RUN = frozenset({  #: they say where it is, and what the command does with it
    "resume", "case", "platform", "store", "checkpoint_store", "data_store", "out", "json", "dry_run", "debug",
})  # fmt: skip
OF_MONEY = frozenset({"budget_usd", "yes"})  #: options of the command, only where somebody sends a bill


# ---- the options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those that only some platforms have, of all platforms."""
    for name in PLATFORMS:
        kind = find(name)
        group = parser.add_argument_group(kind.title)
        options.add(group, kind, [one.name for one in fields(kind) if one.name not in OF_PRICES])
        if kind.is_paid:
            options.add(group, Job, ["budget_usd"])
            group.add_argument(
                "--yes", action="store_true", help="do not ask whether it may cost what it is expected to"
            )


def add_prices(group: Any) -> None:
    """--region, --arch, --prices: of every command that counts money."""
    options.add(group, Pricing, OF_PRICES)


# ---- what they make


def of(args: argparse.Namespace) -> Platform:
    """The platform that the options name. Raises UsageError for a field that it cannot have."""
    return find(args.platform)(**options.given(args, find(args.platform)))


def pricing(args: argparse.Namespace) -> Pricing:
    """By what the run counts its money; of several sizes of functions to choose from, none is counted by."""
    found = options.given(args, Pricing)
    if not isinstance(found.get("memory_mb"), int):
        found.pop("memory_mb", None)
    return Pricing(**found)


def check(args: argparse.Namespace, platform: Platform, but: Container[str] = ()) -> None:
    """Raise UsageError for options that the platform could only ignore, or go wrong by later; `but`: those that the
    command has a value of anyway."""
    chosen = {name: value for name, value in options.given(args, Job).items() if name != "case" and name not in but}
    platform.check(Job(case=args.case or "", **chosen), pricing(args))


def settle_store(args: argparse.Namespace, platform: Platform) -> None:
    """Let `args.store` be the URL of the run's store, and say whether it is what the platform assumes anyway."""
    asked = args.store
    args.store = platform.store_url(asked)
    args.store_is_assumed = args.store != asked


def refuse_foreign(args: argparse.Namespace, defaults: dict[str, object], but: Container[str] = ()) -> None:
    """Raise UsageError for an option that only another platform has; `but`: options of the command itself."""
    for platform in PLATFORMS:
        for name in sorted(own(find(platform)) - own(find(args.platform))):
            if name in defaults and name not in but and getattr(args, name) != defaults[name]:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} is for --platform {platform}, and this is {args.platform}: leave it out")


def own(kind: type[Platform]) -> frozenset[str]:
    """Names in `args` of options that some platforms lack, and this one has."""
    money = OF_MONEY if kind.is_paid else frozenset()
    return kind.choices() - set(OF_PRICES) | money | ({"detach"} if kind.can_detach else frozenset())


def resumable(kind: type[Platform]) -> frozenset[str]:
    """Names in `args` of those options that say something also of a run that goes on: where, and whether to ask."""
    return (own(kind) | kind.choices()) - kind.of_the_run - {"budget_usd"}


def refuse_as_it_began(args: argparse.Namespace, parser: argparse.ArgumentParser, what: str) -> None:
    """Raise UsageError for an option that --resume could not heed: a run, or search, goes on as it began."""
    defaults, named = vars(parser.parse_args([])), flags(parser)
    for name in sorted(defaults.keys() - NOT_OF_THE_RUN - resumable(find(args.platform))):
        if args.resume and getattr(args, name) != defaults[name]:
            raise UsageError(f"--resume goes on with the {what} as it began: leave {named[name]} out")


# ---- after Ctrl-C


def goes_on_alone(platform: Platform, spec: RunSpec, store: Store) -> bool:
    """Ask whether to stop the run or to detach it; where nobody can be asked, stop, as what goes on costs money."""
    if is_terminated() or not platform.can_detach or not sys.stdin.isatty():
        return False
    print("\nstop the run [s], or detach and let it go on [d]? ", end="", file=sys.stderr, flush=True)
    if not sys.stdin.readline().strip().lower().startswith("d"):
        return False
    platform.detach(spec, store)
    return True
