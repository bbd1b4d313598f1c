"""A run: begun here or elsewhere, and all that can be asked of it while it goes on and afterwards."""

from __future__ import annotations

import html
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnlite import output
from nnlite.api import code
from nnlite.errors import RunError, UsageError, shown
from nnlite.estimating.books import Books, Expected
from nnlite.platform.base import Platform
from nnlite.protocol.records.head import DONE, FAILED, RUNNING, Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import watcher
from nnlite.quantities import dollars
from nnlite.report.page import page
from nnlite.report.tables import Report
from nnlite.runs import lifecycle, model_file
from nnlite.runs.model_file import TrainedModel
from nnlite.runs.status import STATES, RunSurvey, Surveyor
from nnlite.runtime.performer import Performer, Teller, perform
from nnlite.store import Store
from nnlite.telemetry.events import Event, typed
from nnlite.telemetry.reading import read

OnEvent = Callable[[Event], object]


class Shown(Protocol):
    """What shows a run while it goes on."""

    def tell(self, event: str, values: dict[str, Any], /) -> None:
        """Take in an event (a `performer.Teller`)."""

    def close(self) -> None:
        """It has ended."""


Show = Callable[[RunSpec, int], Shown]  # of a run that has made so many rounds
REASON = "stopped from Python"
POLL_S = 0.5  # of a run that another process drives
LONGEST_S = 1e6  # that is waited for at a time: what threads and clocks take
REDRAW_S = 1.0  # between two pages in a notebook


def telling(on_event: OnEvent | None, shown: Shown | None = None) -> Teller:
    """What tells these of each event of a run."""

    def tell(event: str, values: dict[str, Any]) -> None:
        if shown is not None:
            shown.tell(event, values)
        if on_event is not None:
            for one in typed(event, values):
                on_event(one)

    return tell


def check_listener(on_event: object) -> None:
    """Raise UsageError for what cannot be told anything."""
    if on_event is not None and not callable(on_event):
        raise UsageError(f"on_event: wanted a function of an event, found {type(on_event).__name__}")


@dataclass(frozen=True)
class Status:
    """How a run stands."""

    id: str
    state: str  #: RUNNING, DONE, STOPPED or FAILED; UNREADABLE in a list, where the reason says why
    platform: str = ""  #: local, lambda or openfaas
    round: int = 0  #: rounds that are closed
    num_rounds: int = 0
    workers: dict[str, int] = field(default_factory=dict)  #: how many are alive, waiting, late, lost, or have left
    usd: float = 0.0  #: paid so far; 0 where nobody sends a bill
    test_accuracy: float | None = None  #: the newest
    reason: str = ""  #: why it is over

    @classmethod
    def of(cls, spec: RunSpec, survey: RunSurvey) -> Status:
        """What a look at a run has shown."""
        head = survey.head
        return cls(
            id=spec.run,
            state=head.status.upper(),
            platform=spec.rates.platform,
            round=spec.rules.rounds_made(spec, head),
            num_rounds=spec.num_rounds,
            workers={state: survey.count(state) for state in STATES if survey.count(state)},
            usd=survey.account.usd,
            test_accuracy=head.accuracy,
            reason=head.reason or "",
        )


@dataclass(frozen=True)
class RunCost:
    """What a run has used."""

    usd: float  #: paid; 0 where nobody sends a bill
    list_usd: float  #: the same at list prices
    gb_seconds: float
    breakdown: dict[str, float]  #: USD at list prices, by what they are for

    def __str__(self) -> str:
        return f"{self.gb_seconds:,.3f} GB-seconds, {dollars(self.usd)} ({dollars(self.list_usd)} at list prices)"


@dataclass
class _Driving:
    """A drive in a thread of this process."""

    thread: threading.Thread
    error: BaseException | None = None


