"""Search: a worker that trains trials, one stretch after the other.

Workers of a search do not merge anything. What is to be trained next follows from the results so far (see `asha`);
a worker claims the first job that nobody has, trains, scores on the validation split, and creates the result. Every
result is immutable and has a name that follows from trial and rung, so a job done twice changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlite.errors import StoreError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import (
    Collect,
    Create,
    Delete,
    Get,
    GetMany,
    Join,
    Now,
    Program,
    Resume,
    Score,
    Spent,
    Standing,
    Suspend,
    Swap,
    TakeUp,
    Train,
)
from nnlite.protocol.records import cursor
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.waiter import MORE_MEMORY
from nnlite.protocol.roles.worker import Worker
from nnlite.protocol.search.asha import JobKey, TrialJob
from nnlite.protocol.search.board import Claim
from nnlite.protocol.search.result import DIVERGED, FAILED, Result, Timing
from nnlite.protocol.search.shared import Searching
from nnlite.protocol.search.spec import SearchSpec


class Diverges(Exception):  # not an error: how deep code says that a trial is over
    """A loss or a weight of a trial is no longer a number."""


class SearchWorker(Searching, Worker):
    """One invocation of a worker: it claims a job, trains and scores it, and looks for the next."""

    search: SearchSpec
    idle_since_s = totalled_s = 0.0
    billed_usd = 0.0  #: of our own bill, what is in the timings of jobs already
    at = -1  #: the job that we are at

    def work(self) -> Program[None]:
        """Job after job, until the search is over, or there is nothing to do for long."""
        self.search = yield from self.open_board()
        while True:
            now_head = yield from self.look()
            claimed = yield from self.board.claim(self.worker, self._deaths)
            if claimed is not None:
                yield from self._carry_out(*claimed)
            else:
                self.idle_since_s = yield Now()
                yield from self.wait(now_head.round)

    @property
    def _deaths(self) -> int:
        assert self.lease is not None
        return self.lease.deaths

    def between_polls(self) -> Program[None]:
        """Beat; leave when there was nothing to do for so long that waiting would cost more than coming back."""
        yield from super().between_polls()
        patience_s = self.search.patience_s
        if patience_s is not None and self.lease is not None and (yield Now()) - self.idle_since_s > patience_s:
            yield from self.rest(self.worker, replace(self.lease, own=(yield Spent())))

    def _check_caps(self, mine: Lease) -> Program[None]:
        """As of a run, but workers are not equally busy: one that has used up its share asks what all have spent."""
        spec = self.spec
        yield from self._check_time(mine)
        if spec.budget_usd is None:
            return
        spent_usd = mine.usd(spec.rates)
        reserve_usd = (spec.hand_over_s + spec.beat_s) * spec.rates.worker_second_usd
        now_s = yield Now()
        if spent_usd + reserve_usd < spec.budget_usd / spec.num_workers or now_s - self.totalled_s < spec.beat_s:
            return
        self.totalled_s = now_s
        keys = [self.keys.lease(other) for other in range(spec.num_workers) if other != self.worker]
        found = (yield GetMany(tuple(keys))) if keys else []
        others = [
            Lease.from_json(f.data, key).usd(spec.rates) for f, key in zip(found, keys, strict=True) if f is not None
        ]
        if spent_usd + sum(others) + reserve_usd * spec.num_workers >= spec.budget_usd:
            yield from self.cap(f"its budget of ${spec.budget_usd:g} is spent")

    def diverged(self, round: int) -> Program[None]:
        """The trial is worst; the search goes on."""
        yield from ()
        raise Diverges

    # ---- a job

    def _carry_out(self, job: TrialJob, claim: Claim) -> Program[None]:
        """Train a trial up to the rung, score it, create the result."""
        began_s, self.at = (yield Now()), job.number
        rounds = self.search.ladder.rounds[job.rung]
        deaths = self._deaths - claim.deaths
        if deaths >= self.search.max_deaths:
            reason = f"its worker died {deaths} times"
            result = Result(job.trial, job.rung, rounds, status=FAILED, reason=reason)
        else:
            result = yield from self._train_and_score(job, rounds)
        usd = self.spec.rates.usd((yield Spent()))
        seconds = (yield Now()) - began_s
        timing = Timing(self.worker, self.attempt, round(seconds, 3), usd - self.billed_usd)
        told, made = self.board.keys.timing(job.key), self.board.keys.result(job.key)
        yield Create(told, timing.to_json(told))
        yield Create(made, result.to_json(made))
        self.billed_usd = usd
        if job.rung > 0:
            yield Delete(self.board.keys.model((job.trial, job.rung - 1)))
        yield from self.forget_cursor()
        yield from self.news()
        yield from self._forget_deaths()

    def _train_and_score(self, job: TrialJob, rounds: int) -> Program[Result]:
        """The result. If somebody else was faster, and has cleared away what it begins with, then his result is there
        already, and stays."""
        result = Result(job.trial, job.rung, rounds)
        try:
            tally = yield from self._train(job)
            scored = yield from self.until_finished(Score(self.spec.slice_s), rounds)
        except Diverges:
            reason = "its loss was no longer a number: the learning rate may be too high"
            return replace(result, status=DIVERGED, reason=reason)
        return replace(
            result,
            num_samples=tally.num_samples,
            train_loss=tally.loss,
            accuracy=scored.num_correct / max(1, scored.num_samples),
            loss=scored.loss_sum / max(1, scored.num_samples),
        )

    def _train(self, job: TrialJob) -> Program[Tally]:
        """Train from the rung below, and keep the model; or go on where an earlier attempt left off."""
        trial = yield from self._trial(job.trial)
        yield TakeUp(trial)
        where, end = self.board.keys.model(job.key), self._end(job.key, trial)
        done, standing = (yield Get(where)), (yield from self._left_off(job))
        if standing is not None and standing.step == end:
            yield Resume(standing, where, job.rung)
        elif done is not None:
            yield Join(done.data, where, end, ())
        else:
            yield from self._stand_below(job.key, trial, standing)
        data = done.data if done is not None else (yield from self._make(job.key, trial))
        return contribution.decode(data, where)[1]

    def _end(self, key: JobKey, trial: RunSpec) -> int:
        """The step at which a stretch of training ends."""
        return self.search.ladder.rounds[key[1]] * (trial.steps_per_round or 1)

    def _stand_below(self, key: JobKey, trial: RunSpec, standing: Standing | None) -> Program[None]:
        """Stand where a stretch of training begins, or where an earlier attempt left off in it. If the store has lost
        the model that it begins with, make that again."""
        below = (key[0], key[1] - 1)
        begin = self._end(below, trial) if key[1] else -1
        if standing is not None and standing.step > begin:
            yield Resume(standing, self.board.keys.model(key), key[1])
        elif key[1]:
            where = self.board.keys.model(below)
            found = yield Get(where)
            if found is None:
                yield from self._stand_below(below, trial, standing)
            data = found.data if found is not None else (yield from self._make(below, trial))
            yield Join(data, where, begin, ())

    def _make(self, key: JobKey, trial: RunSpec) -> Program[bytes]:
        """Train to the end of a stretch, and keep the model. -> its bytes"""
        where, rounds = self.board.keys.model(key), self.search.ladder.rounds[key[1]]
        trained = yield from self.until_finished(Train(self.spec.slice_s, self._end(key, trial)), rounds)
        model = yield Collect()
        if not np.isfinite(model.vector).all():
            raise Diverges
        data = contribution.encode(model, Tally(trained.num_samples, trained.loss_sum), where)
        yield Create(where, data)
        return data

    def cursor(self) -> Program[bytes | None]:
        return cursor.encode((yield Suspend()), self.at, self.keys.cursor(self.worker, self.attempt))

    def _left_off(self, job: TrialJob) -> Program[Standing | None]:
        """Where the last attempt handed over, if that was in the middle of this job."""
        if self.lease is None or not self.lease.cursor:
            return None
        where = self.keys.cursor(self.worker, self.lease.cursor)
        found = yield Get(where)
        standing, number = cursor.decode(found.data, where) if found is not None else (None, -1)
        return standing if number == job.number else None

    def _trial(self, trial: int) -> Program[RunSpec]:
        key = self.board.keys.trial(trial)
        found = yield Get(key)
        if found is None:
            raise StoreError(f"{key} is missing in the store: {MORE_MEMORY}")
        return RunSpec.of_run(self.board.keys.trial_run(trial), found.data, key)

    def _forget_deaths(self) -> Program[None]:
        """A job is done: what this worker's attempts died of before does not count any more."""
        if self.lease is None or not self._deaths:
            return
        key = self.keys.lease(self.worker)
        found = yield Get(key)
        current = Lease.from_json(found.data, key) if found is not None else None
        if current is None or (current.attempt, current.holder) != (self.lease.attempt, self.lease.holder):
            return  # the next beat finds out
        reborn = replace(current, since=current.attempt, beat=current.beat + 1)
        if (yield Swap(key, reborn.to_json(key), found)):
            self.lease = reborn
