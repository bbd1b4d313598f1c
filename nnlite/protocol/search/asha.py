"""Asynchronous successive halving: which trial is trained next, and for how long.

Li et al. 2018, "A System for Massively Parallel Hyperparameter Tuning" (ASHA). Every trial begins at the lowest rung,
with few rounds. Whenever a slot is free, the best trial among the top 1/eta of a rung that was not promoted yet goes on
to the next rung, highest rung first; if there is none, a new trial begins.

There, what is promoted depends on who happened to finish first. Here it does not: the schedule is the one of slots on
which a round takes a unit of time, and a decision uses exactly the results that are due by then. So promotions are a
function of the set of results; workers carry the schedule out at whatever speed they have, and a worker that dies, or
is slow, or does a thing twice, changes nothing. There are more slots than workers, so that there is work while a result
is waited for; and those of the top rung never are.

Random search is the same with a single rung.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from nnlite.errors import UsageError
from nnlite.protocol.records.keys import MOST_ROUNDS
from nnlite.records import Range

Rank = tuple[float, ...]  #: how good a result is: less is better
JobKey = tuple[int, int]  #: trial, rung


@dataclass(frozen=True)
class Ladder:
    """`rounds[k]`: the rounds that a trial has behind it once it is through with rung k."""

    rounds: tuple[Annotated[int, Range(1, MOST_ROUNDS)], ...]
    eta: Annotated[int, Range(2, MOST_ROUNDS)] = 3

    def __post_init__(self) -> None:
        increasing = all(a < b for a, b in zip((0, *self.rounds), self.rounds, strict=False))
        if not self.rounds or not increasing:
            raise UsageError(f"rungs of {self.rounds} rounds: wanted at least one, each of more rounds than the last")
        if self.eta < 2:
            raise UsageError(f"eta {self.eta}: wanted at least 2: 1 in eta trials is promoted")

    @property
    def top(self) -> int:
        """The highest rung."""
        return len(self.rounds) - 1

    def added(self, rung: int) -> int:
        """The rounds that rung `rung` adds to the one below."""
        return self.rounds[rung] - (self.rounds[rung - 1] if rung else 0)


def ladder(num_rounds: int, grace: int = 1, eta: int = 3, num_rungs: int | None = None) -> Ladder:
    """Rungs up to `num_rounds`, each with `eta` times the rounds of the one below, the lowest with at least `grace`.

    num_rungs: as many as fit, or fewer. Raises UsageError for what contradicts itself.
    """
    if not 1 <= grace <= num_rounds:
        raise UsageError(f"grace {grace}: wanted 1 to {num_rounds}, the rounds of a whole trial")
    if eta < 2:
        raise UsageError(f"eta {eta}: wanted at least 2: 1 in eta trials is promoted")
    fitting = 1
    while grace * eta**fitting <= num_rounds:
        fitting += 1
    if num_rungs is not None and not 1 <= num_rungs <= fitting:
        raise UsageError(f"{num_rungs} rungs: {fitting} fit between {grace} and {num_rounds} rounds with eta {eta}")
    chosen = num_rungs or fitting
    rounds = [max(grace, round(num_rounds / eta**k)) for k in range(chosen)]
    return Ladder(tuple(sorted(set(rounds))), eta)


@dataclass(frozen=True)
class TrialJob:
    """One stretch of training: a trial from one rung to the next. `number` counts the decisions of the schedule."""

    number: int
    trial: int
    rung: int

    @property
    def key(self) -> JobKey:
        """Its name."""
        return self.trial, self.rung


class TrialSchedule:
    """Decides job after job, as far as the results at hand allow. Same results, same jobs, in the same order."""

    def __init__(self, ladder: Ladder, num_trials: int, num_slots: int):
        self.ladder, self.num_trials, self.num_slots = ladder, num_trials, num_slots
        self.jobs: list[TrialJob] = []  #: all that was decided, in order
        self.is_complete = False  #: whether nothing more will be decided, whatever the results
        self._running: list[tuple[int, int]] = []  #: (when it is due, number), a heap
        self._now = 0
        self._drawn = 0
        self._ranked: list[list[tuple[Rank, int]]] = [[] for _ in ladder.rounds]  #: results due, best first
        self._counts = [0 for _ in ladder.rounds]  #: of results due, those without a rank included
        self._promoted: list[set[int]] = [set() for _ in ladder.rounds]

    def advance(self, results: Mapping[JobKey, Rank | None]) -> list[TrialJob]:
        """Decide on. `results`: all there are so far; None for a trial that diverged or failed. -> the new jobs"""
        first = len(self.jobs)
        while not self.is_complete and self._is_due(results):
            for number in self._finish():
                job = self.jobs[number]
                if job.rung < self.ladder.top:
                    self._count(job, results[job.key])
            while len(self._running) < self.num_slots and (key := self._next()) is not None:
                self._start(*key)
            self.is_complete = not self._running
        return self.jobs[first:]

    def _is_due(self, results: Mapping[JobKey, Rank | None]) -> bool:
        """Whether the results of all that ends next are there; those of the top rung decide nothing."""
        ending = [self.jobs[n] for due, n in self._running if due == self._running[0][0]]
        return all(job.rung == self.ladder.top or job.key in results for job in ending)

    def _finish(self) -> list[int]:
        """Time goes on to the next end. -> the numbers of all jobs that end then"""
        numbers = []
        if self._running:
            self._now = self._running[0][0]
        while self._running and self._running[0][0] == self._now:
            numbers.append(heapq.heappop(self._running)[1])
        return numbers

    def _count(self, job: TrialJob, rank: Rank | None) -> None:
        self._counts[job.rung] += 1
        if rank is not None:
            insort(self._ranked[job.rung], (rank, job.trial))

    def _start(self, trial: int, rung: int) -> None:
        job = TrialJob(len(self.jobs), trial, rung)
        self.jobs.append(job)
        heapq.heappush(self._running, (self._now + self.ladder.added(rung), job.number))
        if rung == 0:
            self._drawn += 1
        else:
            self._promoted[rung - 1].add(trial)

    def _next(self) -> JobKey | None:
        """What a free slot does: promote, else begin a trial; at the very end see to it that one reaches the top."""
        for rung in range(self.ladder.top - 1, -1, -1):
            trial = self._best(rung, self._counts[rung] // self.ladder.eta)
            if trial is not None:
                return trial, rung + 1
        if self._drawn < self.num_trials:
            return self._drawn, 0
        if not self._running and self.ladder.top > 0 and not self._promoted[self.ladder.top - 1]:
            for rung in range(self.ladder.top - 1, -1, -1):
                trial = self._best(rung, self._counts[rung])
                if trial is not None:
                    return trial, rung + 1
        return None

    def _best(self, rung: int, count: int) -> int | None:
        """The best of the first `count` trials of a rung that was not promoted yet."""
        promoted = self._promoted[rung]
        return next((trial for _, trial in self._ranked[rung][:count] if trial not in promoted), None)
