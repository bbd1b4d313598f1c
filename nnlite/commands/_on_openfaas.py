"""Training on OpenFaaS: workers are calls of the functions that `tools.deploy --platform openfaas` made."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nnlite.commands import _named, _prices
from nnlite.cost.curve import ONE_CORE_MB as DEFAULT_MB
from nnlite.cost.prices import Tariff
from nnlite.cost.search import LARGEST_MB, SMALLEST_MB
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.base import Invoker
from nnlite.invoker.openfaas import credentials
from nnlite.invoker.openfaas.deployed import split_name
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import unattended
from nnlite.store import Store

DEFAULT_FUNCTION = "emnist-train"
OPTIONS: dict[str, dict[str, Any]] = {
    "--gateway": {"metavar": "URL", "help": "else OPENFAAS_URL, else http://127.0.0.1:8080"},
    "--function": {
        "default": DEFAULT_FUNCTION, "metavar": "NAME",
        "help": "one for all (default %(default)s), or one a worker: worker-{worker}",
    },
    "--invocation": {
        "choices": ["sync", "async"], "default": "sync",
        "help": "a call for each worker that waits for its end (default), or the gateway's queue",
    },
    "--rounds-per-invocation": {
        "type": int, "default": 0, "metavar": "N",
        "help": "hand over to a new invocation after so many rounds (default 0: only before the time is up)",
    },
    "--worker-store": {
        "type": _named.path, "metavar": "URL", "help": "the store as functions reach it, if that is not --store",
    },
    "--secret-file": {
        "type": _named.path, "metavar": "FILE", "help": "what calls are signed with (or NNLITE_OPENFAAS_SECRET_FILE)",
    },
}  # fmt: skip


OWN = frozenset(flag.removeprefix("--").replace("-", "_") for flag in OPTIONS)
RESUMABLE = OWN - {"rounds_per_invocation"}
PROBES_COST = True  # not money, but calls that others may wait for


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of the gateway, and of calls."""
    group = parser.add_argument_group("on OpenFaaS (--platform openfaas)")
    for flag, about in OPTIONS.items():
        group.add_argument(flag, **about)


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant."""
    if args.rounds_per_invocation < 0:
        raise UsageError(f"--rounds-per-invocation {args.rounds_per_invocation}: wanted 0 or more")
    split_name(args.function.replace("{worker}", "1"))
    if str(args.worker_store or args.store).partition("://")[0] not in ("memcached", "s3"):
        raise UsageError(
            f"--store {args.store}: functions cannot see it; wanted memcached://host:port/prefix or s3://bucket/prefix "
            "(--worker-store says how they reach it, if that differs)"
        )


def store(args: argparse.Namespace) -> str:
    """As given."""
    return str(args.store)


def adapt(args: argparse.Namespace, spec: RunSpec) -> RunSpec:
    """At the pace of calls through a gateway; nobody sends a bill."""
    pace = unattended.Pace(rounds_per_invocation=args.rounds_per_invocation)
    return unattended.adapt(spec, args.invocation, pace, _prices.tariff(args, args.store), args.memory_mb or 0)


def describe(args: argparse.Namespace, spec: RunSpec) -> dict[str, str]:
    """Where the workers are."""
    return {"where": f"{args.invocation} calls of {args.function}"}


def tariff(args: argparse.Namespace, store_url: str) -> Tariff:
    """AWS Lambda's, as a measure."""
    return _prices.tariff(args, store_url)


def venue(args: argparse.Namespace, spec: RunSpec) -> Venue:
    """Calls of the function, of which nobody hears but by their traces."""
    url = credentials.gateway_url(args.gateway, os.environ)
    return Venue(
        name=json.dumps(["openfaas", url, args.function, args.invocation]),
        processes=spec.num_workers,
        open=lambda of, store: _platform(args, of, store.url),
        is_here=False,
        store_url=args.store,
        cold_start_s=0.1,  # a server that waits for calls
        latency_s=2e-3,
        store_bytes_per_s=2e8,
    )


def sizes(args: argparse.Namespace) -> tuple[int, int]:
    """The one that the function has: memory is a limit of its deployment."""
    if args.memory_mb is not None:
        raise UsageError(
            "--memory-mb: on OpenFaaS memory is a limit of the deployed function: change `limits` in faas/stack.yaml, "
            "deploy, and optimize again; without --memory-mb, workers and tree are chosen for it as it is"
        )
    gateway = _gateway(args)
    found = gateway.function(args.function.replace("{worker}", "1"))
    gateway.close()
    return (_megabytes(found.memory if found else "") or DEFAULT_MB,) * 2


def _megabytes(text: str) -> int | None:
    """512Mi -> 512; None for what is no such amount, or none that a function on Lambda could have."""
    found = re.fullmatch(r"(\d{1,9})([MG])i?", text)
    size = int(found[1]) * {"M": 1, "G": 1024}[found[2]] if found else 0
    return size if SMALLEST_MB <= size <= LARGEST_MB else None


@contextmanager
def probing(args: argparse.Namespace, spec: RunSpec) -> Iterator[VenueAt]:
    """Functions as they are deployed, as many as a probe wants."""

    def at(memory_mb: int, num_workers: int) -> Venue:
        wanted = replace(spec, num_workers=num_workers, tree_widths=Tree.for_workers(num_workers).widths)
        prepare(args, wanted)
        return replace(venue(args, wanted), memory_mb=memory_mb)

    yield at


def prepare(args: argparse.Namespace, spec: RunSpec) -> None:
    """See that functions are there, know our secret and reach the store, and that there are enough of them."""
    platform = _platform(args, spec, args.store)
    platform.check(range(spec.num_workers))
    platform.scale(spec.num_workers)


def open(args: argparse.Namespace, spec: RunSpec, store: Store) -> Invoker:
    """Calls through the gateway."""
    platform: Invoker = _platform(args, spec, store.url)
    return platform


def _platform(args: argparse.Namespace, spec: RunSpec, store_url: str) -> Any:
    from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker

    store = args.worker_store or store_url
    return OpenFaaSInvoker(_gateway(args), spec.run, store, args.function, spec.sha256, args.invocation)


def _gateway(args: argparse.Namespace) -> Any:
    from nnlite.invoker.openfaas.gateway import Gateway

    url = credentials.gateway_url(args.gateway, os.environ)
    return Gateway(url, *credentials.account(url, os.environ), credentials.secret(args.secret_file, os.environ))


def goes_on_alone(args: argparse.Namespace, spec: RunSpec, store: Store) -> bool:
    """Never: the command holds the calls, and replaces workers that die."""
    return False
