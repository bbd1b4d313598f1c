"""An invocation in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nnlite.protocol.effects import Program
from nnlite.runtime.learner import Learner
from nnlite.simulation.meter import Use

WATCHER = -1  # the "worker" number of the watcher in stories


@dataclass
class SimulatedInvocation:
    """One execution of a program."""

    worker: int
    attempt: int
    program: Program[Any]
    learner: Learner | None
    slowness: float = 1.0
    skew_s: float = 0.0  #: what its clock shows at the start of the simulation
    began_s: float | None = None
    seconds: float = 0.0  #: from its beginning to its last effect
    use: Use = field(default_factory=Use)
    dies_after: bool = False  #: the effect that is under way

    def __str__(self) -> str:
        return "watcher" if self.worker == WATCHER else f"worker {self.worker}.{self.attempt}"
