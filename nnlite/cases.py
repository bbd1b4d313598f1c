"""Cases: a dataset, a network with its loss, an optimizer and defaults. A file of one's own holds one more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from nnlite import data, nn
from nnlite.case_file import CaseFile
from nnlite.data import Reading, catalog
from nnlite.described import check_types
from nnlite.errors import NnliteError, StructureError, UsageError
from nnlite.nn import models
from nnlite.numbers import PythonNumbers
from nnlite.space import Float, Int, Several, Space

T = TypeVar("T")
Network = Callable[..., nn.Sequential]
PLAIN = (  # fields of a case that describe themselves
    "name", "title", "dataset", "network", "batch_size", "num_rounds", "epochs_per_round", "schedule",
)  # fmt: skip


@dataclass(frozen=True)
class Case(metaclass=PythonNumbers):
    """What to train on what, and how, unless the command line says otherwise.

    dataset: a name that `python -m tools.data list` shows, or a function that returns a `data.Dataset`.
    network: a function of the dataset's input shape and number of classes; its loss comes with it. What it takes
        besides has defaults, and can be searched.
    space: what `tools.tune` searches, unless the usual.
    """

    name: str
    title: str
    dataset: str | Callable[[], data.Dataset]
    network: Network
    optimizer: nn.Optimizer
    batch_size: int = 100
    num_rounds: int = 10
    augment: data.Augment | None = None
    space: Space | None = None
    epochs_per_round: int = 1  #: where nobody says how long a round is
    schedule: str | None = None  #: of the learning rate, unless one is chosen

    def __post_init__(self) -> None:
        check_types(type(self), {name: vars(self)[name] for name in PLAIN}, UsageError)
        for name, kind in (("optimizer", nn.Optimizer), ("augment", data.Augment), ("space", Space)):
            value = getattr(self, name)
            if not isinstance(value, kind) and (value is not None or name == "optimizer"):
                raise UsageError(
                    f"case {self.name!r}: its {name} is of type {type(value).__name__}, wanted {kind.__name__} "
                    "or a subclass of it"
                )


FOR_AMOUNTS = (nn.MeanSquaredError, nn.HalfSquaredError, nn.Huber)  #: losses
OF_AMOUNTS = "its targets are amounts, which want one output and MeanSquaredError or Huber, as the case auto has"
CASES = {
    case.name: case
    for case in (
        Case(
            name="a",
            title="an MLP 20-100-100-100-100-100-1 on generated bits",
            dataset="bits",
            network=lambda shape, num_classes, hidden=(100,) * 5: models.bits_mlp(shape, hidden),
            optimizer=nn.Momentum(0.02),
            batch_size=50,
            num_rounds=10,
        ),
        Case(
            name="b",
            title="a convolutional network on CIFAR-10",
            dataset="cifar10",
            network=models.cifar_cnn,
            optimizer=nn.Momentum(0.01),
            batch_size=100,
            num_rounds=12,
        ),
        Case(
            name="c",
            title="an MLP 784-64-64-10 on MNIST",
            dataset="mnist",
            network=models.mlp,
            optimizer=nn.Momentum(0.05),
            batch_size=100,
            num_rounds=10,
        ),
        Case(
            name="emnist",
            title="an MLP 784-100-47 with dropout on EMNIST",
            dataset="emnist-bymerge",
            network=models.emnist_mlp,
            optimizer=nn.Momentum(0.02),
            batch_size=64,
            num_rounds=10,
        ),
        Case(
            name="r",
            title="a narrow airbench on CIFAR-10, with flips and crops",
            dataset="cifar10",
            network=models.airbench,
            optimizer=nn.Nesterov(0.1, weight_decay=0.005),
            batch_size=100,
            num_rounds=40,
            augment=data.Augment(flip=True, crop=2),
        ),
    )
}


def _undecided() -> data.Dataset:
    raise UsageError("which dataset? name one, or a file or folder of your own: dataset=PATH")


AUTO = Case(
    name="auto",
    title="an MLP for rows of numbers, a small convolutional network for pictures",
    dataset=_undecided,
    network=models.suited,
    optimizer=nn.Adam(0.003, weight_decay=0.3),
    batch_size=32,
    num_rounds=20,
    space=Space(
        hidden=Several(Int(10, 200), 1, 3), learning_rate=Float(0.0003, 0.03, log=True), batch_size=Int(8, 128)
    ),
    schedule="cosine",
)  #: what is trained where no case is named
STEPS, FEWEST_EPOCHS, MOST_EPOCHS, MOST_ROUNDS = 4000, 10, 200, 20  # of `suited`
MANY_ROWS, LARGE_BATCH, RATE_OF_PICTURES = 20_000, 128, 0.001


def suited(case: Case, rows: data.Dataset) -> Case:
    """The case, as it suits a dataset: a small one is gone through often, in no more rounds than people want to see."""
    if case.name != AUTO.name:
        return case
    are_numbers = len(rows.input_shape) == 1
    optimizer = case.optimizer if are_numbers else nn.Adam(RATE_OF_PICTURES)
    batch_size = LARGE_BATCH if len(rows.train) > MANY_ROWS else case.batch_size
    per_epoch = -(-len(rows.train) // batch_size)
    steps, most = (STEPS, MOST_EPOCHS) if are_numbers else (STEPS // 2, MOST_EPOCHS // 4)
    epochs = min(most, max(FEWEST_EPOCHS, -(-steps // per_epoch)))
    per_round = -(-epochs // MOST_ROUNDS)
    return replace(case, optimizer=optimizer, batch_size=batch_size, num_rounds=epochs, epochs_per_round=per_round)


def find(name: str) -> tuple[Case, CaseFile | None]:
    """The case of that name, or in that file (and then, the file). Raises UsageError when there is none."""
    if name in CASES:
        return CASES[name], None
    if name == AUTO.name:
        return AUTO, None
    if Path(name).suffix == ".py":
        file = CaseFile.read(name)
        return run(file), file
    raise UsageError(f"no case {name!r}; there are {', '.join(CASES)}, or give a file of your own: case='my_case.py'")


def load_file(path: str | Path) -> Case:
    """Run a user's case file and return its `case`. It is your own code: nnlite fetches none from anywhere.

    Raises UsageError when there is no such file, when it fails, or when it defines no `case`.
    """
    return run(CaseFile.read(path))


def run(file: CaseFile) -> Case:
    """Run a case file that was read. -> its `case`. Raises UsageError as `load_file` does."""
    case = getattr(file.run(), "case", None)
    if not isinstance(case, Case):
        raise UsageError(f"case file {file.path} defines no `case = nnlite.cases.Case(...)`")
    return case


def dataset(
    case: Case, name: str | None = None, data_dir: Path | None = None, reading: Reading | None = None
) -> data.Dataset:
    """The case's dataset, or the one of that name, or at that path.

    reading: how data at a path are read. Raises UsageError when the case's own function fails, and for a reading of
    what has none.
    """
    chosen = name or case.dataset
    is_path = isinstance(chosen, str) and names_path(chosen)
    for option in reading.given() if reading is not None and not is_path else ():
        raise UsageError(f"{option} is for a file or folder of your own, dataset=PATH: leave it out", parameter=option)
    if data_dir is not None and not (isinstance(chosen, str) and not is_path and catalog.has_files(chosen)):
        named = chosen if isinstance(chosen, str) else case.name
        reason = "is a path itself" if is_path else "is not read from files"
        raise UsageError(f"data {data_dir}: {named} {reason}: leave it out", parameter="data")
    if callable(chosen):
        return _made(case, "dataset", chosen, data.Dataset)
    if not is_path:
        return data.load(chosen, data_dir=data_dir)
    from nnlite.data import own

    return own.read(chosen, Reading() if reading is None else reading)


def names_path(name: str) -> bool:
    """Whether the name of a dataset means a file or folder: it is in no catalog, and looks like one or is there."""
    if name in data.names():
        return False
    from nnlite.data import own

    return own.is_path(name)


def network(case: Case, rows: data.Dataset) -> nn.Sequential:
    """The case's network for a dataset. Raises UsageError when it fails or its outputs do not fit the classes."""
    try:
        made = _made(case, "network", lambda: case.network(rows.input_shape, rows.num_classes), nn.Sequential)
    except StructureError as error:
        hint = f"; {OF_AMOUNTS}" if rows.amounts is not None else ""
        raise UsageError(f"case {case.name!r} does not fit {rows.name}: {error}{hint}") from error
    if rows.amounts is not None and not (made.output_shape == (1,) and isinstance(made.loss, FOR_AMOUNTS)):
        raise UsageError(f"case {case.name!r}, with {type(made.loss).__name__}, does not fit {rows.name}: {OF_AMOUNTS}")
    if isinstance(made.loss, nn.SoftmaxCrossEntropy) and made.output_shape[0] < max(2, rows.num_classes):
        targets = f"{rows.num_classes} classes" if rows.num_classes > 1 else "targets of -1 and +1"
        raise UsageError(
            f"case {case.name!r} has {made.output_shape[0]} outputs and a softmax, but {rows.name} has {targets}: "
            "choose another dataset=, or another network and loss"
        )
    return made


