"""The processor: how much of it this process may use, and how many threads BLAS makes of that."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ROOT = Path("/")


def blas_of(threads: int = 1) -> dict[str, str]:
    """The environment in which BLAS has so many threads; NumPy reads it when it is first imported. A worker has one: it
    is not alone on its machine, and threads of BLAS that wait for each other there are slow."""
    return dict.fromkeys(BLAS_THREADS, str(threads))


def usable_cores(root: Path = ROOT) -> float:
    """How many cores this process may use at a time: those that it may run on (`taskset`, a cpuset), within the quota
    of its control groups (a container's --cpus), which may be a fraction. root: where /proc and /sys are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(allowed), *_quotas(root)])


def num_processes(root: Path = ROOT) -> int:
    """How many processes make use of all of that."""
    return ceil(usable_cores(root))


def _quotas(root: Path) -> Iterator[float]:
    """The cores of every control group with a quota that this process is in, and of those around it."""
    for mounted, group in _groups(root):
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mounted):
                break
            with suppress(OSError, ValueError, ZeroDivisionError):  # it says nothing of time, or "max": it has no quota
                quota, period = _time_of(folder)
                if quota > 0:
                    yield quota / period


def _time_of(folder: Path) -> tuple[float, float]:
    """The quota of processor time and its period, as version 2 or version 1 says it."""
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text().split()
        return float(quota), float(period)
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return float(quota), float(period)


def _groups(root: Path) -> Iterator[tuple[Path, Path]]:
    """Where each hierarchy of control groups that can limit time is mounted, and our group in it."""
    with suppress(OSError, ValueError):
        ours = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
        for line in (root / "proc/self/mountinfo").read_text().splitlines():
            head, _, tail = line.partition(" - ")
            origin, mount = (_plain(field) for field in head.split()[3:5])
            kind, options = tail.split()[0], tail.split()[-1].split(",")
            for _, controllers, group in ours:
                is_it = kind == "cgroup" and "cpu" in options and "cpu" in controllers.split(",")
                if is_it or (kind == "cgroup2" and not controllers):
                    mounted, inside = root / mount.lstrip("/"), os.path.relpath(group, origin)
                    yield mounted, mounted if inside.startswith("..") else mounted / inside


def _plain(field: str) -> str:
    """A path of mountinfo, in which blanks are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
