"""Training on OpenFaaS: workers are calls of the functions that `tools.deploy --platform openfaas` made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from nnlite.choices import choice
from nnlite.cost.search import LARGEST_MB, SMALLEST_MB
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.openfaas import credentials
from nnlite.invoker.openfaas.deployed import split_name
from nnlite.platform.base import Platform, Pricing
from nnlite.platform.openfaas import unattended
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.quantities import ONE_CORE_MB as DEFAULT_MB
from nnlite.runs.job import Job
from nnlite.store import Store
from nnlite.store.naming import is_seen_by_functions

if TYPE_CHECKING:
    from nnlite.invoker.openfaas.gateway import Gateway
    from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker

DEFAULT_FUNCTION = "emnist-train"
INVOCATIONS = ("sync", "async")


@dataclass(frozen=True)
class OpenFaaS(Platform):
    """Functions behind a gateway. Password and secret come from files or the environment, as faas-cli has them."""

    gateway: str | None = choice(None, "else OPENFAAS_URL, else http://127.0.0.1:8080", "URL")
    function: str = choice(
        DEFAULT_FUNCTION, "one for all (default %(default)s), or one a worker: worker-{worker}", "NAME"
    )
    invocation: str = choice(
        "sync", "a call for each worker that waits for its end (default), or the gateway's queue", None, INVOCATIONS
    )
    rounds_per_invocation: int = choice(
        0, "hand over to a new invocation after so many rounds (default 0: only before the time is up)", "N"
    )
    worker_store: str | None = choice(
        None, "the store as functions reach it, if that is not --store", "URL", is_path=True
    )
    secret_file: str | None = choice(
        None, "what calls are signed with (or NNLITE_OPENFAAS_SECRET_FILE)", "FILE", is_path=True
    )

    name: ClassVar[str] = "openfaas"
    title: ClassVar[str] = "on OpenFaaS (--platform openfaas)"
    probes_where: ClassVar[str] = "the deployed function, with the memory that it has; nobody sends a bill"
    assumes_store: ClassVar[bool] = False
    of_the_run: ClassVar[frozenset[str]] = frozenset({"rounds_per_invocation"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gateway is not None:
            credentials.gateway_url(self.gateway, {})  # a password in it would be shown wherever a platform is
        if self.invocation not in INVOCATIONS:
            raise UsageError(
                f"invocation {self.invocation!r:.80}: there are {', '.join(INVOCATIONS)}", parameter="invocation"
            )
        if self.rounds_per_invocation < 0:
            raise UsageError(
                f"rounds_per_invocation {self.rounds_per_invocation}: wanted 0 or more",
                parameter="rounds_per_invocation",
            )
        split_name(self._first_function)

    def check(self, job: Job, pricing: Pricing) -> None:
        super().check(job, pricing)
        if not is_seen_by_functions(self.worker_store or job.store):
            raise UsageError(
                f"store {job.store}: functions cannot see it; wanted memcached://host:port/prefix or "
                "s3://bucket/prefix (worker_store says how they reach it, if that differs)",
                parameter="store",
            )

    def adapt(self, spec: RunSpec, store_url: str, pricing: Pricing) -> RunSpec:
        """At the pace of calls through a gateway; nobody sends a bill."""
        pace = unattended.CallPace(rounds_per_invocation=self.rounds_per_invocation)
        tariff = self.tariff(store_url, pricing)
        return unattended.adapt(spec, self.invocation, pace, tariff, pricing.memory_mb or 0)

    def describe(self, spec: RunSpec, store_url: str) -> dict[str, str]:
        return {"where": f"{self.invocation} calls of {self.function}"}

    def venue(self, spec: RunSpec, store_url: str) -> Venue:
        """Calls of the function, of which nobody hears but by their traces."""
        return Venue(
            name=json.dumps(["openfaas", self._gateway_url, self.function, self.invocation]),
            processes=spec.num_workers,
            open=lambda of, store: self._invoker(of, store.url),
            is_here=False,
            store_url=store_url,
            cold_start_s=0.1,  # a server that waits for calls
            latency_s=2e-3,
            store_bytes_per_s=2e8,
        )

    def sizes(self, memory_mb: tuple[int, int] | None = None) -> tuple[int, int]:
        """The one that the function has: memory is a limit of its deployment."""
        if memory_mb is not None:
            raise UsageError(
                "memory_mb: on OpenFaaS memory is a limit of the deployed function: change `limits` in "
                "faas/stack.yaml, deploy, and optimize again; without memory_mb, workers and tree are chosen for it "
                "as it is",
                parameter="memory_mb",
            )
        gateway = self._gateway()
        found = gateway.function(self._first_function)
        gateway.close()
        return (_megabytes(found.memory if found else "") or DEFAULT_MB,) * 2

    @contextmanager
    def probing(self, spec: RunSpec, store_url: str, sizes: tuple[int, int]) -> Iterator[VenueAt]:
        """Functions as they are deployed, as many as a probe wants."""

        def at(memory_mb: int, num_workers: int) -> Venue:
            wanted = replace(spec, num_workers=num_workers, tree_widths=Tree.for_workers(num_workers).widths)
            self.prepare(wanted, store_url)
            return replace(self.venue(wanted, store_url), memory_mb=memory_mb)

        yield at

    def prepare(self, spec: RunSpec, store_url: str) -> None:
        """See that functions are there, know our secret and reach the store, and that there are enough of them."""
        invoker = self._invoker(spec, store_url)
        invoker.check(range(spec.num_workers))
        invoker.scale(spec.num_workers)

    def open(self, spec: RunSpec, store: Store) -> OpenFaaSInvoker:
        return self._invoker(spec, store.url)

    def _invoker(self, spec: RunSpec, store_url: str) -> OpenFaaSInvoker:
        from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker

        store = self.worker_store or store_url
        return OpenFaaSInvoker(self._gateway(), spec.run, store, self.function, spec.sha256, self.invocation)

    def _gateway(self) -> Gateway:
        from nnlite.invoker.openfaas.gateway import Gateway

        account = credentials.account(self._gateway_url, os.environ)
        return Gateway(self._gateway_url, *account, credentials.secret(self.secret_file, os.environ))

    @property
    def _gateway_url(self) -> str:
        return credentials.gateway_url(self.gateway, os.environ)

    @property
    def _first_function(self) -> str:
        return self.function.replace("{worker}", "1")


def _megabytes(text: str) -> int | None:
    """512Mi -> 512; None for what is no such amount, or none that a function on Lambda could have."""
    found = re.fullmatch(r"(\d{1,9})([MG])i?", text)
    size = int(found[1]) * {"M": 1, "G": 1024}[found[2]] if found else 0
    return size if SMALLEST_MB <= size <= LARGEST_MB else None