@dataclass(eq=False)
class Run:
    """A run in a store. Several objects, in several processes, may be of the same run."""

    spec: RunSpec
    store: Store
    platform: Platform
    on_event: OnEvent | None = None  #: told of what happens while this object drives the run
    show: Show | None = field(default=None, repr=False)  #: makes what shows its progress meanwhile
    goes_on_alone: Callable[[], bool] = field(default=bool, repr=False)  #: asked after Ctrl-C; by default it does not
    seconds: float | None = None  #: that this object has driven it, the last time
    _is_fresh: bool = False  #: begun by this object, and no worker is started yet
    _driving: _Driving | None = None
    _has_driven: bool = False
    _last: Head | None = None  #: that this object has driven it to
    _surveyor: Surveyor | None = None
    _drawn: tuple[float, str] = field(default=(-1e9, ""), repr=False)

    @property
    def name(self) -> str:
        """Its id, by which it is found again."""
        return self.spec.run

    id = name

    def __repr__(self) -> str:
        try:
            status = self.status()
        except Exception as error:  # a repr is asked for in the middle of other trouble
            return f"Run({self.name!r}, {type(error).__name__}: {error})"
        accuracy = "" if status.test_accuracy is None else f", test accuracy {status.test_accuracy:.4f}"
        return f"Run({self.name!r}, {status.state}, round {status.round}/{status.num_rounds}{accuracy})"

    # ---- where it stands

    def status(self) -> Status:
        """One look. Which workers live is known from the second look on."""
        self._surveyor = self._surveyor or Surveyor(self.store, self.spec)
        return Status.of(self.spec, self._surveyor.look())

    @property
    def standing(self) -> Head | None:
        """The record of where it stands, as it is in the store; of one that this has forgotten, as it was driven to, if
        this object has driven it."""
        return lifecycle.last_known(self.store, self.spec) or self._last

    @property
    def head(self) -> Head:
        """The same. Raises RunError when there is none."""
        found = self.standing
        if found is None:
            raise RunError(f"run {self.name} has no head in {self.store.url}: was its beginning interrupted?")
        return found

    # ---- its life

    def wait(self, timeout_s: float | None = None) -> Run:
        """Wait for its end. -> this run, which is done or stopped

        Raises TimeoutError when it is still going on after so long, which it does further. Raises RunError when it has
        failed: what a worker was doing then is the error's cause; and in `on_event`, which it waits for itself.
        """
        if timeout_s is not None and (isinstance(timeout_s, (str, bool)) or not 0 <= timeout_s <= LONGEST_S):
            raise UsageError(f"timeout_s {shown(timeout_s)}: wanted seconds from 0 to {LONGEST_S:g}, or None")
        if self._drives_this_thread():
            raise RunError(f"run {self.name} waits for this very function: wait for it outside of on_event")
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        if self._driving is not None:
            self._driving.thread.join(timeout_s)
        while self._is_driven() or (self._outcome() is None and self.head.status == RUNNING):
            if until_s is not None and time.monotonic() >= until_s:
                raise TimeoutError(f"run {self.name} is still going on after {timeout_s:g} s")
            time.sleep(POLL_S if until_s is None else max(0.0, min(POLL_S, until_s - time.monotonic())))
        self._raise()
        return self

    def _is_driven(self) -> bool:
        return self._driving is not None and self._driving.thread.is_alive()

    def _outcome(self) -> BaseException | None:
        """What ended the drive in a thread of this process, if that was an error."""
        return self._driving.error if self._driving is not None else None

    def _raise(self) -> None:
        """Raise what ended it, if that was no good end."""
        error = self._outcome()
        if isinstance(error, RunError):
            raise error
        if error is not None:
            raise RunError(f"run {self.name} failed: {type(error).__name__}: {error}") from error
        head = self.head
        if head.status == FAILED and head.result is None:
            lifecycle.result(self.store, self.spec, head)

    def stop(self) -> Run:
        """Stop it: its workers leave within seconds, and its newest checkpoint stays. -> this run, stopped or over; in
        `on_event`, at once"""
        if perform(watcher.stop(self.name, REASON), Performer(self.store)) is None:
            _ = self.head  # which says that there is none
        if self._driving is not None and not self._drives_this_thread():
            self._driving.thread.join()
        return self

    def _drives_this_thread(self) -> bool:
        """Whether who asks is called by the drive itself."""
        return self._driving is not None and self._driving.thread is threading.current_thread()

    def resume(self) -> Run:
        """Start its workers, once more if they had stopped or failed, and drive it in a thread of this process. -> at
        once this run. Raises RunError when it is done, or driven already."""
        found = self._ready()

        def drive() -> None:
            try:
                self._drive(*found)
            except BaseException as error:  # kept for those who ask for the outcome
                driving.error = error

        thread = threading.Thread(target=drive, name=f"nnlite {self.name}", daemon=True)
        driving = self._driving = _Driving(thread)
        thread.start()
        return self

    def drive(self) -> Run:
        """The same in this thread, to its end. -> this run, done or stopped

        Ctrl-C stops it, and the KeyboardInterrupt says how it goes on. Raises RunError when it fails, see `wait`.
        """
        self.to_end()
        self._raise()
        return self

    def to_end(self) -> None:
        """The same, whatever its end is: `head` says that."""
        found = self._ready()
        self._driving = None
        self._drive(*found)

    def detach(self) -> Run:
        """Start its workers, unless this process has, and have the platform look after them, whatever becomes of this
        process. Raises UsageError where the platform cannot."""
        if self._is_driven():
            self.platform.detach(self.spec, self.store)
            return self
        self.platform.check_detach()
        attempts, _, _ = self._ready()
        invoker = self.platform.open(self.spec, self.store)
        self.platform.detach(self.spec, self.store)
        if invoker is not None:
            invoker.start(attempts.items())
        return self

    def _ready(self) -> tuple[dict[int, int], int, int]:
        """Let it go on. -> the attempt to start of each worker, the round it stands at, and how many are made"""
        if self._is_driven():
            raise RunError(f"run {self.name} is going on in this process: wait for it, or stop it")
        if self._is_fresh:
            self._is_fresh = False
            return dict.fromkeys(range(self.spec.num_workers), 1), 0, 0
        code.need(self.spec)
        standing = lifecycle.last_known(self.store, self.spec)
        self.platform.prepare(self.spec, self.store.url)
        attempts, first_round = lifecycle.reopen(self.store, self.spec)
        return attempts, first_round, self.spec.rules.rounds_made(self.spec, standing) if standing is not None else 0

    def _drive(self, attempts: dict[int, int], first_round: int, made: int) -> None:
        driver = lifecycle.Driver(self.store, self.spec, self.platform.open(self.spec, self.store), first_round)
        shown = self.show(self.spec, made) if self.show is not None else None
        driver.tell, driver.goes_on_alone = telling(self.on_event, shown), self.goes_on_alone
        self._has_driven, began_s = True, time.monotonic()
        try:
            self._last = driver.drive(attempts)
        except KeyboardInterrupt as error:
            error.args = (f"run {self.name} was stopped; it goes on by {self._how_to_find()}.resume()",)
            if not driver.left_alone:
                raise
        finally:
            self.seconds = time.monotonic() - began_s
            if shown is not None:
                shown.close()

    def _how_to_find(self) -> str:
        where = "" if self.platform.is_here else f", platform={self.platform!r}"
        return f"nnlite.attach({self.name!r}, store={self.store.url!r}{where})"

    # ---- what came out

    @property
    def history(self) -> dict[str, NDArray[Any]]:
        """What its rounds made, as arrays of one length: round, samples (trained on up to its end), seconds (since the
        run began), loss (on the training samples) and test_accuracy of the weights after it. NaN: not measured. There
        is no validation split in a run, so val_loss and val_accuracy are NaN."""
        points = Report(read(self.store, self.name)).points
        nothing = [None] * len(points)
        columns: dict[str, list[Any]] = {
            "seconds": [one.end_s for one in points],
            "loss": [one.loss for one in points],
            "test_accuracy": [one.accuracy for one in points],
            "val_loss": nothing,
            "val_accuracy": nothing,
        }
        counted = {"round": [one.number for one in points], "samples": [one.samples for one in points]}
        return {name: np.array(column, np.int64) for name, column in counted.items()} | {
            name: np.array([np.nan if one is None else one for one in column], np.float64)
            for name, column in columns.items()
        }

    @property
    def _books(self) -> Books:
        return Books(self.spec, self.store, self.platform.venue(self.spec, self.store.url), probes_cost=True)

    @property
    def estimate(self) -> Expected | None:
        """What it was to take, by what is measured of its like, or roughly; None where that cannot be said."""
        return self._books.expect()

    @property
    def cost(self) -> RunCost:
        """What it has used, so far; of one that was driven to its end by this object, in all."""
        has_just_ended = self._has_driven and self.head.status != RUNNING
        account = self._books.account(has_just_ended)
        cost = account.cost
        return RunCost(account.usd, cost.total_usd, cost.total_gb_s, dict(cost.usd))

    @property
    def model(self) -> TrainedModel:
        """What it has learned. Raises RunError when it is not over, or has failed: then the error's cause is what the
        worker was doing."""
        head = self.head
        if head.result is None:
            self._raise()
        code.need(self.spec)
        return lifecycle.result(self.store, self.spec, head)

    def save(self, path: str | os.PathLike[str], round: int | None = None) -> None:
        """Write what it has learned as a safetensors file, for `nnlite.load`.

        round: as `history` counts them, of which a checkpoint stands: the newest two checkpoints, and those that
            `checkpoint_every` keeps; of several in a round (Downpour), the last. None: the result.
        Raises RunError when that is not there.
        """
        model_file.save(path, self.model if round is None else self._after(round))

    def _after(self, number: int) -> TrainedModel:
        """What it had learned when a round was over."""
        if isinstance(number, bool) or not isinstance(number, Integral) or not 1 <= number <= self.spec.num_rounds:
            raise UsageError(f"round {shown(number)}: wanted a whole number from 1 to {self.spec.num_rounds:,}")
        number = int(number)
        code.need(self.spec)
        made = [one for one in Report(read(self.store, self.name)).points if one.number == number]
        if made:
            return lifecycle.model(self.store, self.spec, made[-1].checkpoint, number, made[-1].accuracy)
        if not self.spec.rules.has_rounds:
            raise RunError(f"run {self.name} made no checkpoint in round {number}: `history` has those that it made")
        return lifecycle.model(self.store, self.spec, number, number, None)

    # ---- for people

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a page about it: what it learned, who did what when, what it cost; also while it goes on."""
        output.check(path)
        output.write(path, [self._page().encode()], "report")

    def _page(self) -> str:
        return page(Report(read(self.store, self.name)))

    def _repr_html_(self) -> str:
        """The same page in a frame, for notebooks; made at most once a second, unless the run is over."""
        now_s = time.monotonic()
        if now_s - self._drawn[0] >= REDRAW_S:
            frame = f'<iframe srcdoc="{html.escape(self._page())}" width="100%" height="700" frameborder="0"></iframe>'
            self._drawn = time.monotonic(), frame
        return self._drawn[1]

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return self.head.status == DONE
