"""A worker: the life of one invocation, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nnlite.protocol.averaging.upkeep import Contributing
from nnlite.protocol.effects import (
    Create,
    Delete,
    GetMany,
    Invoke,
    Note,
    Now,
    Program,
    Remaining,
    Score,
    Sleep,
    Spent,
    Train,
    TrainingSums,
)
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import RUNNING, STOPPED, Head
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.usage import NOTHING
from nnlite.protocol.roles.waiter import MORE_MEMORY, Leave


@dataclass(frozen=True)
class Left:
    """Why a program ended."""

    reason: str


MAX_PAUSE_S = 0.5  # before it does: others may be about to restore the run
MAX_RESTORED = 20  # times an invocation begins again, before the store is taken for too small


class Restored(Exception):  # not an error, like Leave
    """The run goes on from a durable checkpoint: whatever this invocation has in mind is of no use any more."""


class Worker(Contributing):
    """One invocation of one worker: it takes its lease, works, beats, and leaves when it has to."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker)
        self.attempt, self.holder = attempt, holder
        self.known: Lease | None = None  #: that lease, as we had it when we began again
        self.beaten_s = self.looked_s = self.longest_s = 0.0
        self.before = NOTHING  #: what earlier attempts of this worker have used
        self.num_restored = 0  #: how often this invocation began again
        self.life: int | None = None  #: of the run, when we began

    def program(self) -> Program[Left]:
        """From the lease to the end of the run."""
        one, num_restored = self, 0
        try:
            while True:
                try:
                    yield from one._begin()
                    yield from one.work()
                    return Left("the work is done")
                except Restored:
                    num_restored += 1
                    yield Sleep(min(MAX_PAUSE_S, self.spec.poll_s * 2**num_restored))
                    one = one._anew(num_restored)
        except Leave as why:
            yield Note("left", {"reason": str(why)})
            return Left(str(why))

    def _anew(self, num_restored: int) -> Worker:
        """The same invocation, knowing nothing of the run but what it has spent, and how often this happened."""
        again = type(self)(self.spec, self.worker, self.attempt, self.holder)
        again.before, again.known, again.num_restored = self.before, self.lease or self.known, num_restored
        return again

    def work(self) -> Program[None]:
        """What the protocol makes of it; goes on until something raises Leave."""
        raise TypeError(f"{type(self).__name__} must define work()")

    def _begin(self) -> Program[None]:
        key, used = self.keys.lease(self.worker), (yield Spent())
        mine = yield from lease.acquire(key, self.attempt, self.holder, used, self._last_lease)
        if mine is None:
            raise Leave("another invocation is this worker")
        self.before = max(self.before, mine.before, key=lambda used: used.age_s)
        yield from self._suppose_used()
        self.lease = replace(mine, before=self.before)
        self.beaten_s = self.looked_s = self.pace.began_s = yield Now()
        yield Note("began", {"attempt": self.attempt})
        if self.num_restored > MAX_RESTORED:
            reason = f"the store has forgotten the run {self.num_restored} times: {MORE_MEMORY}"
            yield from self.fail(reason)
        yield from self.beat()

    def _last_lease(self) -> Program[Lease | None]:
        """What our lease was, if the store has lost it: as we held it, or as the head knows that of a lone worker."""
        if self.known is not None or self.attempt == 1:
            return self.known
        return (yield from self._last_known(self.worker))

    # ---- working in slices

    def until_finished(self, effect: Train | Score, round: int) -> Program[TrainingSums]:
        """Repeat an effect of limited time, looking up in between; a loss that is no number ends the run."""
        while True:
            began_s = yield Now()
            progress: TrainingSums = yield effect
            if not np.isfinite(progress.loss_sum):
                yield from self.diverged(round)
            now_s = yield Now()
            self.longest_s = max(self.longest_s, now_s - began_s)
            if progress.finished:
                return progress
            yield from self.beat()
            yield from self._look(now_s)
            if (yield from self._has_to_leave(2 * self.longest_s)):
                yield from self.hand_over((yield from self.cursor()))

    def cursor(self) -> Program[bytes | None]:
        """What the next invocation needs to go on in the middle of our work, if anything."""
        yield from ()
        return None

    def _look(self, now_s: float) -> Program[None]:
        """See now and then whether the run goes on; leaves when it does not."""
        if now_s - self.looked_s >= self.spec.look_s:
            yield from self.read_head()
            self.looked_s = yield Now()

    # ---- leaving in time

    def _has_to_leave(self, more_s: float = 0.0) -> Program[bool]:
        left_s: float = yield Remaining()
        return left_s < self.spec.hand_over_s + more_s

    def hand_over(self, cursor: bytes | None) -> Program[None]:
        """Let the next invocation of this worker go on from `cursor`, or from what is in the store; and leave."""
        if cursor is not None:
            yield Create(self.keys.cursor(self.worker, self.attempt), cursor)
        yield from self.read_head()  # for a run that is over nobody is invoked any more
        assert self.lease is not None
        mine = replace(self.lease, own=(yield Spent()))
        if self.spec.is_lone:  # in a round that takes longer than an invocation the head would not know of it
            yield from head.change(self.keys.head, lambda now: now.moved_by(mine) if now.status == RUNNING else now)
        opened = yield from lease.hand_over(self.keys.lease(self.worker), mine, cursor is not None)
        if opened is None:
            raise Leave("another invocation has taken over")
        yield Note("handed over", {"attempt": opened.attempt})
        yield Invoke(self.worker, opened.attempt)
        yield from self.forget_cursor()
        raise Leave("handed over in time")

    def forget_cursor(self) -> Program[None]:
        """Delete the cursor that we went on from: it is not needed any more."""
        if self.lease is not None and self.lease.cursor:
            yield Delete(self.keys.cursor(self.worker, self.lease.cursor))
            self.lease = replace(self.lease, cursor=0)

    # ---- beats, and what they cost

    def beat(self) -> Program[None]:
        """Keep the lease alive; leave when it is somebody else's now, or when the run has cost enough."""
        now_s = yield Now()
        if self.lease is not None:
            mine = replace(self.lease, own=(yield Spent()))
            if self.spec.is_lone or self.spec.has_caps:
                self.rounds.mover = self.combiner.mover = mine
            yield from self._check_caps(mine)
            if now_s - self.beaten_s >= self.spec.beat_s:
                self.lease = yield from lease.renew(self.keys.lease(self.worker), mine)
                self.beaten_s = now_s
        if self.lease is None:
            raise Leave("another invocation has taken over")

    def _suppose_used(self) -> Program[None]:
        """If the store has lost our lease, and with it what earlier attempts have used: the most that another worker
        has, as all do about the same, or that the head knows of. A worker that was never there has used nothing."""
        spec, others = self.spec, [w for w in range(self.spec.num_workers) if w != self.worker]
        if self.attempt == 1 or self.before.age_s or not spec.has_caps:
            return
        now_head = yield from self.read_head()
        if not self.has_worked(now_head):
            return
        keys = tuple(self.keys.lease(worker) for worker in others)
        found = zip((yield GetMany(keys)), keys, strict=True) if keys else ()
        leases = [Lease.from_json(one.data, key) for one, key in found if one is not None]
        used = [one.used for one in (*leases, now_head.lease) if one is not None]
        self.before = max(used, key=lambda one: one.age_s, default=NOTHING)

    def has_worked(self, now_head: Head) -> bool:
        """Whether an attempt of this worker has got something done, as far as the head shows it."""
        return now_head.round > 0

    def _check_caps(self, mine: Lease) -> Program[None]:
        """Stop the run before this worker uses more than its share of the budget, or more time than it has."""
        spec = self.spec
        if spec.budget_usd is not None:
            share, reserve_usd = spec.budget_usd / spec.num_workers, spec.hand_over_s * spec.rates.worker_second_usd
            if mine.usd(spec.rates) + reserve_usd >= share:
                yield from self.cap(f"its budget of ${spec.budget_usd:g} is spent")
        yield from self._check_time(mine)

    def _check_time(self, mine: Lease) -> Program[None]:
        max_s = self.spec.max_s
        if max_s is not None and mine.used.age_s + mine.unseen_s >= max_s:
            yield from self.cap(f"its time of {max_s:g} s is up")

    def cap(self, reason: str) -> Program[None]:
        """End the run with what it has: its newest checkpoint is the result."""
        stands = yield from head.end(self.keys.head, STOPPED, reason, has_result=True)
        if stands is not None:
            yield from self.rounds.keep_result(stands)
        raise Leave(reason)

    def between_polls(self) -> Program[None]:
        yield from self.beat()
        if (yield from self._has_to_leave()) or (yield from self._has_waited()):
            yield from self.hand_over(None)

    def _has_waited(self) -> Program[bool]:
        """Whether others may need our place: a queue that runs few calls at a time runs them when we leave."""
        return self.spec.wait_s is not None and (yield Now()) - self.waits_since_s > self.spec.wait_s

    # ---- giving up

    def diverged(self, round: int) -> Program[None]:
        """End the run, as failed: a loss or a weight of this worker is no longer a number."""
        reason = (
            f"the loss is no longer a number (round {round}, worker {self.worker}): "
            "try a smaller learning_rate=, or another optimizer="
        )
        yield from self.fail(reason)

    def read_head(self) -> Program[Head]:
        now_head = yield from super().read_head()
        if self.life is None:
            self.life = now_head.life
        if now_head.life != self.life:
            raise Restored
        return now_head

    def restore(self, why: str) -> Program[Head]:
        yield from super().restore(why)
        raise Restored
