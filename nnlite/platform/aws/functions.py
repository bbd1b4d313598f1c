"""Training on AWS Lambda: workers are invocations of the function that `tools.deploy` made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import ClassVar

from nnlite.cost import prices
from nnlite.cost.prices import Tariff
from nnlite.errors import RunError, UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.aws import limits, schedule
from nnlite.invoker.aws.function import Configuration, Function, check_concurrency
from nnlite.invoker.aws.lambda_invoker import LambdaInvoker
from nnlite.invoker.base import Invoker
from nnlite.platform.aws.stack import WhichStack
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.quantities import ONE_CORE_MB
from nnlite.runs import detached, trust
from nnlite.runs.job import DEFAULT_STORE, Job
from nnlite.runtime.invocation import Payload
from nnlite.store import Store, listing, open_store
from nnlite.store.naming import is_seen_by_functions

LEAST_TIMEOUT_S = 10


@dataclass(frozen=True)
class DeployedStack:
    """What AWS says of a stack and its function."""

    function: Function
    configuration: Configuration
    outputs: dict[str, str]
    parameters: dict[str, str]

    def venue(self, spec: RunSpec, store_url: str, num_workers: int, memory_mb: int) -> Venue:
        """Its function, if that had so much memory."""
        found = self.configuration
        what = [self.function.account.region, self.function.name, memory_mb, found.architecture, found.code]
        return Venue(
            name=json.dumps(["lambda", *what]),
            processes=num_workers,
            open=lambda run, at: self.invoker(run, at.url),
            is_here=False,
            store_url=store_url,
            memory_mb=memory_mb,
            share=min(1.0, memory_mb / ONE_CORE_MB),
            invocation_s=max(1.0, found.timeout_s - spec.hand_over_s),
            cold_start_s=0.7,
            latency_s=0.02,
            store_bytes_per_s=75e6,
        )

    def invoker(self, spec: RunSpec, store_url: str) -> Invoker:
        """What starts invocations of its function."""
        sha256 = spec.sha256

        def payload(worker: int, attempt: int) -> bytes:
            return Payload(spec.run, store_url, worker, attempt, sha256).to_json()

        return LambdaInvoker(spec.run, self.function, payload, self.outputs.get("Queue", ""))


@dataclass(frozen=True)
class Lambda(WhichStack, Platform):
    """The function of a stack, in the region and by the profile that are given, or that boto3 is configured with."""

    name: ClassVar[str] = "lambda"
    title: ClassVar[str] = "on AWS Lambda (--platform lambda), after python -m tools.deploy"
    is_paid: ClassVar[bool] = True
    can_detach: ClassVar[bool] = True
    probes_where: ClassVar[str] = "the deployed function, whose memory is changed for each and put back in the end"

    def __post_init__(self) -> None:
        Platform.__post_init__(self)  # types, before anything is asked of them
        super().__post_init__()

    def check(self, job: Job, pricing: Pricing) -> None:
        if pricing.memory_mb is not None:
            limits.check_memory_mb(pricing.memory_mb)
        super().check(job, pricing)
        if job.workers > limits.MAX_CONCURRENCY:
            raise UsageError(
                f"workers {job.workers:,}: no account runs more than {limits.MAX_CONCURRENCY:,} at a time",
                parameter="workers",
            )
        for name in ("store", "data_store", "checkpoint_store"):
            url = getattr(job, name)
            if url not in (None, DEFAULT_STORE) and not is_seen_by_functions(url):
                raise UsageError(
                    f"{name} {url}: functions cannot see it; leave it out, or use s3:// or memcached://", parameter=name
                )

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Names of what is in the stack, asked once. Raises RunError when it is not there, or not complete."""
        return dict(self.stack.outputs())

    @cached_property
    def deployed(self) -> DeployedStack:
        """What AWS says of the stack and its function, asked once."""
        function, standing = Function(self.outputs["Function"], self.stack.account), self.stack.standing()
        parameters = dict(standing.parameters) if standing else {}
        return DeployedStack(function, function.configuration(), self.outputs, parameters)

    def store_url(self, given: str | None = None) -> str:
        """The stack's, unless another one is given."""
        return self.outputs["Store"] if given in (None, DEFAULT_STORE) else str(given)

    def adapt(self, spec: RunSpec, store_url: str, pricing: Pricing) -> RunSpec:
        """With what Lambda and S3 cost, and at a pace where every look at the store is paid for."""
        found = self.deployed.configuration
        _check_fits(found, pricing)
        if spec.case_file is not None:
            raise UsageError(
                f"{spec.case_file.name} defines layers or other parts of its own, which are not in the function's "
                "bundle: use nnlite's own on Lambda, or train on this machine"
            )
        prices_of = self.tariff(store_url, pricing)
        return replace(
            spec, rates=prices_of.rates(found.memory_mb), tariff=asdict(prices_of),
            lease_ttl_s=30.0, straggler_timeout_s=20.0, poll_s=0.05, max_poll_s=0.5,
            hand_over_s=min(5.0, found.timeout_s / 4),
        )  # fmt: skip

    def describe(self, spec: RunSpec, store_url: str) -> dict[str, str]:
        of, usd = self.deployed, spec.budget_usd
        return {
            "where": f"AWS Lambda in {of.function.account.region}: {of.function.name}, "
            f"{of.configuration.memory_mb:,} MB, {of.configuration.timeout_s} s, {of.configuration.architecture}",
            "budget": "none (budget_usd=)" if usd is None else f"${usd:g}: the run stops before it is spent",
        }

    def tariff(self, store_url: str, pricing: Pricing) -> Tariff:
        """The prices of the function's region and processor."""
        region, arch = self.deployed.function.account.region, self.deployed.configuration.architecture
        return prices.tariff(region, arch, pricing.prices).of_store(store_url)

    def venue(self, spec: RunSpec, store_url: str) -> Venue:
        return self.deployed.venue(spec, store_url, spec.num_workers, self.deployed.configuration.memory_mb)

    @contextmanager
    def probing(self, spec: RunSpec, store_url: str, sizes: tuple[int, int]) -> Iterator[VenueAt]:
        """The deployed function, with its memory changed for each probe, and as the stack has it in the end."""
        of = self.deployed
        _refuse_while_others_run(of.outputs["Store"])
        home_mb = int(of.parameters.get("MemoryMb", of.configuration.memory_mb))

        def at(memory_mb: int, num_workers: int) -> Venue:
            check_concurrency(of.function, num_workers)
            of.function.resize(memory_mb)
            return of.venue(spec, store_url, num_workers, memory_mb)

        try:
            yield at
        finally:
            of.function.resize(home_mb)

    def prepare(self, spec: RunSpec, store_url: str) -> None:
        """See that so many can run at a time, on what the run counts its money by."""
        has, counted = self.deployed.configuration.memory_mb, spec.rates.memory_mb
        if has != counted:
            raise UsageError(
                f"run {spec.run} counts its budget for a function of {counted} MB, and this one has {has}: "
                f"python -m tools.deploy --memory-mb {counted}"
            )
        check_concurrency(self.deployed.function, spec.num_workers)

    def open(self, spec: RunSpec, store: Store) -> Invoker:
        return self.deployed.invoker(spec, store.url)

    def detach(self, spec: RunSpec, store: Store) -> None:
        """Let the stack's schedule look after the run from now on."""
        of = self.deployed
        with open_store(of.outputs["Store"]) as home:
            trust.check_url(store.url, home.url)  # what the schedule would refuse, each minute
            trust.check_spec(spec, store.url)
            detached.add(home, spec.run, store.url, spec.sha256)
        schedule.enable(of.function.account, of.outputs["Schedule"])


def _check_fits(found: Configuration, pricing: Pricing) -> None:
    """Raise UsageError when the function is not what was asked for, or too short-lived for any run."""
    if pricing.memory_mb not in (None, found.memory_mb):
        raise UsageError(
            f"memory_mb {pricing.memory_mb}: the function has {found.memory_mb}; "
            f"python -m tools.deploy --memory-mb {pricing.memory_mb} changes it",
            parameter="memory_mb",
        )
    if pricing.arch not in (None, found.architecture):
        raise UsageError(
            f"arch {pricing.arch}: the function is on {found.architecture}, and pays its prices: leave it out, or "
            f"python -m tools.deploy --arch {pricing.arch}",
            parameter="arch",
        )
    if found.timeout_s < LEAST_TIMEOUT_S:
        raise UsageError(
            f"the function's timeout is {found.timeout_s} s, and handing over takes seconds: "
            f"python -m tools.deploy --timeout-s 900 (or at least {LEAST_TIMEOUT_S})"
        )


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
