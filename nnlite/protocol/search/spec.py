"""The specification of a search: what its trials are, and how they are chosen from; and the keys it writes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from nnlite.errors import StoreError, UsageError
from nnlite.protocol.records.keys import MOST_WORKERS
from nnlite.protocol.records.spec import DataSpec, OwnCode
from nnlite.protocol.search.asha import JobKey, Ladder, TrialSchedule
from nnlite.records import Amount, Count, Kept, Range, Record, Share

SAMPLERS = ("random", "asha")
MOST_TRIALS = 100_000  #: that five digits of a key can name
Ahead = Annotated[int, Range(1, 2 * MOST_WORKERS)]


@dataclass(frozen=True)
class SearchSpec(Record, what="a search's specification", indent=1):
    """What a search adds to its run. The run's specification says where it runs, and on what; its workers each
    train trials. Every trial has a specification of its own, as a run of one worker."""

    search: str
    sampler: str
    num_trials: Annotated[int, Range(1, MOST_TRIALS)]
    parallel: Annotated[int, Range(1, MOST_WORKERS)]  #: workers
    ahead: Ahead  #: slots of the schedule: jobs that are decided before the results of any of them are there
    ladder: Ladder
    test: DataSpec  #: the dataset as it was before the validation split was cut out of it: where the test split is
    validation_rate: Share = 0.0  #: the part of the training split that trials are scored on
    space: dict[str, Any] = field(default_factory=dict)  #: in words, for people
    about: dict[str, Any] = field(default_factory=dict)  #: of the case, what no configuration decides
    case_file: OwnCode | None = None  #: a user's file that defines its dataset, or layers of its own
    max_deaths: Count = 3  #: of workers in one stretch of training; then the trial has failed
    patience_s: Amount | None = None  #: an idle worker leaves after so long; None: it waits, as waiting costs nothing

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(f"no sampler {self.sampler!r}; there are {', '.join(SAMPLERS)}")
        if self.ahead < self.parallel:
            raise UsageError(f"{self.parallel} in parallel, but only {self.ahead} jobs are decided ahead")
        for what, value in (("trials", self.num_trials), ("parallel", self.parallel), ("deaths", self.max_deaths)):
            if value < 1:
                raise UsageError(f"{what}: {value}, wanted at least 1")

    def schedule(self) -> TrialSchedule:
        """The schedule of its trials, from the beginning."""
        return TrialSchedule(self.ladder, self.num_trials, self.ahead)

    @classmethod
    def of_search(cls, search: str, data: bytes, where: str) -> SearchSpec:
        """The specification of `search`, as it stands at `where`. Raises StoreError for anything else."""
        spec = cls.from_json(data, where)
        if spec.search != search:
            raise StoreError(f"{where} is the specification of search {spec.search!r}, expected that of {search!r}")
        return spec


@dataclass(frozen=True)
class Drawn(Kept, what="what was drawn for a trial"):
    """A trial's configuration, as it was drawn from the space, in its order."""

    names: tuple[str, ...]
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values):
            raise StoreError(f"{len(self.names)} names of {len(self.values)} values")

    @classmethod
    def of(cls, configuration: dict[str, Any]) -> Drawn:
        """As a record."""
        return cls(tuple(configuration), tuple(configuration.values()))

    @property
    def configuration(self) -> dict[str, Any]:
        """By name."""
        return dict(zip(self.names, self.values, strict=True))


@dataclass(frozen=True)
class SearchKeys:
    """Names of everything that a search writes, besides the head and the leases of its run."""

    search: str

    @property
    def spec(self) -> str:
        """The specification; created once."""
        return f"searches/{self.search}/spec.json"

    @property
    def outcome(self) -> str:
        """The winner, and its accuracy on the test split; created once."""
        return f"searches/{self.search}/outcome.json"

    def trial_run(self, trial: int) -> str:
        """The run that a trial is, by the specification it has."""
        return f"{self.search}-{trial:05d}"

    def trial(self, trial: int) -> str:
        """The specification of a trial, as a run of one worker; created once."""
        return f"searches/{self.search}/trials/{trial:05d}/spec.json"

    def configuration(self, trial: int) -> str:
        """What was drawn from the space for a trial, for people; created once."""
        return f"searches/{self.search}/trials/{trial:05d}/configuration.json"

    def claim(self, job: JobKey) -> str:
        """Which worker trains it; created once."""
        return f"{self._stretch(job)}/claim.json"

    def model(self, job: JobKey) -> str:
        """Weights and optimizer state at the end of it; created once, and deleted when nobody needs them any more."""
        return f"{self._stretch(job)}/model"

    def timing(self, job: JobKey) -> str:
        """How long it took; created once, before the result."""
        return f"{self._stretch(job)}/timing.json"

    def result(self, job: JobKey) -> str:
        """What came out of it; created once."""
        return f"{self._stretch(job)}/result.json"

    def _stretch(self, job: JobKey) -> str:
        return f"searches/{self.search}/trials/{job[0]:05d}/{job[1]}"
