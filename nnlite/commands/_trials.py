"""The plan of a search: from what the command line says to specifications of the search and of all its trials."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nnlite import cases, configured
from nnlite.cases import Case
from nnlite.commands import _named
from nnlite.commands._plan import check_data
from nnlite.data import Dataset
from nnlite.errors import UsageError
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.asha import Ladder, ladder
from nnlite.protocol.search.protocol import Search
from nnlite.protocol.search.spec import SAMPLERS, SearchSpec
from nnlite.runs.plan import data_spec, own_code, pace, run_id, specify
from nnlite.searches import lifecycle
from nnlite.searches.lifecycle import Trial
from nnlite.store.naming import absolute

VALIDATION_SEED = 1
AHEAD = 16  # jobs that are decided ahead: so up to 8 workers always have work, and choose the same, however many
PATIENCE_S = 5.0  # of an idle worker, where waiting costs money


@dataclass(frozen=True)
class Plan:
    """All that a search begins with."""

    whole: Dataset  #: as it was
    seen: Dataset  #: what trials see: a smaller train split, and the validation split in the place of the test split
    spec: RunSpec
    search: SearchSpec
    trials: list[Trial]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to search, and how."""
    what = parser.add_argument_group("what")
    what.add_argument(
        "--case", type=_named.path, help=f"{', '.join(cases.CASES)}, or a Python file of your own that defines `case`"
    )
    what.add_argument("--dataset", help="instead of the case's: see `python -m tools.data list`")
    what.add_argument(
        "--data",
        type=_named.path,
        metavar="DIR",
        help="where dataset files are (or NNLITE_DATA); else they are fetched",
    )
    what.add_argument("--optimizer", help=f"instead of the case's: {', '.join(cases.OPTIMIZERS)}")
    what.add_argument(
        "--validation", type=float, default=0.1, metavar="F", help="part of the training split to choose by (0.1)"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--sampler", choices=SAMPLERS, default="asha", help="asha (default), or random")
    how.add_argument("--trials", type=int, default=27, metavar="N", help="configurations to try (default 27)")
    how.add_argument("--rounds", type=int, metavar="R", help="epochs of a whole trial (default: the case's)")
    how.add_argument("--eta", type=int, metavar="E", help="asha: 1 in E trials is promoted, to E times the rounds (3)")
    how.add_argument("--grace", type=int, metavar="G", help="asha: no trial ends before so many rounds (1)")
    how.add_argument("--rungs", type=int, metavar="K", help="asha: rungs (default: as many as fit)")
    how.add_argument("--seed", type=int, default=0, help="same seed, same trials and results (default 0)")
    how.add_argument("--max-minutes", type=float, metavar="M", help="stop then, with the best so far")


def plan(args: argparse.Namespace, adapt: Callable[[RunSpec], RunSpec] = lambda spec: spec) -> Plan:
    """The search that the command line describes. Raises UsageError when it contradicts itself.

    adapt: what the platform makes of the run: its prices, deadlines and pauses.
    """
    if not args.case:
        raise UsageError(f"which case? --case {'|'.join(cases.CASES)}, a file of your own, or --resume SEARCH")
    case, file = configured.find(args.case)
    case = replace(case, optimizer=cases.optimizer(case, args.optimizer, None))
    space = configured.space(case)
    drawn = space.draw(_at_least_one("--trials", args.trials), _seed(args.seed))
    rungs = _ladder(args, case)
    with _named.wrong_if_named(args.data):
        whole = cases.dataset(case, args.dataset, Path(args.data) if args.data else None)
    check_data(args, whole)
    seen = _without_validation(whole, args.validation)
    made = [configured.configure(case, configuration, seen) for configuration in drawn]
    own = any(cases.has_own_classes((m.network, m.optimizer, case.augment)) for m in made)
    spec = adapt(replace(_spec(args, case, seen, rungs.rounds[-1]), case_file=own_code(file) if own else None))
    trials = [
        Trial(c, lifecycle.trial_spec(spec, n, m.network, m.optimizer, m.batch_size))
        for n, (c, m) in enumerate(zip(drawn, made, strict=True))
    ]
    if args.budget_usd is not None and not spec.rates.worker_second_usd:
        raise UsageError(f"--budget-usd: nobody sends a bill for --platform {args.platform}; use --max-minutes")
    search = SearchSpec(
        search=spec.run,
        sampler=args.sampler,
        num_trials=args.trials,
        parallel=spec.num_workers,
        ahead=max(AHEAD, 2 * spec.num_workers),
        ladder=rungs,
        test=data_spec(whole, None, spec.data.store),
        validation_rate=args.validation,
        space=space.described(),
        about=configured.about(case, args.dataset),
        case_file=own_code(file) if own or not isinstance(case.dataset, str) else None,
        patience_s=PATIENCE_S if spec.rates.worker_second_usd else None,
    )
    return Plan(whole, seen, spec, search, trials)


def _spec(args: argparse.Namespace, case: Case, seen: Dataset, num_rounds: int) -> RunSpec:
    """The run of the search: its workers each train trials."""
    num_workers = _at_least_one("--parallel", args.workers)
    return specify(
        case,
        cases.network(case, seen),
        case.optimizer,
        data_spec(seen, case.augment, absolute(args.data_store)),
        num_workers,
        run=args.search or run_id(f"tune-{case.name}"),
        seed=args.seed,
        num_rounds=num_rounds,
        protocol=Search.name,
        budget_usd=args.budget_usd,
        max_s=None if args.max_minutes is None else args.max_minutes * 60,
        **pace(args.store, num_workers),
    )


def _ladder(args: argparse.Namespace, case: Case) -> Ladder:
    num_rounds = _at_least_one("--rounds", args.rounds if args.rounds is not None else case.num_rounds)
    given = {name: getattr(args, name) for name in ("eta", "grace", "rungs") if getattr(args, name) is not None}
    if args.sampler == "random":
        for name in given:
            raise UsageError(f"--{name} is for --sampler asha, and this is random: leave it out")
        return Ladder((num_rounds,))
    return ladder(num_rounds, given.get("grace", 1), given.get("eta", 3), given.get("rungs"))


def _without_validation(whole: Dataset, rate: float) -> Dataset:
    """The dataset with part of its train split as its test split."""
    if not 0 < rate < 1:
        raise UsageError(f"--validation {rate}: a search chooses by a part of the training split: above 0, below 1")
    rest, validation = whole.split_validation(rate, VALIDATION_SEED)
    return replace(rest, test=validation)


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed}: wanted a whole number from 0 to {2**32 - 1}")
    return seed


def _at_least_one(flag: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{flag} {value}: wanted at least 1")
    return value
