"""A protocol as an object: its options, and its answers to what the rest of the house asks of a protocol.

A new protocol is a subclass in a package of its own, registered by its name (`protocols.register`). Asking `spec.rules`
takes the place of comparing `spec.protocol` with a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from nnlite.errors import UsageError
from nnlite.numbers import PythonNumbers
from nnlite.protocol.records.keys import Keys

if TYPE_CHECKING:  # a specification is checked by its protocol, so at run time it is the specification that imports us
    from nnlite.protocol.averaging.rounds import Rounds
    from nnlite.protocol.effects import Program
    from nnlite.protocol.records.head import Head
    from nnlite.protocol.records.spec import RunSpec
    from nnlite.protocol.roles.waiter import Waiter
    from nnlite.protocol.roles.watcher import Watcher
    from nnlite.protocol.roles.worker import Worker

MANY = 2**31  #: more than anybody means


@dataclass(frozen=True)
class Protocol(metaclass=PythonNumbers):
    """How workers learn together. The fields of a subclass are its options; None: as the specification has it.

    What is asked here is the same for all runs of a protocol, or follows from the specification that is given along.
    """

    name: ClassVar[str]  #: as `protocol` of a specification spells it
    ranges: ClassVar[dict[str, tuple[int, int, str]]] = {}  #: option -> the least, the most, and what people call it

    is_for_jobs: ClassVar[bool] = True  #: whether a job may ask for it
    has_rounds: ClassVar[bool] = True  #: whether the head counts rounds, each closed by what all workers contribute
    is_late: ClassVar[bool] = False  #: whether what a worker changes reaches checkpoints that others have moved on
    has_trials: ClassVar[bool] = False  #: whether workers train trials, each for itself, as in a search
    has_evaluations: ClassVar[bool] = False  #: whether checkpoints are scored on the way, beside the summaries
    head_needs_all: ClassVar[bool] = True  #: whether a head that moves shows that no worker is missing
    shares_slots: ClassVar[bool] = True  #: whether checkpoints hold the optimizer's state
    suspends_changes: ClassVar[bool] = False  #: whether a worker hands over its change since a push, not its weights
    durable_every: ClassVar[int] = 1  #: versions between two durable copies, unless the job says otherwise

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The fields of a job and of a specification that belong to this protocol."""
        return tuple(one.name for one in fields(cls))

    # ---- specifications

    def check_options(self, spec: RunSpec) -> None:
        """Raise UsageError for options of this protocol that cannot be meant, in a run of whichever protocol."""

    def check(self, spec: RunSpec) -> None:
        """Raise UsageError for a specification that cannot be a run of this protocol."""
        if spec.eval_every < 1:
            raise UsageError(f"eval_every: {spec.eval_every}, wanted at least 1")

    def last_round(self, spec: RunSpec, life: int) -> int:
        """Beyond it no head of this run can be, once restored `life` times."""
        return spec.num_rounds

    def default_eval_every(self, per_pass: int, has_target: bool) -> int:
        """Rounds between two scorings, where the job does not say; `per_pass` of them are a pass over the data."""
        return per_pass

    # ---- what people read

    def describe(self, spec: RunSpec) -> str:
        """The protocol and its options, in a line."""
        return self.name

    def rounds_made(self, spec: RunSpec, head: Head) -> int:
        """The rounds that a run with this head has behind it."""
        return head.round

    def round_of(self, spec: RunSpec, checkpoint: int, samples: int) -> int:
        """The number of the round that made a checkpoint, the samples behind which are so many."""
        return checkpoint

    def briefly(self, spec: RunSpec, head: Head) -> str:
        """How far a run has come, by its head, in a column of a table."""
        return f"{self.rounds_made(spec, head)}/{spec.num_rounds}"

    def standing(self, spec: RunSpec, head: Head) -> str:
        """The same in a sentence."""
        return f"round {self.briefly(spec, head)}"

    # ---- programs

    def worker(self, spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
        """An invocation of a worker."""
        raise TypeError(f"{type(self).__name__} must define worker()")

    def watcher(self, spec: RunSpec, first_round: int = 0) -> Watcher:
        """The watcher of a run; rounds from `first_round` on are told."""
        from nnlite.protocol.roles.watcher import Watcher

        return Watcher(spec, first_round)

    def rounds(self, spec: RunSpec) -> Rounds:
        """The steps of a round: merging and closing."""
        from nnlite.protocol.averaging.rounds import Rounds

        return Rounds(spec)

    def missing(self, waiter: Waiter, now_head: Head) -> Program[list[int]]:
        """Finish what dead workers left half done. -> the workers that the run now waits for"""
        return (yield from waiter.missing_in_round(now_head))

    def reborn(self, spec: RunSpec, back: Head, data: Any) -> tuple[Head, Any]:
        """The head and the checkpoint from which a run goes on that was restored from its durable copy."""
        return back, data

    def merged_rounds(self, last: Head) -> range:
        """The rounds, newest first, of which a run that ended with this head may have left contributions."""
        return range(last.round, -1, -1)

    def left_over(self, spec: RunSpec, keys: Keys, last: Head) -> Iterator[str]:
        """Names of what else such a run may have left."""
        return iter(())
