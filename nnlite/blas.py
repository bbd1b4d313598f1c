"""How NumPy's BLAS is to run in a process of ours. Settled before NumPy is imported: OpenBLAS looks once.

The matrix products of `nnlite.nn` are small and many, so threads inside BLAS cost more than they bring
(`Sequential(threads=)` runs whole blocks of images side by side instead), and what counts is the kernel.
OpenBLAS takes a processor it does not know for the oldest one it resembles: on AMD's Zen 5 it runs kernels
for AVX2 at half the speed of those for AVX-512 that it has in store.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from pathlib import Path

WIDE = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})  # what the SkylakeX kernels use
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def settle(environ: MutableMapping[str, str], cpuinfo: str | None = None) -> bool:
    """Set one BLAS thread, and the widest kernels that this processor has, in `environ` (`os.environ`).

    What is set already stays, so a person has the last word. Call it first thing in a process that is ours (a
    worker, a handler, a tool); processes started from it inherit it. Returns False, and does nothing, when
    NumPy is loaded already. `cpuinfo`: the text of /proc/cpuinfo.
    """
    if "numpy" in sys.modules:
        return False
    for variable in THREAD_VARIABLES:
        environ.setdefault(variable, "1")
    kernels = kernels_for(_read_cpuinfo() if cpuinfo is None else cpuinfo)
    if kernels is not None:
        environ.setdefault("OPENBLAS_CORETYPE", kernels)
    return True


def kernels_for(cpuinfo: str) -> str | None:
    """The name of OpenBLAS' kernels for a processor, or None where OpenBLAS' own choice is to be trusted."""
    fields = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())  # all processors are alike: the first will do
    is_intel = fields.get("vendor_id") == "GenuineIntel"  # those OpenBLAS tells apart by what they can do
    return "SkylakeX" if not is_intel and WIDE <= set(fields.get("flags", "").split()) else None


def _read_cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return ""
