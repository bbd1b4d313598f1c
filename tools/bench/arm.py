"""One contestant in a process of its own: it makes a step, and runs it whenever its parent says so.

`python -m tools.bench.arm ARM CASE BATCH THREADS`, started by `tools.bench.rounds`. It answers each line "N"
on stdin (run N steps) with the seconds they took, and the line "memory" with its peak memory in bytes.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from pathlib import Path

ARMS = {  # name -> (module in tools.bench, variant)
    "nnlite": ("ours", ""),
    "nnlite-im2col": ("ours", "im2col"),
    "torch": ("peers_torch", ""),
    "torch-tuned": ("peers_torch", "tuned"),
    "tensorflow": ("peers_tensorflow", ""),
}


def main() -> int:
    """Serve until stdin ends. Exit code 3: what this arm needs is not installed."""
    from tools.bench.workload import Workload

    name, case, batch, threads = sys.argv[1:]
    module_name, variant = ARMS[name]
    module = importlib.import_module(f"tools.bench.{module_name}")
    try:
        version = module.version()
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return 3
    step = module.make(Workload(case, int(batch), int(threads)), variant)
    for _ in range(3):  # libraries tune themselves and make their memory in the first steps
        step()
    print(version, flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(peak_memory_bytes(), flush=True)
            continue
        start_s = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - start_s, flush=True)
    return 0


def peak_memory_bytes() -> int:
    """The largest resident size of this process so far. On Linux from /proc: what getrusage says there is
    never less than the size of the parent at the time of the fork."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
