"""OpenFaaS: what it means for a run, whichever side begins it: the command, or the function emnist-setup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nnlite import cases
from nnlite.cost import prices
from nnlite.cost.prices import Tariff
from nnlite.data import Dataset
from nnlite.errors import UsageError
from nnlite.protocol.spec import Rates, RunSpec
from nnlite.runtime import job, planning
from nnlite.runtime.job import Job

HOME = "us-east-1"  # whose list prices are a measure, where nobody sends a bill
ASYNC_WAIT_S = 0.2  # a queue may run one call at a time


@dataclass(frozen=True)
class Pace:
    """How a run keeps time among calls through a gateway: fields of its specification."""

    rounds_per_invocation: int = 0
    max_poll_s: float = 0.1
    wait_s: float | None = None
    lease_ttl_s: float = 30.0
    straggler_timeout_s: float = 15.0


CHOICES = frozenset(field.name for kind in (Job, Pace) for field in fields(kind))


def adapt(spec: RunSpec, invocation: str, pace: Pace, tariff: Tariff, memory_mb: int = 0) -> RunSpec:
    """The specification for calls of functions. invocation: sync or async. tariff: the prices it is measured by.

    Raises UsageError for a run that functions cannot carry out.
    """
    if spec.case_file is not None:
        raise UsageError(
            f"{spec.case_file} defines layers of its own, which are not in the functions' images: "
            "use nnlite's layers on OpenFaaS, or --platform local"
        )
    if invocation == "async" and pace.wait_s is None:
        pace = replace(pace, wait_s=ASYNC_WAIT_S)
    rates = Rates(platform="openfaas", memory_mb=memory_mb)
    return replace(spec, rates=rates, tariff=asdict(tariff), **asdict(pace))


def plan(choices: Mapping[str, Any], invocation: str) -> tuple[Dataset, RunSpec]:
    """What a function begins: the dataset, and the specification. choices: some of CHOICES, as JSON values or texts.

    Raises UsageError for what is not among them or cannot be meant, and for a case that is not one of nnlite's own:
    a function runs no file. DataNotFound.
    """
    chosen, paced = job.read(choices, Job, Pace)
    if chosen.get("case") not in cases.CASES:
        raise UsageError(f"no case {chosen.get('case')!r:.80} in the functions; there are {', '.join(cases.CASES)}")
    asked = Job(**chosen)
    dataset, spec = planning.plan(asked)
    return dataset, adapt(spec, invocation, Pace(**paced), prices.tariff(HOME).of_store(asked.store))
