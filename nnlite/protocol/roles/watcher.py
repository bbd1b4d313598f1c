"""The watcher: the command that started a run, and what can be done to a run from outside."""

from __future__ import annotations

from nnlite.errors import NnliteError
from nnlite.protocol.averaging.contribution import Summary
from nnlite.protocol.downpour import combine
from nnlite.protocol.effects import Casualties, FoundObject, Get, Invoke, Note, Now, Program
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import DONE, FAILED, STOPPED, Head
from nnlite.protocol.records.keys import LIFE, Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import durable
from nnlite.protocol.roles.waiter import MORE_MEMORY, Leave, Waiter
from nnlite.records import Kept


class Watcher(Waiter):
    """The command that started a run: invokes its workers, tells of every round, replaces the dead."""

    def __init__(self, spec: RunSpec, first_round: int = 0):
        super().__init__(spec)
        self.told = first_round  #: the next round whose summary is to be told

    def program(self, attempts: dict[int, int]) -> Program[Head]:
        """Invoke `attempts` (worker -> attempt), then watch to the end. -> the last head."""
        self.pace.began_s = yield Now()
        for worker, attempt in attempts.items():
            yield Invoke(worker, attempt)
        round = -1
        try:
            while True:
                now_head = yield from self.wait(round)
                round = now_head.round
                yield from self._tell(round)
                yield from self.tell_more()
                yield from self.look_after(now_head)
        except Leave:
            return (yield from self._end())

    def _end(self) -> Program[Head]:
        """Tell of the last round, and tidy up. -> the last head"""
        found = yield from head.read(self.spec)
        last = found[0] if found else None
        if last is None and self.spec.checkpoint_store is not None:
            last = yield from durable.restore(self.spec)
        if last is None:
            return Head(status=FAILED, reason=f"the run {self.spec.run} is no longer in the store: {MORE_MEMORY}")
        yield from self._tell(last.round + 1)
        yield from self.tell_more()
        yield from self.tidy(last)
        return last

    def _tell(self, before: int) -> Program[None]:
        """Tell the summaries of all rounds before `before` that were not told yet."""
        self.told = max(self.told, before // LIFE * LIFE)  # a run that was restored has left out many numbers
        while self.told < before:
            found = yield Get(self.keys.summary(self.told))
            if found is not None:
                yield told("round", Summary, found, self.keys.summary(self.told))
            self.told += 1

    def tell_more(self) -> Program[None]:
        """Tell of what the protocol makes besides rounds."""
        yield from ()

    def look_after(self, now_head: Head) -> Program[None]:
        """Replace workers that waiting for the head does not miss."""
        yield from ()

    def between_polls(self) -> Program[None]:
        """Replace at once those whom the platform knows to be dead."""
        for worker, attempt in (yield Casualties()):
            found = yield Get(self.keys.lease(worker))
            if found is None:
                self.opened[worker] = lease.as_of(attempt, (yield from self._last_known(worker)))
            current = Lease.from_json(found.data, self.keys.lease(worker)).attempt if found else attempt
            if current == attempt:
                yield from self.replace(worker, found)


def told(event: str, kind: type[Kept], found: FoundObject, key: str) -> Note:
    """What people are told of a round or an evaluation: nothing depends on it, so a damaged one ends no run."""
    try:
        return Note(event, vars(kind.from_json(found.data, key)))
    except NnliteError as error:
        return Note("unreadable", {"reason": str(error)})


def stop(run: str, reason: str) -> Program[Head | None]:
    """Stop a run: every worker leaves at its next beat, poll or slice; the checkpoints stay. None: it has no head."""
    return (yield from head.end(Keys(run).head, STOPPED, reason))


def reopen(spec: RunSpec) -> Program[dict[int, int]]:
    """Let a stopped or failed run go on from its newest checkpoint, which may be the durable one. -> the attempt to
    invoke each worker with."""
    keys = Keys(spec.run)
    yield from durable.reopen(spec)
    stands = yield from head.change(keys.head, lambda h: h if h.status == DONE else h.reopened())
    if spec.checkpoint_store is not None:
        stands = yield from durable.restore(spec)
    known = stands.lease if stands is not None and spec.is_lone else None
    yield from combine.free(keys)
    attempts = {}
    for worker in range(spec.num_workers):
        opened = None
        while opened is None:
            found = yield Get(keys.lease(worker))
            opened = yield from lease.take_over(keys.lease(worker), found, anew=True, known=known)
        attempts[worker] = opened.attempt
    return attempts
