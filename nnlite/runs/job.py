"""Job: what to train and how. A command line, an environment and a JSON body all become one before they are planned."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any

from nnlite.data import Augment
from nnlite.described import check_types
from nnlite.errors import UsageError, shown
from nnlite.numbers import PythonNumbers
from nnlite.protocol import protocols
from nnlite.protocol.base import Protocol

DEFAULT_STORE = ".nnlite"
SCHEDULES = ("constant", "cosine")
SCALES = ("auto", "none")


@dataclass(frozen=True)
class Job(metaclass=PythonNumbers):
    """The choices that make a specification; None leaves one to the case, the protocol or the store."""

    case: str  #: a name, or a file
    dataset: str | None = None
    data: str | None = None  #: folder with the dataset's files
    augment: Augment | None = None
    rounds: int | None = None
    epochs: int | None = None  #: the same in passes over the data
    steps_per_round: int | None = None
    target_accuracy: float | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    schedule: str | None = None  #: one of SCHEDULES
    scale: str = "auto"  #: one of SCALES: whether several workers learn otherwise than one, see `scaling`
    seed: int = 0
    eval_every: int | None = None
    protocol: str | Protocol = "averaging"  #: its name, or an object that has its options; then the name
    push_every: int | None = None
    pull_every: int | None = None
    combine: str | None = None  #: one of COMBINES
    max_staleness: int | None = None
    staleness_aware: bool = False
    wire: str | None = None
    slow_momentum: float | None = None
    average_last: int | None = None
    ema: float | None = None
    quorum: int | None = None
    max_attempts: int = 10
    max_minutes: float | None = None
    budget_usd: float | None = None  #: where somebody sends a bill
    trace: bool = True
    threads: int = 1
    workers: int = 1
    tree: tuple[int, ...] | None = None
    run: str | None = None
    store: str = DEFAULT_STORE
    checkpoint_every: int = 0
    checkpoint_store: str | None = None
    data_store: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.protocol, Protocol):
            self._unfold(self.protocol)
        if not isinstance(self.protocol, str):
            raise UsageError(f"Job.protocol: expected a name or a protocol, found {shown(self.protocol)}")
        check_types(type(self), vars(self), UsageError)
        if self.rounds is not None and self.epochs is not None:
            raise UsageError("rounds and epochs both say how long: leave one out")
        if self.schedule not in (None, *SCHEDULES):
            raise UsageError(f"no schedule {self.schedule!r:.80}; there are {', '.join(SCHEDULES)}")
        if self.scale not in SCALES:
            raise UsageError(f"no scale {self.scale!r:.80}; there are {', '.join(SCALES)}")
        if self.protocol not in protocols.names():
            raise UsageError(f"no protocol {self.protocol!r:.80}; there are {', '.join(protocols.names())}")
        if self.budget_usd is not None and not 0 < self.budget_usd < math.inf:
            raise UsageError(
                f"budget_usd {self.budget_usd}: wanted a positive number of dollars", parameter="budget_usd"
            )
        for name, having in protocols.options().items():
            if getattr(self, name) not in (None, False) and self.protocol not in having:
                of = " and ".join(having)
                raise UsageError(f"{name} is for protocol {of}, and this is {self.protocol}: leave it out")

    def _unfold(self, protocol: Protocol) -> None:
        """The options of a protocol as fields of the job, where a command line, too, has them."""
        object.__setattr__(self, "protocol", protocol.name)
        for name in protocol.option_names():
            value = getattr(protocol, name)
            if value is None:
                continue
            if getattr(self, name) not in (None, False):
                raise UsageError(f"{name} stands in the job and in its protocol {protocol.name}: leave one out")
            object.__setattr__(self, name, value)

    @property
    def rules(self) -> Protocol:
        """The protocol as an object, see `RunSpec.rules`."""
        return protocols.named(str(self.protocol))


def read(values: Mapping[str, Any], *kinds: type, but: Set[str] = frozenset()) -> list[dict[str, Any]]:
    """The fields of each of these dataclasses, from JSON values or from texts as an environment has them.

    but: fields that cannot be chosen so. Raises UsageError for a name that is no other field of any, and for a value
    that its field cannot have.
    """
    known = {field.name: str(field.type) for kind in kinds for field in fields(kind) if field.name not in but}
    unknown = ", ".join(sorted(set(values) - set(known)))
    if unknown:
        raise UsageError(f"no choice {unknown[:200]}; there are {', '.join(sorted(known))}")
    found = {name: _READERS[known[name].removesuffix(" | None")](name, value) for name, value in values.items()}
    return [{field.name: found[field.name] for field in fields(kind) if field.name in found} for kind in kinds]


def tree(text: str) -> tuple[int, ...]:
    """1,4,20 -> (1, 4, 20). Raises UsageError."""
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text, re.ASCII):
        raise UsageError(f"{text[:80]!r}: wanted numbers, root to workers, like 1,4,20")
    return tuple(map(int, text.split(",")))


def augmentation(text: str) -> Augment:
    """none, or flip, crop:4 and cutout:8, or some of them. Raises UsageError."""
    if text == "none":
        return Augment()
    found: dict[str, Any] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(flip)|(crop|cutout):(\d{1,9})", part, re.ASCII)
        if match is None:
            raise UsageError(f"{text[:80]!r}: wanted none, flip, crop:PIXELS, cutout:PIXELS, or several: flip,crop:4")
        found[match[1] or match[2]] = match[1] is not None or int(match[3])
    return Augment(**found)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} = {shown(value)}: wanted a text")
    return value


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in ("true", "false"):
        raise UsageError(f"{name} = {shown(value)}: wanted true or false")
    return bool(value == "true")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UsageError(f"{name} = {shown(value)}: wanted a number")
    return number


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name} = {shown(value)}: wanted a whole number") from None


_READERS: dict[str, Callable[[str, Any], Any]] = {  # annotation of a field -> what reads it
    "str": _text,
    "str | Protocol": _text,
    "bool": _flag,
    "float": _number,
    "int": _whole,
    "tuple[int, ...]": lambda name, value: tree(_text(name, value)),
    "Augment": lambda name, value: augmentation(_text(name, value)),
}
