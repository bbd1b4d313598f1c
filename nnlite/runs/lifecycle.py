"""The life of a run: begun, driven, stopped, taken up again, and its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nnlite.data import Dataset
from nnlite.errors import Conflict, NnliteError, NotFound, RunError, RunNotFound, UsageError, WorkerTraceback
from nnlite.invoker.base import Invoker
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.records import head
from nnlite.protocol.records.head import DONE, FAILED, RUNNING, STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import watcher
from nnlite.protocol.roles.waiter import MORE_MEMORY
from nnlite.runs import initial_weights, trust
from nnlite.runs.initial_weights import First
from nnlite.runs.model_file import TrainedModel
from nnlite.runtime import shard_store, trainer
from nnlite.runtime.performer import Performer, Scheduler, Teller, perform, tell_nobody
from nnlite.runtime.workers import Workers, open_durable, read_spec
from nnlite.store import ABSENT, Data, Store, open_store, promises
from nnlite.telemetry.usage_meter import Gauge


def begin(store: Store, data_store: Store, spec: RunSpec, dataset: Dataset, first: First | None = None) -> None:
    """Put everything there that workers will look for; `first` is what `spec.init` names. Raises RunError when the
    run's id is taken."""
    check_stores(store, spec)
    shard_store.upload(data_store, spec, dataset)
    if first is not None:
        create(store, initial_weights.key(spec), first.data)
    claim(store, spec, "run")
    complete(store, spec)


def check_stores(store: Store, spec: RunSpec) -> None:
    """Raises StoreError when a run would go wrong there without a word, as the server lacks conditional writes."""
    for one in {one.url: one for one in (open_durable(spec), store) if one is not None}.values():
        promises.check(one)


def claim(store: Store, spec: RunSpec, flag: str) -> None:
    """Create the specification, first in the checkpoint store, whose copies would else be taken for this run's.
    Raises RunError when the run's id, which `flag` chooses, is taken."""
    key, claimed = Keys(spec.run).spec, list[Store]()
    for one in filter(None, (open_durable(spec), store)):
        try:
            one.put(key, spec.to_json(), if_version=ABSENT)
        except Conflict:
            if claimed and one.url == claimed[0].url:
                continue
            for other in claimed:
                other.delete(key)
            raise RunError(
                f"there is a run {spec.run!r} in {one.url} already: go on with it (resume={spec.run!r}), "
                f"or choose another {flag}="
            ) from None
        claimed.append(one)


def complete(store: Store, spec: RunSpec) -> None:
    """Create what follows from the specification, and the file it may name: checkpoint 0 and the first head."""
    keys, durable = Keys(spec.run), open_durable(spec)
    for one in filter(None, (durable, store)):
        if not _exists(one, keys.head):
            first = keys.checkpoint(0)
            create(one, first, contribution.encode(initial_weights.model(store, spec), Tally(), first))
            create(one, keys.head, Head().to_json(keys.head))


def _exists(store: Store, key: str) -> bool:
    try:
        store.get(key)
        return True
    except NotFound:
        return False


def create(store: Store, key: str, data: Data) -> None:
    """Put `key` there, unless it is."""
    with suppress(Conflict):
        store.put(key, data, if_version=ABSENT)


def find(store: Store, run: str, copies_url: str | None = None, data_url: str | None = None) -> RunSpec:
    """The specification of a run that is to go on, from its checkpoint store if its own has forgotten it.

    Raises RunNotFound when neither has it, UsageError when `copies_url` is not its checkpoint store, or `data_url` not
    that of its shards, or when it names stores that it may not (`trust`).
    """
    copies = open_store(copies_url) if copies_url is not None else None
    try:
        spec = read_spec(store, run)
    except RunNotFound as error:
        if copies is None:
            raise RunNotFound(f"{error}; if its store has forgotten it, name its checkpoint_store=") from None
        try:
            spec = read_spec(copies, run)
        except RunNotFound:
            raise RunNotFound(
                f"no run {run!r} in {store.url}, nor in {copies.url}: check the run's id, store=, checkpoint_store="
            ) from None
    if copies is not None and spec.checkpoint_store != copies.url:
        place = spec.checkpoint_store or "no checkpoint store"
        raise UsageError(f"run {run} keeps its checkpoints in {place}, not in {copies.url}: name that, or none")
    trust.check_data(spec, data_url)
    trust.check_spec(spec, store.url, copies_url, data_url)
    return spec


def reopen(store: Store, spec: RunSpec) -> tuple[dict[int, int], int]:
    """Let a run go on. -> the attempt to invoke each worker with, and the round it stands at.

    Raises RunError when it is done.
    """
    check_stores(store, spec)
    durable = open_durable(spec)
    if durable is None or not _exists(durable, Keys(spec.run).head):
        complete(store, spec)
    before = last_known(store, spec)
    if before is not None and before.status == DONE:
        raise RunError(f"run {spec.run} is done ({before.reason}): there is nothing to resume")
    create(store, Keys(spec.run).spec, spec.to_json())
    attempts = perform(watcher.reopen(spec), Performer(store, durable=durable))
    found = standing(store, spec)
    if found is None:
        raise RunError(f"run {spec.run} has no head in {store.url}: it cannot be resumed")
    return attempts, found.round


