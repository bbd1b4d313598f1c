"""Training on AWS Lambda: workers are invocations of the function that `tools.deploy` made."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from nnlite.commands import _aws
from nnlite.commands._platforms import DEFAULT_STORE
from nnlite.cost import prices
from nnlite.cost.prices import Tariff
from nnlite.errors import RunError, UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.aws import limits, schedule
from nnlite.invoker.aws.function import Configuration, Function, check_concurrency
from nnlite.invoker.aws.lambda_invoker import LambdaInvoker
from nnlite.invoker.base import Invoker
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import detached, trust
from nnlite.runtime.invocation import Payload
from nnlite.store import Store, listing, open_store

OWN = frozenset({"stack_name", "profile", "detach", "yes", "budget_usd"})
RESUMABLE = OWN - {"budget_usd"} | {"region"}
DEFAULT_SIZES = (256, 3008)
PROBES_COST = True
LEAST_TIMEOUT_S = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of AWS, and of a run that costs money."""
    group = parser.add_argument_group("on AWS Lambda (--platform lambda), after python -m tools.deploy")
    _aws.add_options(group, with_region=False)
    group.add_argument("--budget-usd", type=float, metavar="USD", help="stop before it has cost more")
    group.add_argument("--yes", action="store_true", help="do not ask whether it may cost what it is expected to")


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before AWS is asked."""
    if isinstance(args.memory_mb, int):
        limits.check_memory_mb(args.memory_mb)
    limits.check_stack_name(args.stack_name)
    if args.workers > limits.MAX_CONCURRENCY:
        raise UsageError(
            f"{flag_of(args)} {args.workers:,}: no account runs more than {limits.MAX_CONCURRENCY:,} at a time"
        )
    for name in ("store", "data_store", "checkpoint_store"):
        url = getattr(args, name, None)
        if url not in (None, DEFAULT_STORE) and not url.startswith(("s3://", "memcached://")):
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} {url}: functions cannot see it; leave it out, or use s3:// or memcached://")


@dataclass(frozen=True)
class _Stack:
    """What AWS says of the stack, asked once."""

    function: Function
    configuration: Configuration
    outputs: dict[str, str]
    parameters: dict[str, str]


@functools.cache
def _stack(name: str, region: str | None, profile: str | None) -> _Stack:
    stack = _aws.stack_of(argparse.Namespace(stack_name=name, region=region, profile=profile))
    outputs, standing = dict(stack.outputs()), stack.standing()
    function = Function(outputs["Function"], stack.account)
    return _Stack(function, function.configuration(), outputs, dict(standing.parameters) if standing else {})


def _of(args: argparse.Namespace) -> _Stack:
    return _stack(args.stack_name, args.region, args.profile)


def store(args: argparse.Namespace) -> str:
    """The stack's, unless another one is given."""
    return _of(args).outputs["Store"] if args.store == DEFAULT_STORE else str(args.store)


def adapt(args: argparse.Namespace, spec: RunSpec) -> RunSpec:
    """With what Lambda and S3 cost, and at a pace where every look at the store is paid for."""
    found = _of(args).configuration
    if isinstance(args.memory_mb, int) and args.memory_mb != found.memory_mb:
        raise UsageError(
            f"--memory-mb {args.memory_mb}: the function has {found.memory_mb}; "
            f"python -m tools.deploy --memory-mb {args.memory_mb} changes it"
        )
    if args.arch not in (None, found.architecture):
        raise UsageError(
            f"--arch {args.arch}: the function is on {found.architecture}, and pays its prices: leave it out, or "
            f"python -m tools.deploy --arch {args.arch}"
        )
    if found.timeout_s < LEAST_TIMEOUT_S:
        raise UsageError(
            f"the function's timeout is {found.timeout_s} s, and handing over takes seconds: "
            f"python -m tools.deploy --timeout-s 900 (or at least {LEAST_TIMEOUT_S})"
        )
    if spec.case_file is not None:
        raise UsageError(
            f"{spec.case_file.name} defines layers or other parts of its own, which are not in the function's bundle: "
            "use nnlite's own on Lambda, or --platform local"
        )
    if args.budget_usd is not None and not 0 < args.budget_usd < float("inf"):
        raise UsageError(f"--budget-usd {args.budget_usd}: wanted a positive number of dollars")
    prices_of = tariff(args, args.store)
    return replace(
        spec, rates=prices_of.rates(found.memory_mb), tariff=asdict(prices_of), budget_usd=args.budget_usd,
        lease_ttl_s=30.0, straggler_timeout_s=20.0, poll_s=0.05, max_poll_s=0.5,
        hand_over_s=min(5.0, found.timeout_s / 4),
    )  # fmt: skip


def describe(args: argparse.Namespace, spec: RunSpec) -> dict[str, str]:
    """Where the workers are, and what they are expected to cost."""
    of = _of(args)
    cap = (
        "none (--budget-usd)" if spec.budget_usd is None else f"${spec.budget_usd:g}: the run stops before it is spent"
    )
    return {
        "where": f"AWS Lambda in {of.function.account.region}: {of.function.name}, {of.configuration.memory_mb:,} MB, "
        f"{of.configuration.timeout_s} s, {of.configuration.architecture}",
        "budget": cap,
    }


