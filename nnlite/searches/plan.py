"""The plan of a search: from what is asked for to specifications of the search and of all its trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnlite import cases, configured
from nnlite.case_file import CaseFile
from nnlite.cases import Case
from nnlite.choices import choice
from nnlite.data import Dataset, Reading
from nnlite.described import check_types
from nnlite.errors import UsageError, shown
from nnlite.numbers import PythonNumbers
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.asha import Ladder, ladder
from nnlite.protocol.search.protocol import Search
from nnlite.protocol.search.spec import SAMPLERS, SearchSpec
from nnlite.runs.job import DEFAULT_STORE
from nnlite.runs.plan import data_spec, own_code, pace, run_id, specify
from nnlite.searches import lifecycle
from nnlite.searches.lifecycle import PlannedTrial
from nnlite.store.naming import absolute

VALIDATION_SEED = 1
AHEAD = 16  # jobs that are decided ahead: so up to 8 workers always have work, and choose the same, however many
PATIENCE_S = 5.0  # of an idle worker, where waiting costs money
OwnFile = Callable[[Sequence[object]], CaseFile | None]


@dataclass(frozen=True)
class Tuning(metaclass=PythonNumbers):
    """What to search, and how; None leaves a choice to the case or the sampler."""

    case: str  #: a name, or a file
    dataset: str | None = None  #: its name; or a path, to data of one's own
    reading: Reading | None = None  #: how those are read
    data: str | None = None  #: folder with the dataset's files
    optimizer: str | None = None
    validation: float = choice(0.1, "part of the training split to choose by (0.1)", "F")
    sampler: str = choice("asha", "asha (default), or random", values=SAMPLERS)
    trials: int = choice(27, "configurations to try (default 27)", "N")
    rounds: int | None = choice(None, "epochs of a whole trial (default: the case's)", "R")
    eta: int | None = choice(None, "asha: 1 in E trials is promoted, to E times the rounds (3)", "E")
    grace: int | None = choice(None, "asha: no trial ends before so many rounds (1)", "G")
    rungs: int | None = choice(None, "asha: rungs (default: as many as fit)", "K")
    seed: int = choice(0, "same seed, same trials and results (default 0)", "N")
    max_minutes: float | None = choice(None, "stop then, with the best so far", "M")
    budget_usd: float | None = None
    parallel: int = 1  #: trials at a time
    search: str | None = choice(None, "name of the search (default: case, time and a random part)", "ID")
    store: str = DEFAULT_STORE
    data_store: str | None = None

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), UsageError)
        if self.sampler not in SAMPLERS:
            raise UsageError(f"sampler {shown(self.sampler)}: there are {' and '.join(SAMPLERS)}", parameter="sampler")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: wanted a whole number from 0 to {2**32 - 1}", parameter="seed")
        for name in ("trials", "parallel", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: wanted at least 1", parameter=name)
        for name in ("eta", "grace", "rungs"):
            if self.sampler == "random" and getattr(self, name) is not None:
                raise UsageError(f"{name} is for sampler asha, and this is random: leave it out", parameter=name)

    def ladder(self, case: Case) -> Ladder:
        """The rounds at which trials are compared."""
        num_rounds = self.rounds if self.rounds is not None else case.num_rounds
        if num_rounds < 1:
            raise UsageError(f"rounds {num_rounds}: wanted at least 1", parameter="rounds")
        if self.sampler == "random":
            return Ladder((num_rounds,))
        grace, eta = (given if given is not None else usual for given, usual in ((self.grace, 1), (self.eta, 3)))
        return ladder(num_rounds, grace, eta, self.rungs)


@dataclass(frozen=True)
class SearchPlan:
    """All that a search begins with."""

    whole: Dataset  #: as it was
    seen: Dataset  #: what trials see: a smaller train split, and the validation split in the place of the test split
    spec: RunSpec
    search: SearchSpec
    trials: list[PlannedTrial]


def plan(
    asked: Tuning, adapt: Callable[[RunSpec], RunSpec] = lambda spec: spec, whole: Dataset | None = None,
    given: Case | None = None, own_file: OwnFile | None = None,
) -> SearchPlan:  # fmt: skip
    """The search that is asked for. Raises UsageError when it contradicts itself.

    adapt: what the platform makes of the run: its prices, deadlines and pauses. whole: the dataset, unless it is the
    one that is named. given: the case, where it is not the one that is named; own_file then gives the file that defines
    the classes of some parts.
    """
    case, file = (given, None) if given is not None else configured.find(asked.case)
    case = replace(case, optimizer=cases.optimizer(case, asked.optimizer, None))
    space = configured.space(case)
    drawn = space.draw(asked.trials, asked.seed)
    if whole is None:
        if case.name != cases.AUTO.name:  # whose rounds follow from the data
            asked.ladder(case)  # a wrong request is told so before anything is fetched
        whole = cases.dataset(case, asked.dataset, Path(asked.data) if asked.data else None, asked.reading)
    case = cases.suited(case, whole)
    rungs = asked.ladder(case)
    seen = without_validation(whole, asked.validation)
    made = [configured.configure(case, configuration, seen) for configuration in drawn]
    parts = [part for m in made for part in (m.network, m.optimizer, case.augment) if part is not None]
    own = any(map(cases.has_own_classes, parts))
    if own and file is None and own_file is not None:
        file = own_file(parts)
    spec = adapt(replace(_spec(asked, case, seen, rungs.rounds[-1]), case_file=own_code(file) if own else None))
    trials = [
        PlannedTrial(c, lifecycle.trial_spec(spec, n, m.network, m.optimizer, m.batch_size))
        for n, (c, m) in enumerate(zip(drawn, made, strict=True))
    ]
    search = SearchSpec(
        search=spec.run,
        sampler=asked.sampler,
        num_trials=asked.trials,
        parallel=spec.num_workers,
        ahead=max(AHEAD, 2 * spec.num_workers),
        ladder=rungs,
        test=data_spec(whole, None, spec.data.store),
        validation_rate=asked.validation,
        space=space.described(),
        about=configured.about(case, asked.dataset),
        case_file=own_code(file) if own or not isinstance(case.dataset, str) else None,
        patience_s=PATIENCE_S if spec.rates.worker_second_usd else None,
    )
    return SearchPlan(whole, seen, spec, search, trials)


def _spec(asked: Tuning, case: Case, seen: Dataset, num_rounds: int) -> RunSpec:
    """The run of the search: its workers each train trials."""
    return specify(
        case,
        cases.network(case, seen),
        case.optimizer,
        data_spec(seen, case.augment, absolute(asked.data_store)),
        asked.parallel,
        run=asked.search or run_id(f"tune-{case.name}"),
        seed=asked.seed,
        num_rounds=num_rounds,
        protocol=Search.name,
        budget_usd=asked.budget_usd,
        max_s=None if asked.max_minutes is None else asked.max_minutes * 60,
        **pace(asked.store, asked.parallel),
    )


def without_validation(whole: Dataset, rate: float) -> Dataset:
    """The dataset with part of its train split as its test split. Raises UsageError where that says nothing."""
    if whole.amounts is not None:
        raise UsageError(
            f"{whole.name} has amounts, and a search compares by accuracy: it is for classes, task='classes'"
        )
    if not 0 < rate < 1:
        raise UsageError(
            f"validation {rate}: a search chooses by a part of the training split: above 0, below 1",
            parameter="validation",
        )
    rest, validation = whole.split_validation(rate, VALIDATION_SEED)
    return replace(rest, test=validation)
