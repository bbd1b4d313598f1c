"""`tools.bench nn`: a training step of every case, beside PyTorch and TensorFlow."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from nnlite.errors import UsageError
from tools.bench.arm import ARMS
from tools.bench.rounds import Result, compare
from tools.bench.workload import CASES, STANDARD, Workload

PEERS = {"b": ("torch", "torch-tuned", "tensorflow")}
DENSE_PEERS = ("torch", "tensorflow")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "nn",
        help="training steps beside PyTorch and TensorFlow",
        description="Time training steps in interleaved rounds, each contestant in a process of its own, and print "
        "ratios of medians: above 1, nnlite is that many times faster. Peers that are not installed are left out.",
        epilog="example: python -m tools.bench nn --case b --batch 100 --rounds 7",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", choices=CASES, help="only this case (default: all of the standard table)")
    parser.add_argument("--batch", type=_positive, help="samples a step (default: those of the standard table)")
    parser.add_argument("--threads", type=_positive, help="threads a contestant (default: as in the standard table)")
    parser.add_argument("--rounds", type=_positive, default=7, help="rounds (default %(default)s)")
    parser.add_argument("--peers", nargs="*", choices=[a for a in ARMS if a != "nnlite"], help="only these peers")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH",
                        help="the interpreter that has this peer, if it is not this one")  # fmt: skip
    parser.add_argument("--kernels", choices=("native", "inherited"), default="native",
                        help="of OpenBLAS: its own choice for this processor, or what OPENBLAS_CORETYPE in the "
                        "environment says, which would hold back NumPy alone (default %(default)s)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Measure each workload and print it as soon as it is there."""
    pythons, chosen = _pythons(args.python), workloads(args.case, args.batch, args.threads)
    native = args.kernels == "native"
    print(machine(native), file=sys.stderr)
    if not args.json:
        print(f"{'case':24} {'contestant':14} {'ms a step':>10} {'peer/ours':>10} {'peak MB':>8}")
    for workload in chosen:
        peers = args.peers if args.peers is not None else PEERS.get(workload.case, DENSE_PEERS)
        results = compare(["nnlite", *peers], workload, args.rounds, pythons, native_kernels=native)
        for result in results:
            _print(workload, result, results[0], args)
    return 0


def workloads(case: str | None, batch: int | None, threads: int | None) -> Sequence[Workload]:
    """The rows of the standard table that fit, or one of its own for a given case and batch."""
    if case is not None and batch is not None:
        return [Workload(case, batch, threads or 1)]
    if batch is not None:
        raise UsageError("--batch is for one case: add --case")
    fitting = [w for w in STANDARD if case in (None, w.case) and threads in (None, w.threads)]
    if not fitting:
        raise UsageError(f"the standard table has no row for case {case} with {threads} threads: add --batch")
    return fitting


def machine(native_kernels: bool) -> str:
    """One line that names the processor and the kernels of OpenBLAS."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    kernels = os.environ.get("OPENBLAS_CORETYPE", "native")
    if native_kernels:
        kernels = "native"
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}, OpenBLAS kernels: {kernels}"


def _print(workload: Workload, result: Result, ours: Result, args: argparse.Namespace) -> None:
    ratio = result.median_s / ours.median_s
    if args.json:
        facts = {
            "case": workload.case, "batch": workload.batch, "threads": workload.threads, "arm": result.arm,
            "version": result.version, "median_ms": result.median_s * 1e3, "min_ms": min(result.step_s) * 1e3,
            "ratio": ratio, "peak_memory_mb": result.peak_memory_bytes / 1e6, "rounds": args.rounds,
        }  # fmt: skip
        print(json.dumps(facts), flush=True)
        return
    shown = "" if result is ours else f"{ratio:.2f}x"
    title = str(workload) if result is ours else ""
    print(
        f"{title:24} {result.arm:14} {result.median_s * 1e3:10.3f} {shown:>10} {result.peak_memory_bytes / 1e6:8.0f}",
        flush=True,
    )


def _pythons(options: Sequence[str]) -> dict[str, str]:
    pairs = [option.partition("=") for option in options]
    for peer, _, path in pairs:
        if peer not in ARMS or not path:
            raise UsageError(f"--python wants PEER=PATH with a peer of {', '.join(ARMS)}; got {peer!r}")
    return {peer: path for peer, _, path in pairs}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value
