"""The life of a search: begun, driven as any run is, and its outcome."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnlite.data import Dataset, shards
from nnlite.errors import NotFound, RunError
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search import watcher
from nnlite.protocol.search.asha import Ladder
from nnlite.protocol.search.result import Result
from nnlite.protocol.search.spec import Drawn, SearchKeys, SearchSpec
from nnlite.protocol.search.watcher import Outcome
from nnlite.runs import lifecycle, trust
from nnlite.runs.model_file import TrainedModel
from nnlite.runtime import shard_store, trainer
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.trainer import Trainer
from nnlite.runtime.workers import read_spec
from nnlite.store import Store, open_store


@dataclass(frozen=True)
class PlannedTrial:
    """What was drawn, and the run of one worker that follows from it."""

    configuration: dict[str, Any]
    spec: RunSpec


@dataclass(frozen=True)
class SearchOutcome:
    """What a search has found."""

    outcome: Outcome
    leaderboard: list[Result]
    trial: PlannedTrial
    model: TrainedModel

    def num_rounds(self, ladder: Ladder) -> int:
        """Rounds of training that all trials together went through."""
        return sum(ladder.rounds[result.rung] for result in self.leaderboard)


def begin(
    store: Store, spec: RunSpec, search: SearchSpec, trials: Sequence[PlannedTrial], rows: tuple[Dataset, Dataset]
) -> None:
    """Put everything there that workers will look for.

    rows: the dataset with the validation split as its test split, which trials see; and as it was, whose test split
    the winner will see. Raises RunError when the id is taken.
    """
    keys = SearchKeys(spec.run)
    lifecycle.check_stores(store, spec)
    lifecycle.claim(store, spec, "search")
    seen, whole = rows
    data_store = open_store(spec.data.store) if spec.data.store else store
    shard_store.upload(data_store, trials[0].spec, seen)
    key = shards.key(search.test.name, search.test.digest, "test", 1, 0)
    shard_store.send(data_store, key, whole.test.take(shards.assign(len(whole.test), 1)[0]))
    for number, trial in enumerate(trials):
        lifecycle.create(store, keys.trial(number), trial.spec.to_json())
        drawn = keys.configuration(number)
        lifecycle.create(store, drawn, Drawn.of(trial.configuration).to_json(drawn))
    lifecycle.create(store, keys.spec, search.to_json())
    stands = Keys(spec.run).head
    lifecycle.create(store, stands, Head().to_json(stands))  # last: with it the search can be resumed


def read(store: Store, search: str, data_url: str | None = None) -> tuple[RunSpec, SearchSpec]:
    """The specifications of a search. Raises RunError when the store has no such search, UsageError when `data_url` is
    not the store of its shards, or when it names one that it may not (`trust`)."""
    spec, key = read_spec(store, search), SearchKeys(search).spec
    trust.check_data(spec, data_url)
    trust.check_spec(spec, store.url, data_url)
    if not spec.rules.has_trials:
        raise RunError(f"{search} is a run, not a search: go on with it by python -m tools.train --resume {search}")
    try:
        found = SearchSpec.of_search(search, store.get(key).data, key)
        store.get(Keys(search).head)
    except NotFound:
        raise RunError(f"search {search} was not begun completely: begin another one") from None
    return spec, found


def trial(store: Store, search: str, number: int) -> PlannedTrial:
    """A trial of a search."""
    keys = SearchKeys(search)
    key = keys.trial(number)
    described = RunSpec.of_run(keys.trial_run(number), store.get(key).data, key)
    key = keys.configuration(number)
    return PlannedTrial(Drawn.from_json(store.get(key).data, key).configuration, described)


def configurations(store: Store, search: str, count: int) -> list[dict[str, Any]]:
    """What was drawn for each trial."""
    keys = SearchKeys(search)
    names = [keys.configuration(number) for number in range(count)]
    found = zip(store.get_many(names), names, strict=True)
    return [Drawn.from_json(one.data, key).configuration if one is not None else {} for one, key in found]


def result(store: Store, spec: RunSpec) -> SearchOutcome:
    """What a search that is over has found: its best trial, scored on the test split, once. Raises RunError when no
    trial came to a good end."""
    first = trial(store, spec.run, 0).spec
    data_store = open_store(spec.data.store) if spec.data.store else store
    performer = Performer(store, Trainer(first, 0, data_store))
    outcome, ranking = perform(watcher.outcome(spec.run), performer)
    best = trial(store, spec.run, outcome.trial)
    where = SearchKeys(spec.run).model((outcome.trial, outcome.rung))
    network, optimizer = trainer.build(best.spec)
    state = trainer.State.of(best.spec, network, optimizer)
    state.read(store.get(where).data, where)
    about = {
        "run": spec.run,
        "case": spec.case,
        "dataset": spec.data.name,
        "test_accuracy": json.dumps(outcome.test_accuracy),
        "rounds": str(outcome.rounds),
        "configuration": json.dumps(best.configuration),
    }
    model = TrainedModel.of(network, np.array(state.weights), spec, about)
    return SearchOutcome(outcome, ranking, best, model)


def trial_spec(spec: RunSpec, number: int, network: Any, optimizer: Any, batch_size: int) -> RunSpec:
    """A trial as a run of one worker, of `spec` with what was drawn."""
    rows = spec.data.num_train
    return replace(
        spec,
        run=SearchKeys(spec.run).trial_run(number),
        protocol="averaging",
        num_workers=1,
        tree_widths=(1,),
        network=network.config(),
        optimizer=optimizer.config(),
        batch_size=batch_size,
        steps_per_round=-(-rows // min(batch_size, rows)),
        budget_usd=None,
        max_s=None,
    )
