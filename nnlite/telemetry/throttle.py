"""A throttle: lets a process have a share of the processor, as a function of little memory has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Throttle:
    """Sleeps after work, so that processor time stays within `share` (1.0: one core) of the time that passes.

    It is done by the process itself after every piece of its work, on its own processor time: start-up is included,
    time spent waiting is not saved up. Linux does the same to a function, by quotas of 20 to 100 ms.
    """

    share: float
    clock: Callable[[], float] = time.monotonic
    cpu: Callable[[], float] = time.process_time
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._at_s, self._cpu_s = self.clock() - self.cpu(), 0.0  # start-up has been at full speed

    def settle(self) -> None:
        """Sleep off what was used too much since the last time."""
        now_s, cpu_s = self.clock(), self.cpu()
        owed_s = (cpu_s - self._cpu_s) / self.share - (now_s - self._at_s)
        if 0 < owed_s < 0.002:
            return  # too short to be slept well: it adds up until next time
        if owed_s > 0:
            self.sleep(owed_s)
            now_s = self.clock()
        self._at_s, self._cpu_s = now_s, cpu_s
