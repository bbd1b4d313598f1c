"""Training on this machine: processes of it, or this very one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from nnlite.commands import _prices
from nnlite.cost.prices import Tariff
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue, local
from nnlite.estimating.probe import VenueAt, check_cores, local_at
from nnlite.invoker import processor
from nnlite.invoker.base import Invoker
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.store import Store

OWN = RESUMABLE = frozenset({"processes"})
PROBES_COST = False
DEFAULT_SIZES = (256, 3008)


def add_options(parser: argparse.ArgumentParser) -> None:
    """--processes."""
    group = parser.add_argument_group("on this machine (--platform local)")
    group.add_argument("--processes", type=int, metavar="P", help="default: a worker each, as far as there are cores")


def check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored, or go wrong later."""
    if args.processes is not None and args.processes < 0:
        raise UsageError(f"--processes {args.processes}: wanted 0 (train in this process) or more")
    if args.processes and args.store.startswith("memory://"):
        raise UsageError(f"--processes {args.processes}: other processes cannot see a store in memory; leave it out")


def store(args: argparse.Namespace) -> str:
    """As given."""
    return str(args.store)


def adapt(args: argparse.Namespace, spec: RunSpec) -> RunSpec:
    """Nobody sends a bill; what it would be on AWS Lambda is stated."""
    memory_mb = args.memory_mb if isinstance(args.memory_mb, int) else 0  # not where there is a choice of several
    return replace(spec, rates=Rates(memory_mb=memory_mb), tariff=asdict(_prices.tariff(args, args.store)))


def describe(args: argparse.Namespace, spec: RunSpec) -> dict[str, str]:
    """Where the workers are."""
    return {"where": f"{num_processes(args, spec)} processes of this machine"}


def tariff(args: argparse.Namespace, store_url: str) -> Tariff:
    """AWS Lambda's, as a measure."""
    return _prices.tariff(args, store_url)


def venue(args: argparse.Namespace, spec: RunSpec) -> Venue:
    """Processes of this machine."""
    return local(max(1, num_processes(args, spec)))


def sizes(args: argparse.Namespace) -> tuple[int, int]:
    """Of functions that are stood in for, to choose from."""
    return args.memory_mb or DEFAULT_SIZES


@contextmanager
def probing(args: argparse.Namespace, spec: RunSpec) -> Iterator[VenueAt]:
    """Processes held to the share of a core that functions have."""
    check_cores(sizes(args)[1], 1, spec.threads)
    yield local_at(spec)


def prepare(args: argparse.Namespace, spec: RunSpec) -> None:
    """Nothing to see to."""


def open(args: argparse.Namespace, spec: RunSpec, store: Store) -> Invoker | None:
    """Processes, or None for this one."""
    count = num_processes(args, spec)
    return local(count).open(spec, store) if count else None


def goes_on_alone(args: argparse.Namespace, spec: RunSpec, store: Store) -> bool:
    """Never: the workers are this command's processes."""
    return False


def num_processes(args: argparse.Namespace, spec: RunSpec) -> int:
    """How many processes are started; 0: none but this."""
    if args.processes is not None:
        return int(args.processes)
    if args.store.startswith("memory://"):
        return 0  # other processes could not see it
    return min(spec.num_workers, processor.num_processes())
