"""Search as an object: the protocol of a run whose workers each train trials of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nnlite.protocol.base import Protocol
from nnlite.protocol.records.keys import MOST_VERSION

if TYPE_CHECKING:
    from nnlite.protocol.records.head import Head
    from nnlite.protocol.records.spec import RunSpec
    from nnlite.protocol.roles.watcher import Watcher
    from nnlite.protocol.roles.worker import Worker


@dataclass(frozen=True)
class Search(Protocol):
    """Trials that are workers without merging; what else a search says is in its own specification: `search.spec`."""

    name: ClassVar[str] = "search"
    is_for_jobs: ClassVar[bool] = False
    has_rounds: ClassVar[bool] = False
    has_trials: ClassVar[bool] = True
    shares_slots: ClassVar[bool] = False

    def last_round(self, spec: RunSpec, life: int) -> int:
        """Rounds are news of results, of any number."""
        return MOST_VERSION

    def briefly(self, spec: RunSpec, head: Head) -> str:
        return f"{head.round} results"

    def standing(self, spec: RunSpec, head: Head) -> str:
        return self.briefly(spec, head)

    def worker(self, spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
        from nnlite.protocol.search.worker import SearchWorker

        return SearchWorker(spec, worker, attempt, holder)

    def watcher(self, spec: RunSpec, first_round: int = 0) -> Watcher:
        from nnlite.protocol.search.watcher import SearchWatcher

        return SearchWatcher(spec, first_round)
