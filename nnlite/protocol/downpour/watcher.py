"""The watcher of Downpour: tells of evaluations on the way, and looks for the dead while the head moves on."""

from __future__ import annotations

from nnlite.protocol.downpour.evaluation import CheckpointScore
from nnlite.protocol.effects import FoundObject, GetMany, Now, Program
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.roles.watcher import Watcher, told

AHEAD = 8  # evaluations that are looked for at a time: some are left out, when steps come fast or a worker dies


class DownpourWatcher(Watcher):
    """The command that started a run of Downpour."""

    evaluated = 0  #: the last evaluation that was told
    checked_s = 0.0  #: when we last looked at all leases

    def program(self, attempts: dict[int, int]) -> Program[Head]:
        self.checked_s = yield Now()
        return (yield from super().program(attempts))

    def tell_more(self) -> Program[None]:
        """Tell of the evaluations on the way; of one that its worker did not live to finish there is nothing."""
        while self.spec.eval_every:
            found = yield GetMany(tuple(self.keys.evaluation(self.evaluated + n) for n in range(1, 1 + AHEAD)))
            ahead = next((n for n, one in enumerate(found, 1) if one is not None), None)
            if ahead is None:
                return
            self.evaluated += ahead
            yield told("evaluated", CheckpointScore, found[ahead - 1], self.keys.evaluation(self.evaluated))

    def look_after(self, now_head: Head) -> Program[None]:
        """Look at all leases now and then, in one request. The head moves on while anybody lives, so a watcher that
        waits for it never waits for long, and would not miss anybody."""
        now_s = yield Now()
        if now_s - self.checked_s < self.spec.straggler_timeout_s:
            return
        self.checked_s = now_s
        going = [worker for worker in range(self.spec.num_workers) if worker not in now_head.finished]
        found = yield GetMany(tuple(self.keys.lease(worker) for worker in going))
        for worker, one in zip(going, found, strict=True):
            key = self.keys.lease(worker)
            if self.spec.wait_s is not None and not _is_held(one, key):
                continue  # its call may be in a queue, behind others for long
            if self.watch.is_dead(key, one, now_s):
                yield from self.replace(worker, one)


def _is_held(found: FoundObject | None, key: str) -> bool:
    return found is not None and Lease.from_json(found.data, key).holder != OPEN
