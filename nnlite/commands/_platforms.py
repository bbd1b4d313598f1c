"""Platforms: where `tools.train` lets workers run. Each is a module of `PLATFORMS` with the functions of `Place`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Container
from contextlib import AbstractContextManager
from typing import Protocol, cast

from nnlite.cost.prices import Tariff
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.base import Invoker
from nnlite.protocol.records.spec import RunSpec
from nnlite.store import Store

PLATFORMS = {
    "local": "nnlite.commands._on_local",
    "lambda": "nnlite.commands._on_lambda",
    "openfaas": "nnlite.commands._on_openfaas",
}  # name -> module
DEFAULT_STORE = ".nnlite"


class Place(Protocol):
    """What a module of a platform has."""

    OWN: frozenset[str]  #: names in `args` of the options that no other platform has
    RESUMABLE: frozenset[str]  #: of those that may be given with --resume as well
    PROBES_COST: bool  #: whether a short run that measures something costs money or keeps others waiting

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that only this platform has; called for all platforms."""

    def check(self, args: argparse.Namespace) -> None:
        """Raise UsageError for options that could only be ignored here, or go wrong later."""

    def store(self, args: argparse.Namespace) -> str:
        """The URL of the run's store, by default this platform's own."""

    def adapt(self, args: argparse.Namespace, spec: RunSpec) -> RunSpec:
        """The specification with this platform's prices and paces."""

    def describe(self, args: argparse.Namespace, spec: RunSpec) -> dict[str, str]:
        """What else a plan shows: where the workers are, and what they may cost."""

    def tariff(self, args: argparse.Namespace, store_url: str) -> Tariff:
        """The prices that are paid here; or those of AWS Lambda, where nobody sends a bill."""

    def venue(self, args: argparse.Namespace, spec: RunSpec) -> Venue:
        """Where the workers of a run will be."""

    def sizes(self, args: argparse.Namespace) -> tuple[int, int]:
        """Memory of functions to choose from, in MB, lowest and highest. Raises UsageError where that is no choice."""

    def probing(self, args: argparse.Namespace, spec: RunSpec) -> AbstractContextManager[VenueAt]:
        """While it is open, functions can be had with other memory, and are probed. Raises NnliteError if not."""

    def prepare(self, args: argparse.Namespace, spec: RunSpec) -> None:
        """Before anything is written: see that it can run. Raises NnliteError if not."""

    def open(self, args: argparse.Namespace, spec: RunSpec, store: Store) -> Invoker | None:
        """The platform; None is this very process."""

    def goes_on_alone(self, args: argparse.Namespace, spec: RunSpec, store: Store) -> bool:
        """After Ctrl-C: whether the run goes on without this command."""


def find(name: str) -> Place:
    """The module of a platform."""
    return cast(Place, importlib.import_module(PLATFORMS[name]))


def settle_store(args: argparse.Namespace, place: Place) -> None:
    """Let `args.store` be the URL of the run's store, and say whether it is what the platform assumes anyway."""
    given, args.store = args.store, place.store(args)
    args.store_is_assumed = args.store != given


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of all platforms."""
    for name in PLATFORMS:
        find(name).add_options(parser)


def refuse_foreign(args: argparse.Namespace, defaults: dict[str, object], but: Container[str] = ()) -> None:
    """Raise UsageError for an option that only another platform has; `but`: options of the command itself."""
    for platform in PLATFORMS:
        for name in sorted(find(platform).OWN - find(args.platform).OWN):
            if name in defaults and name not in but and getattr(args, name) != defaults[name]:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} is for --platform {platform}, and this is {args.platform}: leave it out")