def standing(store: Store, spec: RunSpec) -> Head | None:
    """The head of a run as it stands, or None when there is none."""
    found = perform(head.read(spec), Performer(store))
    return found[0] if found else None


def last_known(store: Store, spec: RunSpec) -> Head | None:
    """The same; of a run that its store has forgotten, as its checkpoint store has it."""
    durable = open_durable(spec)
    found = standing(store, spec)
    return standing(durable, spec) if found is None and durable is not None else found


@dataclass
class Driver:
    """Drives a run on a platform, or with None in this process."""

    store: Store
    spec: RunSpec
    platform: Invoker | None = None
    first_round: int = 0  #: rounds before it were told already
    tell: Teller = tell_nobody
    goes_on_alone: Callable[[], bool] = bool  #: asked after Ctrl-C: whether the run goes on without us; it does not
    left_alone: bool = False

    def drive(self, attempts: dict[int, int]) -> Head:
        """Start the workers, watch to the end. -> the last head.

        Ctrl-C, and any error here or in a worker, stops the workers and the run; what it has stays.
        """
        try:
            last = self._watch(attempts)
        except KeyboardInterrupt:
            self.left_alone = self.goes_on_alone()
            if not self.left_alone:
                self._end(STOPPED, "interrupted")
            raise
        except Exception as error:
            self._end(FAILED, str(error) if isinstance(error, NnliteError) else f"{type(error).__name__}: {error}")
            raise
        finally:
            if self.platform is not None:
                self.platform.close()
        return last

    def _watch(self, attempts: dict[int, int]) -> Head:
        scheduler, platform = Scheduler(), self.platform
        workers = None
        performer = Performer(self.store, durable=open_durable(self.spec), tell=self.tell)
        if platform is None:
            gauge = Gauge()
            workers = Workers(self.store, self.spec.run, scheduler=scheduler, gauge=gauge)
            performer.invoke = workers.add
            for item in attempts.items():
                workers.add(*item)
            gauge.begin()
        else:
            performer.invoke = platform.invoke
            performer.casualties = lambda: self._casualties(platform)
            platform.start(attempts.items())
        watching = self.spec.rules.watcher(self.spec, self.first_round)
        key = scheduler.add(watching.program({}), performer)
        try:
            scheduler.run(until=key)
        finally:
            if workers is not None:
                workers.close("the command that trained it ended")
        last: Head = scheduler.results[key]
        return last

    def _casualties(self, platform: Invoker) -> list[tuple[int, int]]:
        """The dead; an error that a worker reported is raised here, as it would only come again."""
        dead = platform.casualties()  # first: what they died of is among the events then
        while not platform.events.empty():
            event = platform.events.get()
            if event["event"] == "error":
                where = event.get("traceback")
                raise RunError(event["message"]) from (WorkerTraceback(f"\n{where}") if where else None)
            self.tell(event["event"], event)
        return dead

    def _end(self, status: str, reason: str) -> None:
        try:
            perform(head.end(Keys(self.spec.run).head, status, reason), Performer(self.store))
        except NnliteError as error:  # the store itself fails: the first error is the one to report
            self.tell("unsaved", {"reason": str(error)})


def checkpoint(store: Store, spec: RunSpec, key: str) -> bytes:
    """A checkpoint that stands, from the durable store if the run's own has forgotten it meanwhile. Raises RunError
    when neither has it."""
    for one in filter(None, (store, open_durable(spec))):
        with suppress(NotFound):
            return one.get(key).data
    raise RunError(f"the checkpoint {key} of run {spec.run} is not in {store.url} any more: {MORE_MEMORY}")


def result(store: Store, spec: RunSpec, last: Head) -> TrainedModel:
    """The outcome of a run that is done. Raises RunError when it is not."""
    if last.result is None and last.status == RUNNING:
        raise RunError(f"run {spec.run} is running, at {spec.rules.standing(spec, last)}: no result yet")
    if last.result is None:
        stays = f"; its checkpoints stay in {store.url}" if standing(store, spec) else ""
        raise RunError(f"run {spec.run} {last.status}: {last.reason}{stays}")
    return model(store, spec, last.result, spec.rules.rounds_made(spec, last), last.accuracy)


def model(store: Store, spec: RunSpec, number: int, rounds: int, accuracy: float | None) -> TrainedModel:
    """What a run had learned at a checkpoint. rounds: behind it; accuracy: of it, on the test split. Raises RunError
    when the checkpoint is not there any more."""
    where = Keys(spec.run).checkpoint(number)
    network, optimizer = trainer.build(spec)
    state = trainer.State.of(spec, network, optimizer)
    state.read(checkpoint(store, spec, where), where)
    about = {
        "run": spec.run,
        "case": spec.case,
        "dataset": spec.data.name,
        "test_accuracy": json.dumps(accuracy),
        "rounds": str(rounds),
    }
    return TrainedModel.of(network, np.array(state.weights), spec, about)
