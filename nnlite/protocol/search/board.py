"""The board: what one invocation has seen of a search, and what is to be done next."""

from __future__ import annotations

from dataclasses import dataclass

from nnlite.protocol.effects import Create, Get, GetMany, Missing, Program
from nnlite.protocol.records.keys import WorkerNumber
from nnlite.protocol.search.asha import JobKey, Rank, TrialJob
from nnlite.protocol.search.result import Result, Timing
from nnlite.protocol.search.spec import SearchKeys, SearchSpec
from nnlite.records import Count, Kept


@dataclass(frozen=True)
class Claim(Kept, what="a claim"):
    """Which worker trains a job; its next attempt goes on with it if this one dies."""

    worker: WorkerNumber
    deaths: Count  #: of its attempts, before it claimed this


class Board:
    """Results as far as they were read, and the schedule as far as it follows from them.

    Jobs are claimed in the order of the schedule, and a worker has one at a time: so whatever is going on is among the
    first few jobs without a result, and no more than those are ever asked for.
    """

    def __init__(self, search: SearchSpec):
        self.search, self.keys = search, SearchKeys(search.search)
        self.results: dict[JobKey, Result] = {}
        self.timings: dict[JobKey, Timing] = {}
        self._ranks: dict[JobKey, Rank | None] = {}
        self._schedule = search.schedule()
        self._open: list[TrialJob] = []  #: decided, without a result, in order

    @classmethod
    def of(cls, search: str) -> Program[Board | None]:
        """The board of a search that is in the store."""
        key = SearchKeys(search).spec
        found = yield Get(key)
        return cls(SearchSpec.of_search(search, found.data, key)) if found is not None else None

    @property
    def is_over(self) -> bool:
        """Whether every trial has come as far as it ever will."""
        return self._schedule.is_complete and not self._open

    @property
    def open(self) -> list[TrialJob]:
        """The jobs to look at: those that are going on, and the next ones."""
        return self._open[: 2 * self.search.parallel]

    def look(self) -> Program[list[Result]]:
        """Read what is new, and decide on. -> the new results"""
        news: list[Result] = []
        while True:
            self._open.extend(self._schedule.advance(self._ranks))
            asked = self.open
            found = (yield GetMany(tuple(self.keys.result(job.key) for job in asked))) if asked else []
            fresh = [(job.key, f) for job, f in zip(asked, found, strict=True) if f is not None]
            if not fresh:
                return news
            times = yield GetMany(tuple(self.keys.timing(key) for key, _ in fresh))
            for (key, f), timing in zip(fresh, times, strict=True):
                result = Result.from_json(f.data, self.keys.result(key))
                self.results[key], self._ranks[key] = result, result.rank
                if timing is not None:
                    self.timings[key] = Timing.from_json(timing.data, self.keys.timing(key))
                news.append(result)
            self._open = [job for job in self._open if job.key not in self.results]

    def put_back(self) -> Program[None]:
        """Create again what we know and the store has forgotten: others cannot know of it, and would wait for ever."""
        known = {self.keys.result(key): result for key, result in self.results.items()}
        records: dict[str, Result | Timing] = {self.keys.timing(key): timing for key, timing in self.timings.items()}
        records.update(known)  # behind the timings, as when they were made
        lost = set((yield Missing(tuple(records)))) if records else set()
        for key, record in records.items():
            if key in lost:
                yield Create(key, record.to_json(key))

    def claims(self) -> Program[list[tuple[TrialJob, Claim | None]]]:
        """The open jobs with the workers that have claimed them, in order."""
        asked = self.open
        keys = [self.keys.claim(job.key) for job in asked]
        found = (yield GetMany(tuple(keys))) if keys else []
        claims = [Claim.from_json(f.data, key) if f is not None else None for f, key in zip(found, keys, strict=True)]
        return list(zip(asked, claims, strict=True))

    def claim(self, worker: int, deaths: int) -> Program[tuple[TrialJob, Claim] | None]:
        """A job for a worker: the one it has claimed before, or the first that nobody has."""
        claims = yield from self.claims()
        for job, claim in claims:
            if claim is not None and claim.worker == worker:
                return job, claim
        for job, claim in claims:
            mine, key = Claim(worker, deaths), self.keys.claim(job.key)
            if claim is None and (yield Create(key, mine.to_json(key))):
                return job, mine
        return None
