"""The server: what all clients of a store share, and so have to wait for."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from nnlite.simulation.profile import StoreProfile


@dataclass
class ModelledServer:
    """Bandwidth, and requests a second. It serves all alike: who wants little waits little.

    A request waits for everything that was accepted before it, but for no more of each other client than it wants
    itself: that is what a fair share comes to. What was promised to those before it stays promised, so where small
    requests overtake large ones the server does up to that much more than it could.
    """

    profile: StoreProfile
    _free_s: float = 0.0  #: when all that was accepted is done
    _ends: list[float] = field(default_factory=list)  #: heap: when each accepted request is done

    def done_in_s(self, now_s: float, num_bytes: int, num_reads: int = 0, num_writes: int = 0) -> float:
        """Accept a request. -> seconds until the server is through with it."""
        one = self.profile
        work_s = (
            num_bytes / one.shared_bytes_per_s
            + num_reads / one.shared_reads_per_s
            + num_writes / one.shared_writes_per_s
        )
        while self._ends and self._ends[0] <= now_s:
            heapq.heappop(self._ends)
        self._free_s = max(self._free_s, now_s) + work_s
        end_s = min(self._free_s, now_s + work_s * (len(self._ends) + 1))
        heapq.heappush(self._ends, end_s)
        return end_s - now_s
