"""The lone worker of Downpour: nobody else needs to know its updates, or to be kept from folding them."""

from __future__ import annotations

from nnlite.protocol.downpour.combine import Moved
from nnlite.protocol.downpour.updates import Label
from nnlite.protocol.downpour.worker import DownpourWorker
from nnlite.protocol.effects import Model, Program
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.worker import Restored


class LoneWorker(DownpourWorker):
    """Keeps an update until it has folded it, and stands on the checkpoint that this makes."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker, attempt, holder)
        self.pull_every = spec.push_every

    def _publish(self, model: Model, label: Label) -> Program[None]:
        yield from ()

    def _combine(self) -> Program[Moved | None]:
        moved = yield from super()._combine()
        self.base, self.pending = (moved.head if moved else (yield from self.read_head())).round, []
        if self.base != self.combiner.created:
            raise Restored  # another invocation of us has made this checkpoint, without our update
        return moved

    def _push_rest(self) -> Program[None]:
        yield from super()._push_rest()
        yield from self._combine()
