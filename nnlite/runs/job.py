"""Job: what to train and how. A command line, an environment and a JSON body all become one before they are planned."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any

from nnlite import cases
from nnlite.choices import choice
from nnlite.data import Augment, Reading
from nnlite.described import check_types
from nnlite.errors import UsageError, shown
from nnlite.numbers import PythonNumbers
from nnlite.protocol import protocols
from nnlite.protocol.averaging.protocol import AveragingOptions
from nnlite.protocol.base import Protocol
from nnlite.protocol.downpour.protocol import DownpourOptions

DEFAULT_STORE = ".nnlite"
SCHEDULES = ("constant", "cosine")
SCALES = ("auto", "none")


@dataclass(frozen=True)
class Job(AveragingOptions, DownpourOptions, metaclass=PythonNumbers):
    """What to train, and how: the choices that make a specification. None leaves one to the case, the protocol or the
    store. The options of a protocol may stand in a `Downpour(...)` or `Averaging(...)` instead of here."""

    case: str = choice(
        help=f"{', '.join(cases.CASES)}, or a Python file of your own that defines `case`", is_path=True, group="what"
    )
    dataset: str | None = choice(
        None, help="instead of the case's: see `python -m tools.data list`; or a file or folder of your own",
        metavar="NAME", group="what",
    )  # fmt: skip
    reading: Reading | None = choice(None, help="how a file or folder of your own is read")
    data: str | None = choice(
        None, help="where dataset files are (or NNLITE_DATA); else they are fetched", metavar="DIR", is_path=True,
        group="what",
    )  # fmt: skip
    augment: Augment | None = choice(
        None,
        help="none, or some of flip, crop:PIXELS, cutout:PIXELS, mixup:ALPHA: flip,crop:4",
        metavar="HOW",
        group="what",
    )
    rounds: int | None = choice(
        None, help="number of rounds: after each, workers exchange what they learned (the case's)", metavar="N",
        group="how",
    )  # fmt: skip
    epochs: int | None = choice(None, help="passes over the training data, instead of rounds", metavar="N", group="how")
    steps_per_round: int | None = choice(
        None, help="minibatches a round (default: a local epoch)", metavar="N", group="how"
    )
    batch_size: int | None = choice(None, help="samples a step", metavar="N", group="how")
    optimizer: str | None = choice(None, help=", ".join(cases.OPTIMIZERS), metavar="NAME", group="how")
    eval_every: int | None = choice(
        None, help="rounds between test accuracies (1; downpour: the end)", metavar="N", group="how"
    )
    trace: bool = choice(True, help="write down what workers do, for tools.report (default)", group="how")
    threads: int = choice(1, help="of a worker, for images (default 1)", metavar="T", group="how")
    learning_rate: float | None = choice(None, help="of the optimizer (default: the case's)", metavar="R", group="how")
    weight_decay: float | None = choice(
        None,
        help="of the optimizer, apart from the gradient: 0 is none (default: the case's)",
        metavar="D",
        group="how",
    )
    clip_norm: float | None = choice(
        None,
        help="the longest a gradient may be: what is longer is cut (default: the case's)",
        metavar="L",
        group="how",
    )
    schedule: str | None = choice(
        None, help="of the learning rate: cosine lets it end near 0 (constant)", values=SCHEDULES, group="how"
    )
    scale: str = choice(
        "auto", help="rate, batch and rounds follow the number of workers, unless they are given (auto), or not (none)",
        values=SCALES, group="how",
    )  # fmt: skip
    seed: int = choice(0, help="same seed, same weights (default 0)", metavar="N", group="how")
    protocol: str | Protocol = choice(
        "averaging", help="how workers exchange what they learned (default averaging)", values=protocols.names,
        group="how",
    )  # fmt: skip
    target_accuracy: float | None = choice(
        None, help="stop at this test accuracy, say 0.97", metavar="A", group="how"
    )  # fmt: skip
    max_attempts: int = choice(10, help="deaths of one worker that end a run (10)", metavar="N", group="how")
    max_minutes: float | None = choice(
        None, help="stop a run whose workers were at it for so long", metavar="M", group="how"
    )
    budget_usd: float | None = choice(None, help="stop before it has cost more", metavar="USD", group="money")
    workers: int = choice(1, help="each has a shard of its own (default 1)", metavar="W", group="where")
    tree: tuple[int, ...] | None = choice(
        None, help="widths of the merge tree, root to workers", metavar="1,4,20", group="where"
    )
    store: str = choice(
        DEFAULT_STORE, help=f"path or URL for weights (default {DEFAULT_STORE})", metavar="URL", is_path=True,
        group="where",
    )  # fmt: skip
    checkpoint_every: int = choice(0, help="keep every Nth checkpoint", metavar="N", group="where")
    checkpoint_store: str | None = choice(
        None, help="where those are safe if the store may forget them", metavar="URL", is_path=True, group="where"
    )
    data_store: str | None = choice(
        None, help="where shards go (default: with the weights)", metavar="URL", is_path=True, group="where"
    )
    run: str | None = choice(
        None, help="name of the run (default: case, time and a random part)", metavar="ID", group="where"
    )

    def __post_init__(self) -> None:
        if isinstance(self.protocol, Protocol):
            self._unfold(self.protocol)
        if not isinstance(self.protocol, str):
            raise UsageError(f"Job.protocol: expected a name or a protocol, found {shown(self.protocol)}")
        check_types(type(self), vars(self), UsageError)
        if not isinstance(self.reading, Reading | None):
            raise UsageError(f"Job.reading: expected a nnlite.data.Reading, found {shown(self.reading)}")
        if self.rounds is not None and self.epochs is not None:
            raise UsageError("rounds= and epochs= both say how long: leave one out")
        if self.schedule not in (None, *SCHEDULES):
            raise UsageError(f"no schedule {self.schedule!r:.80}; there are {', '.join(SCHEDULES)}")
        if self.scale not in SCALES:
            raise UsageError(f"no scale {self.scale!r:.80}; there are {', '.join(SCALES)}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: wanted a whole number from 0 to {2**32 - 1}", parameter="seed")
        if self.protocol not in protocols.names():
            raise UsageError(f"no protocol {self.protocol!r:.80}; there are {', '.join(protocols.names())}")
        if self.budget_usd is not None and not 0 < self.budget_usd < math.inf:
            raise UsageError(
                f"budget_usd {self.budget_usd}: wanted a positive number of dollars", parameter="budget_usd"
            )
        if self.max_minutes is not None and not 0 < self.max_minutes < math.inf:
            raise UsageError(
                f"max_minutes {self.max_minutes}: wanted a positive number of minutes", parameter="max_minutes"
            )
        for name, having in protocols.options().items():
            if _is_chosen(getattr(self, name)) and self.protocol not in having:
                of = " and ".join(having)
                raise UsageError(
                    f"{name} is for protocol {of}, and this is {self.protocol}: leave it out", parameter=name
                )

    def _unfold(self, protocol: Protocol) -> None:
        """The options of a protocol as fields of the job, where a command line, too, has them."""
        object.__setattr__(self, "protocol", protocol.name)
        for name in protocol.option_names():
            value = getattr(protocol, name)
            if not _is_chosen(value):
                continue
            if _is_chosen(getattr(self, name)):
                raise UsageError(f"{name} stands in the job and in its protocol {protocol.name}: leave one out")
            object.__setattr__(self, name, value)

    @property
    def rules(self) -> Protocol:
        """The protocol as an object, see `RunSpec.rules`."""
        return protocols.named(str(self.protocol))


def _is_chosen(value: object) -> bool:
    """Whether an option of a protocol was given: 0 was, though it equals False."""
    return value is not None and value is not False


def read(values: Mapping[str, Any], *kinds: type, but: Set[str] = frozenset()) -> list[dict[str, Any]]:
    """The fields of each of these dataclasses, from JSON values or from texts as an environment has them.

    but: fields that cannot be chosen so. Raises UsageError for a name that is no other field of any, and for a value
    that its field cannot have.
    """
    of_kinds = {field.name: str(field.type) for kind in kinds for field in fields(kind) if field.name not in but}
    known = {name: kind for name, kind in of_kinds.items() if kind.removesuffix(" | None") in _READERS}
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
    """none, or flip, crop:4, cutout:8 and mixup:0.2, or some of them. Raises UsageError."""
    if text == "none":
        return Augment()
    found: dict[str, Any] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(flip)|(crop|cutout):(\d{1,9})|(mixup):(\d{1,3}(?:\.\d{1,9})?)", part, re.ASCII)
        if match is None:
            raise UsageError(
                f"{text[:80]!r}: wanted none, flip, crop:PIXELS, cutout:PIXELS, mixup:ALPHA, or several: flip,crop:4"
            )
        flag, pixels, count, share, number = match.groups()
        found[flag or pixels or share] = flag is not None or (float(number) if share else int(count))
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
