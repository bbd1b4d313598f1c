"""A standard run: the specification that a case makes with its defaults, but for what somebody has chosen."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnlite import cases, nn
from nnlite.cases import Case
from nnlite.data import Augment, Dataset
from nnlite.errors import UsageError
from nnlite.protocol.spec import DataSpec, RunSpec
from nnlite.protocol.tree import Tree

WHOLE = {  # choices that are passed on to the specification as they are
    "seed", "steps_per_round", "eval_every", "checkpoint_every", "push_every", "pull_every", "rounds_per_invocation",
    "threads", "max_staleness",
}  # fmt: skip
FRACTIONS = {"target_accuracy", "lease_ttl_s", "straggler_timeout_s", "max_poll_s", "max_s", "wait_s"}
OTHERS = {"case", "dataset", "data", "workers", "batch_size", "rounds", "protocol", "optimizer", "learning_rate", "run"}
CHOICES = WHOLE | FRACTIONS | OTHERS


def run_id(name: str) -> str:
    """A fresh id that says what, and when."""
    safe = re.sub(r"[^a-z0-9]", "-", name.lower())[:32].strip("-") or "run"
    return f"{safe}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def data_spec(dataset: Dataset, augment: Augment | None = None, store: str | None = None) -> DataSpec:
    """Where workers find their samples. store: the URL, if it is not the run's own."""
    return DataSpec(
        name=dataset.name,
        digest=dataset.digest(),
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        mean=dataset.mean,
        std=dataset.std,
        store=store,
        augment={"flip": augment.flip, "crop": augment.crop} if augment else None,
    )


def specify(
    case: Case, network: nn.Sequential, optimizer: nn.Optimizer, data: DataSpec, workers: int = 1,
    tree: tuple[int, ...] | None = None, **chosen: Any,
) -> RunSpec:  # fmt: skip
    """The specification of a run of `case`. chosen: fields of it; those that are None stay as the case has them."""
    given = {name: value for name, value in chosen.items() if value is not None}
    return RunSpec(
        **{
            "run": run_id(case.name),
            "case": case.name,
            "seed": 0,
            "num_workers": workers,
            "tree_widths": Tree.for_workers(workers, tree).widths,
            "num_rounds": case.num_rounds,
            "batch_size": case.batch_size,
            "network": network.config(),
            "optimizer": optimizer.config(),
            "data": data,
            **given,
        }
    )


def standard(choices: Mapping[str, Any], dataset: Dataset | None = None) -> tuple[Dataset, RunSpec]:
    """The dataset, unless it is given, and the specification.

    choices: some of CHOICES, as numbers or as texts, as an environment has them.

    Raises UsageError for what is not among them, or cannot be meant; DataNotFound when the dataset is not there.
    """
    unknown = sorted(set(choices) - CHOICES)
    if unknown:
        raise UsageError(f"no choice {', '.join(unknown)}; there are {', '.join(sorted(CHOICES))}")
    case, _ = cases.find(str(choices.get("case", "emnist")))
    if dataset is None:
        folder = Path(choices["data"]) if choices.get("data") else None
        dataset = cases.dataset(case, choices.get("dataset"), folder)
    rate = _number(choices, "learning_rate", float) if "learning_rate" in choices else None
    protocol = str(choices.get("protocol", "averaging"))
    more: dict[str, Any] = {name: _number(choices, name, int) for name in sorted(WHOLE & choices.keys())}
    more.update({name: _number(choices, name, float) for name in sorted(FRACTIONS & choices.keys())})
    more.setdefault("eval_every", 0 if protocol == "downpour" and "target_accuracy" not in choices else 1)
    spec = specify(
        case,
        cases.network(case, dataset),
        cases.optimizer(case, choices.get("optimizer"), rate),
        data_spec(dataset),
        _number(choices, "workers", int, 1),
        run=str(choices["run"]) if choices.get("run") else None,
        num_rounds=_number(choices, "rounds", int, case.num_rounds),
        batch_size=_number(choices, "batch_size", int, case.batch_size),
        protocol=protocol,
        **more,
    )
    return dataset, spec


def _number(choices: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """The choice as a number of that kind, however it is written."""
    value = choices.get(name, default)
    try:
        number = kind(value)
        if isinstance(value, bool) or not math.isfinite(number) or (kind is int and number != float(value)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name} = {value!r}: wanted a {'whole ' if kind is int else ''}number") from None
    return number
