"""Training on AWS Lambda: workers are invocations of the function that `tools.deploy` made."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from nnlite.cost import prices
from nnlite.errors import UsageError
from nnlite.platform.aws import limits, schedule
from nnlite.platform.aws.function import Configuration, Function, check_concurrency
from nnlite.platform.aws.lambda_platform import LambdaPlatform
from nnlite.platform.base import Platform
from nnlite.protocol.spec import RunSpec
from nnlite.runtime import detached, trainer
from nnlite.runtime.invocation import Payload
from nnlite.store import Store
from tools import _aws
from tools._ask import confirm
from tools._platforms import DEFAULT_STORE

RESUMABLE = frozenset({"stack_name", "profile", "detach", "yes"})
OWN = RESUMABLE | {"budget_usd"}
LEAST_TIMEOUT_S = 10
REQUESTS_PER_ROUND = (12, 4)  # reads and writes of a worker, polls included


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of AWS, of a run that costs money, and --detach."""
    group = parser.add_argument_group("on AWS Lambda (--platform lambda), after python -m tools.deploy")
    _aws.add_options(group, with_region=False)
    group.add_argument("--budget-usd", type=float, metavar="USD", help="stop before the run has cost more")
    group.add_argument("--detach", action="store_true", help="start the workers and leave them alone")
    group.add_argument("--yes", action="store_true", help="do not ask whether it may cost what it is expected to")


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before AWS is asked."""
    if args.memory_mb is not None:
        limits.check_memory_mb(args.memory_mb)
    limits.check_stack_name(args.stack_name)
    if args.workers > limits.MAX_CONCURRENCY:
        raise UsageError(f"--workers {args.workers:,}: no account runs more than {limits.MAX_CONCURRENCY:,} at a time")
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


@functools.cache
def _stack(name: str, region: str | None, profile: str | None) -> _Stack:
    account, outputs = _aws.outputs_of(argparse.Namespace(stack_name=name, region=region, profile=profile))
    function = Function(outputs["Function"], account)
    return _Stack(function, function.configuration(), dict(outputs))


def _of(args: argparse.Namespace) -> _Stack:
    return _stack(args.stack_name, args.region, args.profile)


def store(args: argparse.Namespace) -> str:
    """The stack's, unless another one is given."""
    return _of(args).outputs["Store"] if args.store == DEFAULT_STORE else str(args.store)


def adapt(args: argparse.Namespace, spec: RunSpec) -> RunSpec:
    """With what Lambda and S3 cost, and at a pace where every look at the store is paid for."""
    found = _of(args).configuration
    if args.memory_mb is not None and args.memory_mb != found.memory_mb:
        raise UsageError(
            f"--memory-mb {args.memory_mb}: the function has {found.memory_mb}; "
            f"python -m tools.deploy --memory-mb {args.memory_mb} changes it"
        )
    if found.timeout_s < LEAST_TIMEOUT_S:
        raise UsageError(
            f"the function's timeout is {found.timeout_s} s, and handing over takes seconds: "
            f"python -m tools.deploy --timeout-s 900 (or at least {LEAST_TIMEOUT_S})"
        )
    if spec.case_file is not None:
        raise UsageError(
            f"{spec.case_file} defines layers of its own, which are not in the function's bundle: "
            "use nnlite's layers on Lambda, or --platform local"
        )
    if args.budget_usd is not None and not 0 < args.budget_usd < float("inf"):
        raise UsageError(f"--budget-usd {args.budget_usd}: wanted a positive number of dollars")
    tariff = prices.tariff(_of(args).function.account.region, found.architecture, args.prices).of_store(args.store)
    return replace(
        spec, rates=tariff.rates(found.memory_mb), tariff=asdict(tariff), budget_usd=args.budget_usd, lease_ttl_s=30.0,
        straggler_timeout_s=20.0, poll_s=0.05, max_poll_s=0.5, hand_over_s=min(5.0, found.timeout_s / 4),
    )  # fmt: skip


