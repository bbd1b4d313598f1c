"""Searching: what the workers of a search and the command that started it have in common."""

from __future__ import annotations

from dataclasses import replace

from nnlite.protocol.effects import Create, FoundObject, Get, Invoke, Note, Now, Program, Swap
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import DONE, RUNNING, Head
from nnlite.protocol.records.lease import IDLE, Lease
from nnlite.protocol.roles.waiter import Leave, Waiter
from nnlite.protocol.search.board import Board
from nnlite.protocol.search.spec import SearchSpec

ALL_DONE = "all trials done"


class Searching(Waiter):
    """Looks at the board, and sees to it that somebody works on every job.

    The head's `round` counts news: a worker that has made a result raises it, and a worker without work waits for that.
    """

    board: Board

    def open_board(self) -> Program[SearchSpec]:
        """Read the search's specification; leaves when there is none."""
        board = yield from Board.of(self.spec.run)
        if board is None:
            raise Leave(f"the search {self.spec.run} is not in the store")
        self.board = board
        return board.search

    def look(self) -> Program[Head]:
        """Look at the board; end the search when nothing is left to do. -> the head as it was before"""
        now_head = yield from self.read_head()
        yield from self.board.look()
        if self.board.is_over:
            yield from self.board.put_back()
            yield from self.end(ALL_DONE)
        return now_head

    def news(self) -> Program[None]:
        """Tell everybody that there is a new result."""

        def told(now: Head) -> Head:
            return replace(now, round=now.round + 1).moved_by(self.rounds.mover) if now.status == RUNNING else now

        yield from head.change(self.keys.head, told)

    def end(self, reason: str) -> Program[None]:
        """No more jobs: end the search, and leave."""
        yield from head.end(self.keys.head, DONE, reason, has_result=True)
        raise Leave(reason)

    # ---- repair

    def repair(self) -> Program[None]:
        """Nothing new for long: see whether anybody is still there, and whether somebody died before telling."""
        before = len(self.board.results)
        yield from self.look()
        yield from self.board.put_back()
        if len(self.board.results) > before:
            yield from self.news()
        yield from self.staff()

    def staff(self) -> Program[None]:
        """Replace dead workers that have a job, and call as many idle or lost ones as there are jobs for."""
        claims = yield from self.board.claims()
        busy = {claim.worker for _, claim in claims if claim is not None}
        num_free = sum(claim is None for _, claim in claims)
        for worker in range(self.spec.num_workers):
            if worker not in busy and num_free <= 0:
                continue
            key = self.keys.lease(worker)
            found = yield Get(key)
            if found is not None and Lease.from_json(found.data, key).holder == IDLE:
                yield from self._wake(worker, found)
            elif self.watch.is_dead(key, found, (yield Now())):
                yield from self.replace(worker, found)
            else:
                continue
            num_free -= worker not in busy

    def replace(self, worker: int, found: FoundObject | None) -> Program[None]:
        """Every invocation begins by reading the search's specification, too."""
        yield Create(self.board.keys.spec, self.board.search.to_json())
        yield from super().replace(worker, found)

    def _wake(self, worker: int, found: FoundObject) -> Program[None]:
        opened = yield from lease.take_over(self.keys.lease(worker), found, anew=True)
        if opened is not None:
            yield Note("woken", {"worker": worker, "attempt": opened.attempt})
            yield Invoke(worker, opened.attempt)

    def rest(self, worker: int, mine: Lease) -> Program[None]:
        """Leave for want of work, in such a way that everybody knows, and may call again."""
        key = self.keys.lease(worker)
        found = yield Get(key)
        if found is not None:
            current = Lease.from_json(found.data, key)
            if (current.attempt, current.holder) == (mine.attempt, mine.holder):
                left = replace(current, holder=IDLE, beat=current.beat + 1, own=mine.own, is_final=True)
                yield Swap(key, left.to_json(key), found)
        raise Leave("there is nothing to do at the moment")
