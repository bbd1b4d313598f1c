"""This very process: how old it is, and how large it has been."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path


def process_age_s() -> float:
    """How long ago this process began; 0 where that cannot be told."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    return 0.0


def peak_memory_bytes() -> int:
    """The largest resident size of this process so far; 0 where that cannot be told. On Linux from /proc: what
    getrusage says there is never less than the size of the parent at the time of the fork."""
    with suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    with suppress(ImportError):  # Windows has no such module
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 0
