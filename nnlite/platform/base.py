"""The base of all platforms, and whose list prices the money of a run is counted by."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import ClassVar

from nnlite.choices import choice
from nnlite.cost.prices import ARCHITECTURES, Tariff, tariff
from nnlite.cost.search import LARGEST_MB, SMALLEST_MB
from nnlite.described import check_types
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.base import Invoker
from nnlite.numbers import PythonNumbers
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs.job import DEFAULT_STORE, Job
from nnlite.store import Store

DEFAULT_REGION, DEFAULT_ARCH = "us-east-1", "x86_64"
DEFAULT_SIZES = (256, 3008)  #: MB, of functions to choose from


@dataclass(frozen=True)
class Pricing(metaclass=PythonNumbers):
    """By which list prices a run counts its money, and as functions of how much memory it counts its workers."""

    region: str | None = choice(None, "whose list prices (default us-east-1); on Lambda, where it runs", "R")
    arch: str | None = choice(None, "processor (default x86_64); on Lambda, of the function", None, ARCHITECTURES)
    prices: str | None = choice(None, "a price file of your own (default: the bundled one)", "FILE", is_path=True)
    memory_mb: int | None = choice(None, "count a worker as a function of this size", "MB")

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), UsageError)
        if self.arch not in (None, *ARCHITECTURES):
            raise UsageError(f"arch {self.arch!r:.80}: there are {' and '.join(ARCHITECTURES)}", parameter="arch")

    def tariff(self, store_url: str) -> Tariff:
        """The prices of that region and processor, for a run with this store. Raises UsageError: no such region."""
        return tariff(self.region or DEFAULT_REGION, self.arch or DEFAULT_ARCH, self.prices).of_store(store_url)


@dataclass(frozen=True)
class Platform(metaclass=PythonNumbers):
    """Where the workers of a run are. Its fields say which one of its kind; all else is asked of it.

    Nothing is asked of a cloud or a gateway before a method needs it; what a cloud has said is asked once an object.
    """

    name: ClassVar[str]  #: as `--platform` and specifications spell it
    title: ClassVar[str]  #: above its options in a help
    is_here: ClassVar[bool] = False  #: its workers are processes of this machine
    is_paid: ClassVar[bool] = False  #: somebody sends a bill, so a run can have a budget
    can_detach: ClassVar[bool] = False  #: runs go on when nobody watches them
    probes_cost: ClassVar[bool] = True  #: a short run that measures something costs money, or keeps others waiting
    probes_where: ClassVar[str]  #: where probes run, as a plan says it
    assumes_store: ClassVar[bool] = True  #: a run whose store is not named has one
    of_the_run: ClassVar[frozenset[str]] = frozenset()  #: names of fields that only a new run heeds: its spec has them

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), UsageError)

    @classmethod
    def choices(cls) -> frozenset[str]:
        """The names of its fields."""
        return frozenset(one.name for one in fields(cls))

    def check(self, job: Job, pricing: Pricing) -> None:
        """Raise UsageError for what could only be ignored here, or go wrong later. Nobody is asked anything."""
        size = pricing.memory_mb
        if size is not None and not SMALLEST_MB <= size <= LARGEST_MB:
            raise UsageError(f"memory_mb {size}: wanted {SMALLEST_MB} to {LARGEST_MB}", parameter="memory_mb")
        if job.budget_usd is not None and not self.is_paid:
            raise UsageError(
                f"budget_usd: nobody sends a bill for platform {self.name}; use max_minutes", parameter="budget_usd"
            )

    def store_url(self, given: str | None = None) -> str:
        """The URL of a run's store, which is the platform's own unless one is given. Raises UsageError for none."""
        if given is None and not self.assumes_store:
            raise UsageError(f"platform {self.name} has no store of its own: name one", parameter="platform")
        return DEFAULT_STORE if given is None else given

    @abstractmethod
    def adapt(self, spec: RunSpec, store_url: str, pricing: Pricing) -> RunSpec:
        """The specification with this platform's prices and paces. Raises UsageError for what cannot run here."""

    @abstractmethod
    def describe(self, spec: RunSpec, store_url: str) -> dict[str, str]:
        """What else a plan shows: "where" the workers are and, where that can be, the "budget"."""

    def tariff(self, store_url: str, pricing: Pricing) -> Tariff:
        """The prices that are paid here; where nobody sends a bill, those of AWS Lambda, as a measure."""
        return pricing.tariff(store_url)

    @abstractmethod
    def venue(self, spec: RunSpec, store_url: str) -> Venue:
        """Where the workers of a run will be, as far as what it takes depends on that."""

    def sizes(self, memory_mb: tuple[int, int] | None = None) -> tuple[int, int]:
        """Memory of functions to choose from, in MB: lowest and highest. Raises UsageError where that is no choice."""
        return memory_mb or DEFAULT_SIZES

    @abstractmethod
    def probing(self, spec: RunSpec, store_url: str, sizes: tuple[int, int]) -> AbstractContextManager[VenueAt]:
        """While it is open, functions can be had with other memory, within these sizes in MB, and are probed. Raises
        NnliteError if not."""

    def prepare(self, spec: RunSpec, store_url: str) -> None:
        """Before anything is written: see that it can run. Raises NnliteError if not."""

    @abstractmethod
    def open(self, spec: RunSpec, store: Store) -> Invoker | None:
        """What starts the run's workers; None: they are to run in this very process."""

    def check_detach(self) -> None:
        """Raise UsageError where the platform cannot look after a run that nobody watches."""
        if not self.can_detach:
            raise UsageError(
                f"detach: platform {self.name} cannot look after a run that nobody watches: stay with it, or stop and "
                "resume it",
                parameter="detach",
            )

    def detach(self, spec: RunSpec, store: Store) -> None:
        """Have the platform look after a run that nobody watches. Raises UsageError where it cannot."""
        self.check_detach()
