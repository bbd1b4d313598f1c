"""Platforms by name: the options each adds to `tools.train`, what it makes of them, and how it is opened."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nnlite.errors import UsageError
from nnlite.platform.base import Platform
from nnlite.platform.local import LocalPlatform
from nnlite.protocol.spec import RunSpec
from nnlite.store import Store
from tools import _platform_openfaas as openfaas


@dataclass(frozen=True)
class Kind:
    """What `tools.train` asks of a platform."""

    options: dict[str, dict[str, Any]]  #: flag -> what argparse wants to know of it
    check: Callable[[argparse.Namespace], None]  #: raise UsageError for what cannot be meant
    settle: Callable[[argparse.Namespace, RunSpec], RunSpec]  #: the specification as it suits the platform
    open: Callable[[argparse.Namespace, RunSpec, Store], Platform | None]  #: None: this very process
    shown: Callable[[argparse.Namespace, RunSpec], str]  #: where the workers are, for people


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of all platforms."""
    for name, kind in PLATFORMS.items():
        group = parser.add_argument_group(f"with --platform {name}")
        for flag, about in kind.options.items():
            group.add_argument(flag, **about)


def names_of_options() -> set[str]:
    """The attributes of parsed arguments that say where a run runs, and may change when it is resumed."""
    return {_attribute(flag) for kind in PLATFORMS.values() for flag in kind.options} | {"platform"}


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for what the platform cannot make sense of, and for options of another one."""
    for name, kind in PLATFORMS.items():
        for flag, about in kind.options.items():
            if name != args.platform and getattr(args, _attribute(flag)) != about.get("default"):
                raise UsageError(f"{flag} is for --platform {name}, and this is {args.platform}: leave it out")
    PLATFORMS[args.platform].check(args)


def _attribute(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


# ---- local


def num_processes(args: argparse.Namespace, spec: RunSpec) -> int:
    """How many processes of this machine the workers share; 0: this very one."""
    if args.processes is not None:
        return int(args.processes)
    if args.store.startswith("memory://"):
        return 0  # other processes could not see it
    return min(spec.num_workers, os.cpu_count() or 1)


def _check_local(args: argparse.Namespace) -> None:
    if args.processes is not None and args.processes < 0:
        raise UsageError(f"--processes {args.processes}: wanted 0 (train in this process) or more")
    if args.processes and args.store.startswith("memory://"):
        raise UsageError(f"--processes {args.processes}: other processes cannot see a store in memory; leave it out")


def _open_local(args: argparse.Namespace, spec: RunSpec, store: Store) -> Platform | None:
    count = num_processes(args, spec)
    return LocalPlatform(spec.run, store.url, count) if count else None


PLATFORMS = {
    "local": Kind(
        options={
            "--processes": {
                "type": int, "metavar": "P", "help": "default: a worker each, as far as there are cores",
            },
        },
        check=_check_local,
        settle=lambda args, spec: spec,
        open=_open_local,
        shown=lambda args, spec: f"{spec.num_workers} in {num_processes(args, spec)} processes",
    ),
    "openfaas": Kind(
        options=openfaas.OPTIONS,
        check=openfaas.check,
        settle=lambda args, spec: replace(spec, **openfaas.settings(args)),
        open=openfaas.open_platform,
        shown=openfaas.shown,
    ),
}  # fmt: skip
