"""A standard run: the specification that a few plain choices, and the case's defaults, make."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnlite import cases
from nnlite.data import Dataset
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
    workers, protocol = _number(choices, "workers", int, 1), str(choices.get("protocol", "averaging"))
    more: dict[str, Any] = {name: _number(choices, name, int) for name in sorted(WHOLE & choices.keys())}
    more.update({name: _number(choices, name, float) for name in sorted(FRACTIONS & choices.keys())})
    spec = RunSpec(
        **{
            "run": str(choices.get("run") or f"{case.name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"),
            "case": case.name,
            "seed": 0,
            "num_workers": workers,
            "tree_widths": Tree.for_workers(workers).widths,
            "num_rounds": _number(choices, "rounds", int, case.num_rounds),
            "batch_size": _number(choices, "batch_size", int, case.batch_size),
            "network": cases.network(case, dataset).config(),
            "optimizer": cases.optimizer(case, choices.get("optimizer"), rate).config(),
            "data": DataSpec(
                dataset.name, dataset.digest(), len(dataset.train), len(dataset.test), dataset.mean, dataset.std
            ),
            "protocol": protocol,
            "eval_every": 0 if protocol == "downpour" and "target_accuracy" not in choices else 1,
            **more,
        }
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