def _made(case: Case, what: str, make: Callable[[], T], kind: type[T]) -> T:
    """What a function of the case makes: it may be a user's, and then its errors are, too."""
    try:
        made = make()
    except NnliteError:
        raise
    except Exception as error:
        raise UsageError(f"case {case.name!r}: its {what}: {type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise UsageError(f"case {case.name!r}: its {what} is of type {type(made).__name__}, wanted {kind.__name__}")
    return made


def has_own_classes(described: Any) -> bool:
    """Whether something described, or anything in it, is of a class that only a user's case file defines."""
    if isinstance(described, nn.Sequential):
        return has_own_classes((*described.layers, described.loss))
    if isinstance(described, nn.Described):
        return not described.builtin or has_own_classes(list(vars(described).values()))
    return isinstance(described, (tuple, list)) and any(has_own_classes(part) for part in described)


OPTIMIZERS: dict[str, nn.Optimizer] = {
    "sgd": nn.SGD(0.1),
    "momentum": nn.Momentum(0.01),
    "nesterov": nn.Nesterov(0.01),
    "rmsprop": nn.RMSProp(0.001),
    "adam": nn.Adam(0.001),
}


def optimizer(
    case: Case,
    name: str | None,
    learning_rate: float | None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
) -> nn.Optimizer:
    """The case's optimizer, or the one of that name with its usual learning rate; with another rate, weight decay or
    clipping where they are given."""
    if name is not None and name not in OPTIMIZERS:
        raise UsageError(f"no optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    chosen = OPTIMIZERS[name] if name else case.optimizer
    if type(chosen) is type(case.optimizer):
        chosen = case.optimizer
    try:
        if learning_rate is not None:
            chosen = chosen.with_learning_rate(learning_rate)
        bounds = {"weight_decay": weight_decay, "clip_norm": clip_norm}
        return replace(chosen, **{name: value for name, value in bounds.items() if value is not None})
    except ValueError as error:
        raise UsageError(str(error)) from None
