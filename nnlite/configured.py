"""A case under a configuration: the network, optimizer and batch size of a trial, and a case described as JSON.

A name in a configuration is `learning_rate` or another number of the optimizer, `batch_size` or
`batches_per_epoch`, or else an argument of the case's network function.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from nnlite import cases, data, nn
from nnlite.case_file import CaseFile
from nnlite.cases import Case
from nnlite.errors import NnliteError, UsageError
from nnlite.records import Range, Record
from nnlite.space import Float, Int, Several, Space

MANY = 10**6  # rounds: more than a run can have
BATCHING = ("batch_size", "batches_per_epoch")
USUAL = Space(learning_rate=Float(0.001, 0.1, log=True), batches_per_epoch=Int(10, 1000))
SPACES = {  # of nnlite's own cases
    "a": Space(hidden=Several(Int(10, 100), 1, 5), **USUAL),
    "c": Space(hidden=Several(Int(10, 100), 1, 3), **USUAL),
    "emnist": Space(hidden=Int(10, 200), dropout_rate=Float(0.0, 0.5), **USUAL),
}


@dataclass(frozen=True)
class Configured:
    """What of a case a configuration decides."""

    network: nn.Sequential
    optimizer: nn.Optimizer
    batch_size: int


def space(case: Case) -> Space:
    """The case's own space, or the usual one. Raises UsageError when it names what the case does not have."""
    chosen = case.space or SPACES.get(case.name, USUAL)
    arguments, numbers = _arguments(case), _numbers(case)
    known = {*arguments, *numbers, *BATCHING}
    for name in chosen:
        if name not in known:
            raise UsageError(
                f"case {case.name!r}: its space names {name!r}, which is neither of {', '.join((*numbers, *BATCHING))} "
                f"nor an argument of its network function ({', '.join(arguments) or 'which has none'})"
            )
    if set(BATCHING) <= set(chosen):
        raise UsageError(f"case {case.name!r}: its space has both {' and '.join(BATCHING)}: leave one out")
    return chosen


def configure(case: Case, configuration: Mapping[str, Any], rows: data.Dataset) -> Configured:
    """The case under a configuration, for a dataset. Raises UsageError when that cannot be built."""
    numbers = _numbers(case)
    arguments = {name: value for name, value in configuration.items() if name not in (*numbers, *BATCHING)}
    given = replace(case, network=lambda shape, num_classes: case.network(shape, num_classes, **arguments))
    batch_size = configuration.get("batch_size", case.batch_size)
    if "batches_per_epoch" in configuration:
        batch_size = max(1, round(len(rows.train) / configuration["batches_per_epoch"]))
    try:
        changed = {name: value for name, value in configuration.items() if name in numbers}
        optimizer = replace(case.optimizer, **changed)
        network = cases.network(given, rows)
    except NnliteError as error:
        raise UsageError(f"configuration {json.dumps(dict(configuration))}: {error}") from None
    if type(batch_size) is not int or batch_size < 1:
        raise UsageError(f"configuration {json.dumps(dict(configuration))}: batch_size wants a whole number above 0")
    return Configured(network, optimizer, batch_size)


def _arguments(case: Case) -> list[str]:
    """What the network function takes besides input shape and number of classes."""
    parameters = list(inspect.signature(case.network).parameters.values())
    return [p.name for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _numbers(case: Case) -> list[str]:
    return [f.name for f in dataclasses.fields(case.optimizer)]


# ---- described as JSON


def about(case: Case, dataset: str | None) -> dict[str, Any]:
    """What of a case no configuration decides, as JSON values. `dataset`: its name, or None for the case's own
    function."""
    chosen = dataset or (case.dataset if isinstance(case.dataset, str) else None)
    if chosen is not None and cases.names_path(chosen):
        chosen = Path(chosen).name  # a store is for others to read
    return {
        "case": case.name,
        "title": case.title,
        "dataset": chosen,
        "augment": case.augment.config() if case.augment else None,
    }


@dataclass(frozen=True)
class Tuned(Record, what="a case as tools.tune writes it", error=UsageError, indent=1):
    """A case as JSON: what a search has decided, and what it has left as it was."""

    case: str
    title: str
    case_file: str | None
    dataset: str | None
    augment: dict[str, Any] | None
    network: dict[str, Any]
    optimizer: dict[str, Any]
    batch_size: Annotated[int, Range(1, 2**31)]
    num_rounds: Annotated[int, Range(1, MANY)]

    def __post_init__(self) -> None:
        if self.dataset is None and self.case_file is None:
            raise UsageError("it names neither a dataset nor a case file")


def describe(
    about: Mapping[str, Any],
    network: Mapping[str, Any],
    optimizer: Mapping[str, Any],
    batch_size: int,
    num_rounds: int,
    case_file: str | None = None,
) -> bytes:
    """A case as JSON, ready for `tools.train --case FILE.json`. case_file: the path of the file that defines its
    dataset, or layers of its own."""
    decided = {"network": network, "optimizer": optimizer, "batch_size": batch_size, "num_rounds": num_rounds}
    return json.dumps({**about, **decided, "case_file": case_file}, indent=1, sort_keys=True).encode() + b"\n"


def find(name: str) -> tuple[Case, CaseFile | None]:
    """As `cases.find`, and of a JSON file that `describe` wrote."""
    return load(Path(name)) if name.endswith(".json") else cases.find(name)


def load(path: Path) -> tuple[Case, CaseFile | None]:
    """Read what `describe` wrote: the case, and the file it came from. Raises UsageError for anything else."""
    try:
        found = Tuned.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    base, file = cases.find(found.case_file) if found.case_file is not None else (None, None)
    own: Any = found.dataset or (base.dataset if base is not None else None)
    case = Case(
        name=found.case,
        title=found.title,
        dataset=own,
        network=lambda shape, num_classes: _fitting(found.network, shape),
        optimizer=nn.Optimizer.from_config(found.optimizer),
        batch_size=found.batch_size,
        num_rounds=found.num_rounds,
        augment=data.Augment.of(found.augment) if found.augment is not None else None,
    )
    return case, file


def _fitting(described: dict[str, Any], shape: tuple[int, ...]) -> nn.Sequential:
    network = nn.Sequential.from_config(described)
    if network.input_shape != tuple(shape):
        raise UsageError(f"this network is for rows of {network.input_shape}, the dataset has {tuple(shape)}")
    return network