def describe(args: argparse.Namespace, spec: RunSpec) -> dict[str, str]:
    """Where the workers are, and what they are expected to cost."""
    of, (seconds, usd) = _of(args), _estimate(spec)
    cap = (
        "none (--budget-usd)" if spec.budget_usd is None else f"${spec.budget_usd:g}: the run stops before it is spent"
    )
    return {
        "where": f"AWS Lambda in {of.function.account.region}: {of.function.name}, {of.configuration.memory_mb:,} MB, "
        f"{of.configuration.timeout_s} s, {of.configuration.architecture}",
        "estimate": f"about {_duration(seconds)} and {_dollars(usd)}, if a core there is as fast as one here",
        "budget": cap,
    }


def prepare(args: argparse.Namespace, spec: RunSpec) -> None:
    """See that so many can run at a time, and ask."""
    check_concurrency(_of(args).function, spec.num_workers)
    seconds, usd = _estimate(spec)
    confirm(
        f"start {spec.num_workers} workers on Lambda, for about {_duration(seconds)} and {_dollars(usd)}?", args.yes
    )


def open(args: argparse.Namespace, spec: RunSpec, store: Store) -> Platform:
    """Invocations of the stack's function."""
    of = _of(args)

    def payload(worker: int, attempt: int) -> bytes:
        return Payload(spec.run, args.store, worker, attempt).to_json()

    return LambdaPlatform(spec.run, of.function, payload, of.outputs.get("Queue", ""))


def resume_options(args: argparse.Namespace) -> str:
    """The platform, and which stack."""
    given = [("--stack-name", args.stack_name, _aws.DEFAULT_STACK), ("--region", args.region, None)]
    given.append(("--profile", args.profile, None))
    return " --platform lambda" + "".join(f" {flag} {shlex.quote(v)}" for flag, v, default in given if v != default)


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
    from nnlite.store import open_store

    with open_store(of.outputs["Store"]) as home:
        detached.add(home, spec.run, args.store)
    schedule.enable(of.function.account, of.outputs["Schedule"])


# ---- what it will cost


@functools.cache
def _step_s(spec_json: bytes) -> float:
    """Seconds of one step, measured here, on noise."""
    spec = RunSpec.from_json(spec_json, "the plan")
    network, optimizer = trainer.build(spec)
    rng = np.random.default_rng(0)
    x = rng.random((spec.batch_size, *network.input_shape), np.float32)
    y = rng.integers(0, network.output_shape[-1], spec.batch_size)
    weights, gradient = network.init(rng), network.empty()
    slots, best = optimizer.slots(network.layout.size), float("inf")
    for step in range(4):
        began_s = time.perf_counter()
        network.loss_and_gradient(weights, x, y, out=gradient, rng=rng)
        optimizer.update_inplace(weights, gradient, slots, step)
        best = min(best, time.perf_counter() - began_s)
    return best


def _estimate(spec: RunSpec) -> tuple[float, float]:
    """(seconds, USD) until all rounds are done."""
    per_epoch = -(-spec.data.num_train // (spec.num_workers * spec.batch_size))
    steps = spec.num_rounds * (spec.steps_per_round or per_epoch)
    seconds = 2.0 + steps * _step_s(spec.to_json()) / _speed(spec.rates.memory_mb) + spec.num_rounds * 0.5
    reads, writes = (spec.num_workers * spec.num_rounds * count for count in REQUESTS_PER_ROUND)
    rates = spec.rates
    usd = spec.num_workers * (seconds * rates.worker_second_usd + rates.invocation_usd)
    return seconds, usd + reads * rates.read_usd + writes * rates.write_usd


def _speed(memory_mb: int) -> float:
    """How much of a core, at most one, a worker has."""
    return min(1.0, memory_mb / limits.MB_PER_CPU)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _dollars(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"