def tariff(args: argparse.Namespace, store_url: str) -> Tariff:
    """Of the region and the processor of the function."""
    found = _of(args)
    region, arch = found.function.account.region, found.configuration.architecture
    return prices.tariff(region, arch, args.prices).of_store(store_url)


def venue(args: argparse.Namespace, spec: RunSpec) -> Venue:
    """Functions as they are deployed."""
    of = _of(args)
    return _venue(of, args.store, spec, spec.num_workers, of.configuration.memory_mb)


def _venue(of: _Stack, url: str, spec: RunSpec, num_workers: int, memory_mb: int) -> Venue:
    found = of.configuration
    what = [of.function.account.region, of.function.name, memory_mb, found.architecture, found.code]
    return Venue(
        name=json.dumps(["lambda", *what]),
        processes=num_workers,
        open=lambda run, at: _platform(of, run, at.url),
        is_here=False,
        store_url=url,
        memory_mb=memory_mb,
        share=min(1.0, memory_mb / limits.MB_PER_CPU),
        invocation_s=max(1.0, found.timeout_s - spec.hand_over_s),
        cold_start_s=0.7,
        latency_s=0.02,
        store_bytes_per_s=75e6,
    )


def sizes(args: argparse.Namespace) -> tuple[int, int]:
    """Of functions, to choose from."""
    return args.memory_mb or DEFAULT_SIZES


@contextmanager
def probing(args: argparse.Namespace, spec: RunSpec) -> Iterator[VenueAt]:
    """The deployed function, with its memory changed for each probe, and as the stack has it in the end."""
    of = _of(args)
    _refuse_while_others_run(of.outputs["Store"])
    home_mb = int(of.parameters.get("MemoryMb", of.configuration.memory_mb))

    def at(memory_mb: int, num_workers: int) -> Venue:
        check_concurrency(of.function, num_workers, flag_of(args))
        of.function.resize(memory_mb)
        return _venue(of, args.store, spec, num_workers, memory_mb)

    try:
        yield at
    finally:
        of.function.resize(home_mb)


def _refuse_while_others_run(url: str) -> None:
    """Raise RunError when the memory of somebody's workers would change under them."""
    with open_store(url) as store:
        runs = listing.run_ids(store)
        keys = [Keys(run).head for run in runs]
        found = zip(runs, keys, store.get_many(keys), strict=True)
        busy = [run for run, key, one in found if one and Head.from_json(one.data, key).status == RUNNING]
    if busy:
        raise RunError(
            f"probing changes the memory of the function, and {busy[0]} is running on it: wait for its end, or "
            f"python -m tools.stop {busy[0]}"
        )


def prepare(args: argparse.Namespace, spec: RunSpec) -> None:
    """See that so many can run at a time, on what the run counts its money by."""
    has, counted = _of(args).configuration.memory_mb, spec.rates.memory_mb
    if has != counted:
        raise UsageError(
            f"run {spec.run} counts its budget for a function of {counted} MB, and this one has {has}: "
            f"python -m tools.deploy --memory-mb {counted}"
        )
    check_concurrency(_of(args).function, spec.num_workers, flag_of(args))


def open(args: argparse.Namespace, spec: RunSpec, store: Store) -> Invoker:
    """Invocations of the stack's function."""
    return _platform(_of(args), spec, args.store)


def _platform(of: _Stack, spec: RunSpec, url: str) -> Invoker:
    sha256 = spec.sha256

    def payload(worker: int, attempt: int) -> bytes:
        return Payload(spec.run, url, worker, attempt, sha256).to_json()

    return LambdaInvoker(spec.run, of.function, payload, of.outputs.get("Queue", ""))


def flag_of(args: argparse.Namespace) -> str:
    """What says how many run at a time."""
    return "--parallel" if hasattr(args, "parallel") else "--workers"


def goes_on_alone(args: argparse.Namespace, spec: RunSpec, store: Store) -> bool:
    """Ask whether to stop or to detach; where nobody can be asked, stop, as what goes on costs money."""
    if not sys.stdin.isatty():
        return False
    print("\nstop the run [s], or detach and let it go on [d]? ", end="", file=sys.stderr, flush=True)
    if not sys.stdin.readline().strip().lower().startswith("d"):
        return False
    detach(args, spec, store)
    return True


def detach(args: argparse.Namespace, spec: RunSpec, store: Store) -> None:
    """Let the stack's schedule look after the run from now on."""
    of = _of(args)
    with open_store(of.outputs["Store"]) as home:
        trust.check_url(store.url, home.url)  # what the schedule would refuse, each minute
        trust.check_spec(spec, store.url)
        detached.add(home, spec.run, args.store, spec.sha256)
    schedule.enable(of.function.account, of.outputs["Schedule"])
