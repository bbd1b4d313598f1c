"""Interleaved measurement: every contestant runs a little in each round, so that a slow minute hits all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnlite.errors import NnliteError
from tools.bench.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
ROUND_S = 0.1  # how long one contestant runs in a round, at least one step
NOT_INSTALLED = 3
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
KERNEL_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass
class Result:
    """What one contestant did: seconds a step, one number a round, and its peak memory."""

    arm: str
    version: str
    step_s: list[float] = field(default_factory=list)
    peak_memory_bytes: int = 0

    @property
    def median_s(self) -> float:
        return statistics.median(self.step_s)


class Contestant:
    """A process that runs one arm, see `tools.bench.arm`."""

    def __init__(self, arm: str, workload: Workload, python: str, environ: Mapping[str, str]):
        command = [python, "-m", "tools.bench.arm", arm, workload.case, str(workload.batch), str(workload.threads)]
        self.arm = arm
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if arm != "nnlite" else None, text=True,
        )  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        self._to, self._from = self.process.stdin, self.process.stdout
        self.version = self._from.readline().strip()

    def installed(self) -> bool:
        """Whether it is ready. Raises NnliteError when it broke."""
        if self.version:
            return True
        _, errors = self.process.communicate()
        if self.process.returncode == NOT_INSTALLED:
            return False
        raise NnliteError(f"bench arm {self.arm} ended with code {self.process.returncode}: {(errors or '')[-300:]}")

    def ask(self, line: str) -> float:
        self.tell(line)
        return self.answer()

    def tell(self, line: str) -> None:
        self._to.write(line + "\n")
        self._to.flush()

    def answer(self) -> float:
        answer = self._from.readline()
        if not answer:
            raise NnliteError(f"bench arm {self.arm} ended in the middle of a round")
        return float(answer)

    def close(self) -> None:
        self._to.close()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


def compare(
    arms: Sequence[str], workload: Workload, num_rounds: int, pythons: Mapping[str, str], *, native_kernels: bool
) -> list[Result]:
    """Measure `arms` in turns; those that are not installed are left out.

    `pythons`: the interpreter of an arm that is installed elsewhere. `native_kernels`: let OpenBLAS choose its
    kernels for this processor, even if the environment says which.
    """
    environ = dict(os.environ)
    if native_kernels:
        for variable in KERNEL_VARIABLES:
            environ.pop(variable, None)
    contestants = []
    for arm in arms:
        # Ours makes its own threads, each with one for BLAS.
        blas_threads = 1 if arm.startswith("nnlite") else workload.threads
        environ |= {variable: str(blas_threads) for variable in THREAD_VARIABLES}
        contestants.append(Contestant(arm, workload, pythons.get(arm, sys.executable), dict(environ)))
    try:
        ready = [contestant for contestant in contestants if contestant.installed()]
        results = [Result(contestant.arm, contestant.version) for contestant in ready]
        steps = [max(1, round(ROUND_S / contestant.ask("1"))) for contestant in ready]
        for _ in range(num_rounds):
            for contestant, result, count in zip(ready, results, steps, strict=True):
                result.step_s.append(contestant.ask(str(count)) / count)
        for contestant, result in zip(ready, results, strict=True):
            result.peak_memory_bytes = int(contestant.ask("memory"))
        return results
    finally:
        for contestant in contestants:
            contestant.close()
