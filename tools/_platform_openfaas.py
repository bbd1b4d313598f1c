"""OpenFaaS, as `tools.train` knows it: its options, and the platform that they open."""

from __future__ import annotations

import argparse
import os
from typing import Any

from nnlite.errors import UsageError
from nnlite.protocol.spec import Rates, RunSpec
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
    "--worker-store": {"metavar": "URL", "help": "the store as functions reach it, if that is not --store"},
    "--secret-file": {"metavar": "FILE", "help": "what calls are signed with (or NNLITE_OPENFAAS_SECRET_FILE)"},
}  # fmt: skip


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for what cannot be meant."""
    if args.rounds_per_invocation < 0:
        raise UsageError(f"--rounds-per-invocation {args.rounds_per_invocation}: wanted 0 or more")
    if worker_store(args).partition("://")[0] not in ("memcached", "s3"):
        raise UsageError(
            f"--store {args.store}: functions cannot see it; wanted memcached://host:port/prefix or s3://bucket/prefix "
            "(--worker-store says how they reach it, if that differs)"
        )


def worker_store(args: argparse.Namespace) -> str:
    """The store's URL inside a function."""
    return str(args.worker_store or args.store)


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What a run's specification has otherwise than on one machine."""
    return {
        "rates": Rates(platform="openfaas"),
        "rounds_per_invocation": args.rounds_per_invocation,
        "max_poll_s": 0.1,
        "wait_s": 0.2 if args.invocation == "async" else None,  # a queue may run one call at a time
        "lease_ttl_s": 30.0,
        "straggler_timeout_s": 15.0,
    }


def open_platform(args: argparse.Namespace, spec: RunSpec, store: Store) -> Any:
    """The platform, once it is known that functions are there, know our secret, and reach the store."""
    from nnlite.platform.openfaas import credentials
    from nnlite.platform.openfaas.gateway import Gateway
    from nnlite.platform.openfaas.platform import OpenFaaSPlatform

    url = credentials.gateway_url(args.gateway, os.environ)
    gateway = Gateway(url, *credentials.account(url, os.environ), credentials.secret(args.secret_file, os.environ))
    platform = OpenFaaSPlatform(gateway, spec.run, args.worker_store or store.url, args.function, args.invocation)
    platform.check(range(spec.num_workers))
    platform.scale(spec.num_workers)
    return platform


def shown(args: argparse.Namespace, spec: RunSpec) -> str:
    """Where the workers are, for people."""
    return f"{spec.num_workers} as {args.invocation} calls of {args.function}"
