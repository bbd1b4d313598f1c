"""Forecast a run: `python -m tools.simulate --workers 1,10,100 --case b --store s3`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, fields

from nnlite import cases
from nnlite.commands import named, options
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.commands.planning import HEADINGS
from nnlite.errors import UsageError
from nnlite.estimating.supposed import Supposed
from nnlite.protocol import protocols
from nnlite.protocol.records.spec import RunSpec
from nnlite.quantities import ONE_CORE_MB
from nnlite.report import picture
from nnlite.runs.job import Job
from nnlite.simulation.forecast import Forecast
from nnlite.simulation.profile import WorldProfile
from nnlite.simulation.workload import Workload

EXAMPLES = """A profile of your own machine and store: python -m tools.bench store --calibrate FILE --store URL --case b

examples:
  python -m tools.simulate --case b --workers 1,10,100 --store s3 --memory-mb 1769
  python -m tools.simulate --case emnist --workers 1,10,100,1000 --protocol downpour --store memcached --plot scale.png
"""
COLUMNS = (
    f"{'workers':>7} {'s/round':>9} {'total s':>9} {'req/w/round':>11} {'requests':>10} {'MB read':>10} "
    f"{'MB written':>10} {'staleness':>9} {'GB-s':>10} {'USD':>9}"
)


def main(args: argparse.Namespace) -> int:
    """Simulate one run after the other, and print a row for each."""
    args.case = args.case or (cases.AUTO.name if args.dataset and cases.names_path(args.dataset) else "b")
    _check(args)
    if args.plot:
        picture.check(args.plot, f"--plot {args.plot}")
    supposed = _supposed(args)
    workload = supposed.workload()
    world = _world(supposed, workload)
    rows: list[Forecast] = []
    if not args.json:
        print(COLUMNS)
    for num_workers in args.workers:
        spec = supposed.spec(workload, num_workers)
        began_s = time.monotonic()
        row = supposed.forecast(workload, world, spec)
        rows.append(row)
        _show(row, spec, args, time.monotonic() - began_s)
    if args.plot:
        from nnlite.commands.scale_plot import draw

        draw(rows, _title(args), args.plot)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored."""
    if args.tree and len(args.workers) > 1:
        raise UsageError(f"--tree fits one number of workers, and --workers has {len(args.workers)}: give one")
    for name, having in protocols.options().items():
        if getattr(args, name, None) is not None and args.protocol not in having:
            flag, of = f"--{name.replace('_', '-')}", " or ".join(having)
            raise UsageError(f"{flag} is for --protocol {of}, and this is {args.protocol}: leave it out")
    if args.memory_mb is not None and args.store == "file":
        raise UsageError("--memory-mb is for functions, and --store file is a run on this machine: leave it out")
    args.memory_mb = ONE_CORE_MB if args.memory_mb is None else args.memory_mb


def _supposed(args: argparse.Namespace) -> Supposed:
    """What the command line supposes."""
    given = {one.name: getattr(args, one.name) for one in fields(Supposed) if hasattr(args, one.name)}
    options = {name: value for name in protocols.options() if (value := getattr(args, name, None)) is not None}
    return Supposed(**given, options=options)


def _world(supposed: Supposed, workload: Workload) -> WorldProfile:
    """The constants; and where they are from, on stderr."""
    compute = supposed.compute(workload)
    if compute is not None:
        say = f"a step takes {(compute.step_s + workload.batch_size * compute.row_s) * 1e3:.3g} ms on this machine"
        print(f"{say}; the constants of {supposed.store} are assumed (--profile FILE: as measured)", file=sys.stderr)
    try:
        return supposed.world(workload, compute)
    except UsageError as error:
        said = str(error).replace(" was measured with case ", " was measured with --case ")
        raise UsageError(said, parameter=error.parameter) from None


def _show(row: Forecast, spec: RunSpec, args: argparse.Namespace, took_s: float) -> None:
    if args.json:
        values = {"protocol": spec.protocol, "store": args.store, "rounds": spec.num_rounds, "tree": spec.tree_widths}
        say("forecast", **asdict(row), **values, simulated_in_s=round(took_s, 3))
        return
    staleness = f"{row.staleness_mean:.1f}" if spec.rules.is_late else "-"
    print(
        f"{row.workers:>7,} {row.round_s:>9.3f} {row.total_s:>9.2f} {row.requests_per_worker_round:>11.1f} "
        f"{row.requests:>10,} {row.bytes_read / 1e6:>10,.1f} {row.bytes_written / 1e6:>10,.1f} {staleness:>9} "
        f"{row.gb_s:>10,.1f} {row.usd:>9.4f}" + ("" if row.status == "done" else f"  {row.status}: {row.reason}"),
        flush=True,
    )


def _title(args: argparse.Namespace) -> str:
    return f"case {args.case}, {args.protocol}, {args.store}, simulated"


def _counts(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers of workers, like 1,10,100")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.simulate",
        description="Run the real protocol in virtual time, with modelled stores, networks and machines, and print "
        "what a run would take with each number of workers. Nothing is started, nothing is paid.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--workers", type=_counts, default=[1, 10, 100], metavar="1,10,100", help="how many, in turn")
    options.add(parser, Job, ["case"])
    parser.add_argument("--dataset", help="instead of the case's; only its size and shape matter here")
    options.add(parser, Job, ["protocol"])
    options.add(parser, Supposed, ["store", "rounds"])
    options.add(parser, Job, ["steps_per_round", "batch_size", "tree"])
    downpour = parser.add_argument_group(HEADINGS["downpour"])
    options.add(downpour, Job, ["push_every", "pull_every", "wire"])
    options.add(parser, Supposed, ["memory_mb"], default=None)  # a run on this machine has no function to have any
    more = ("limit_s", "max_poll_s", "straggler_timeout_s", "faults", "seed", "profile")
    options.add(parser, Supposed, more)
    parser.add_argument("--plot", type=named.path, metavar="FILE", help="draw time and cost (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    return parser
