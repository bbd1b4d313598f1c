"""Find the memory size and the workers that cost least: `python -m tools.optimize --case a`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Any

from nnlite.api.found import hunt_for
from nnlite.commands import curves, named, options, platforms
from nnlite.commands.asking import confirm
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.commands.planning import add_work, plan
from nnlite.commands.spelling import with_options
from nnlite.cost.bill import Cost
from nnlite.cost.curve import OBJECTIVES
from nnlite.cost.prices import Tariff
from nnlite.cost.search import LARGEST_MB, SMALLEST_MB, MemorySearch
from nnlite.cost.sizing import Sized
from nnlite.errors import UsageError
from nnlite.estimating.optimum import MOST_USD, PROBE_ROUND_S, Hunt, probe_seconds
from nnlite.estimating.probe import Probed
from nnlite.invoker.processor import usable_cores
from nnlite.platform import PLATFORMS
from nnlite.platform.base import Platform
from nnlite.protocol.records.spec import RunSpec
from nnlite.quantities import dollars
from nnlite.report import picture
from nnlite.runs.job import Job

EXAMPLES = """examples:
  python -m tools.optimize --case a --objective cost
  python -m tools.optimize --case c --dataset fashion-sample --objective performance-per-cost --memory-mb 256:1769
  python -m tools.optimize --case a --objective time --workers 2:8 --plot curve.png
  python -m tools.optimize --case b --platform lambda --objective cost --workers 10:100 --budget-usd 0.2
"""


def main(args: argparse.Namespace) -> int:
    """Probe memory sizes and choose one; then workers and tree by a model; confirm that by one probe."""
    _check(args)
    platform, pricing = platforms.of(args), platforms.pricing(args)
    workers, sizes, args.workers = args.workers, platform.sizes(args.memory_mb), args.workers[0]
    search = MemorySearch(args.objective, *sizes, max_probes=args.max_probes, cores=args.threads)
    if args.plot:
        picture.check(args.plot, f"--plot {args.plot}")
    platforms.check(args, platform, but={"budget_usd"})
    platforms.settle_store(args, platform)
    tariff = platform.tariff(args.store, pricing)
    planned = plan(args, platform, but={"budget_usd"})
    spec = planned.spec
    limits = Limits(args, platform, sizes, workers, tariff, paid=bool(spec.rates.worker_second_usd))
    limits.introduce(spec)
    if args.dry_run:
        if args.json:
            say("plan", **limits.values(spec))
        else:
            print("nothing was started (--dry-run)")
        return 0
    limits.ask()
    if platform.is_here:
        _say_if_busy()
    hunt, chosen, confirmed = hunt_for(planned, search, workers, tariff, args.budget_usd, _Told(args))
    _conclude(args, hunt, chosen, confirmed, limits.paid)
    if args.plot:
        curves.plot(hunt, args.plot)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored."""
    defaults = vars(_parser().parse_args([]))
    platforms.refuse_foreign(args, defaults)
    for name in ("processes", "rounds_per_invocation"):
        if getattr(args, name) != defaults[name]:
            raise UsageError(
                f"--{name.replace('_', '-')}: each worker of a probe has a process of its own, for all of its rounds: "
                "leave it out"
            )


def _say_if_busy() -> None:
    """Say what makes the probes of this machine worth less."""
    busy, cores = os.getloadavg()[0], usable_cores()
    if busy > 0.6 * cores:
        print(f"this machine is busy (load {busy:.1f}, {cores:g} cores): large sizes will seem slow", file=sys.stderr)


@dataclass(frozen=True)
class Limits:
    """Between what sizes and numbers of workers is searched, and what that may cost."""

    args: argparse.Namespace
    platform: Platform
    sizes: tuple[int, int]
    workers: tuple[int, int]
    tariff: Tariff
    paid: bool

    @property
    def expected_usd(self) -> float:
        """The cost of all probes, if each takes as long as on the smallest function, at the price of the largest."""
        gb_s: float = (self.args.max_probes + 1) * probe_seconds(PROBE_ROUND_S) * self.sizes[1] / 1024
        return gb_s * self.tariff.gb_s_usd

    def introduce(self, spec: RunSpec) -> None:
        """Say it."""
        args = self.args
        out = sys.stdout if args.dry_run and not args.json else sys.stderr
        print(f"case       {spec.case} on {spec.data.name}, batch size {spec.batch_size}", file=out)
        print(f"objective  {args.objective}", file=out)
        lowest, highest = self.sizes
        print(f"memory     {lowest} to {highest} MB, workers {self.workers[0]} to {self.workers[1]}", file=out)
        print(f"probes     at most {args.max_probes} and one more, {probe_seconds(PROBE_ROUND_S):.0f} s each at most: "
              f"{self.platform.probes_where}", file=out)  # fmt: skip
        if self.paid:
            cap = f"; none is begun that could bring it above ${args.budget_usd:g} (--budget-usd)"
            print(f"probing    at most {dollars(self.expected_usd)} for one worker each{cap}", file=out)

    def values(self, spec: RunSpec) -> dict[str, Any]:
        """The same for programs."""
        return {
            "case": spec.case,
            "dataset": spec.data.name,
            "batch_size": spec.batch_size,
            "objective": self.args.objective,
            "memory_mb": list(self.sizes),
            "workers": list(self.workers),
            "max_probes": self.args.max_probes,
            "probe_s": probe_seconds(PROBE_ROUND_S),
            "usd": min(self.expected_usd, self.args.budget_usd) if self.paid else 0.0,
        }

    def ask(self) -> None:
        """Where it costs money, go on only after a yes."""
        if self.paid:
            about = dollars(min(self.expected_usd, self.args.budget_usd))
            confirm(f"probe on Lambda, for at most {about}?", self.args.yes)


# ---- what people see


class _Told:
    """Tells of every probe as it is made."""

    def __init__(self, args: argparse.Namespace):
        self.as_json, self.count = args.json, 0

    def __call__(self, probed: Probed) -> None:
        self.count += 1
        too_small = probed.seconds == float("inf")
        if self.as_json:
            seconds = None if too_small else round(probed.seconds, 5)
            say("probe", memory_mb=probed.memory_mb, workers=probed.num_workers, seconds=seconds)
            return
        workers = f"{probed.num_workers} worker{'s' if probed.num_workers > 1 else ''}"
        out = f"needs {probed.usage.peak_mb:.0f} MB: too small" if too_small else f"{probed.seconds:.3f} s a round"
        print(f"probe {self.count:<4} {probed.memory_mb:>5} MB, {workers}: {out}", file=sys.stderr)


def _conclude(
    args: argparse.Namespace, hunt: Hunt, chosen: Sized, confirmed: tuple[float, float] | str, paid: bool
) -> None:
    default, probing = hunt.default(), hunt.probing_cost()
    saving = 1 - chosen.score(args.objective) / default.score(args.objective)
    if args.json:
        say("choice", **_values(hunt, chosen, default, confirmed, saving, probing))
        return
    search, curve = hunt.search, hunt.search.curve
    print()
    curves.show(hunt)
    print()
    if curve is not None:
        print(f"curve      {curve.serial_s:.3f} s + {curve.work_s:.3f} s / share(memory), {_knee(hunt)}")
    near, known = 100 * search.tolerance, 100 * (1 - search.doubt)
    print(f"memory     {search.choice_mb} MB: within {near:.0f} % of the best, at {known:.0f} % certainty")
    print(f"run        {_sized(chosen)}")
    print(f"default    {_sized(default)}, at {hunt.default_mb} MB")
    print(f"saving     {100 * saving:.0f} % of {args.objective} against the default, by the model")
    print(f"confirmed  {_confirmed(confirmed)}")
    print(
        f"probing    {len(hunt.probes)} probes, {hunt.seconds:.0f} s, {probing.total_gb_s:.1f} GB-seconds: "
        f"{'' if paid else '$0 here, '}{dollars(probing.total_usd)} at AWS Lambda's list prices of {probing.date}"
    )


def _knee(hunt: Hunt) -> str:
    curve = hunt.search.curve
    if curve is None or curve.knee_mb >= hunt.search.highest_mb:
        return "more memory helps all the way"
    return f"more than {curve.knee_mb:.0f} MB helps {'little' if curve.beyond else 'no more'}"


def _sized(one: Sized) -> str:
    tree = ",".join(map(str, one.tree.widths))
    return (
        f"{one.num_workers} workers, --tree {tree}: {one.seconds:,.1f} s, {one.cost.total_gb_s:,.2f} GB-seconds, "
        f"{dollars(one.cost.total_usd)} at AWS Lambda's list prices of {one.cost.date}"
    )


def _confirmed(confirmed: tuple[float, float] | str) -> str:
    if isinstance(confirmed, str):
        return f"no: {with_options(confirmed)}"
    measured, predicted = confirmed
    off = 100 * (measured / predicted - 1)
    return f"by one probe of it: {measured:.3f} s a round, {predicted:.3f} s by the model ({off:+.0f} %)"


def _values(
    hunt: Hunt, chosen: Sized, default: Sized, confirmed: tuple[float, float] | str, saving: float, probing: Cost
) -> dict[str, Any]:
    def shown(one: Sized) -> dict[str, Any]:
        return {
            "workers": one.num_workers,
            "tree": one.tree.widths,
            "seconds": round(one.seconds, 3),
            **one.cost.values(),
        }

    search = hunt.search
    return {
        "objective": search.objective,
        "memory_mb": search.choice_mb,
        "within": search.tolerance,
        "certainty": round(1 - search.doubt, 4),
        "curve": curves.rows(hunt),
        "run": shown(chosen),
        "default": shown(default),
        "saving": round(saving, 4),
        "confirmed_s": None if isinstance(confirmed, str) else round(confirmed[0], 5),
        "predicted_s": None if isinstance(confirmed, str) else round(confirmed[1], 5),
        "not_confirmed": confirmed if isinstance(confirmed, str) else None,
        "probing": {"probes": len(hunt.probes), "seconds": round(hunt.seconds, 2), **probing.values()},
    }


# ---- the command line


def _range(text: str) -> tuple[int, int]:
    """256:3008, or one number for both."""
    try:
        lowest, _, highest = text.partition(":")
        found = int(lowest), int(highest or lowest)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted LOWEST:HIGHEST, like 256:3008") from None
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: the lowest comes first, like {found[1]}:{found[0]}")
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers from 1")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.optimize",
        description="Find the memory size, the number of workers and the merge tree that serve an objective best: "
        "memory by timing a few short runs, workers and tree by a model of a run.",
        epilog=EXAMPLES,
    )
    add_work(parser)
    goal = parser.add_argument_group("goal")
    goal.add_argument("--objective", choices=OBJECTIVES, default="cost", help="what is to be best (default cost)")
    goal.add_argument("--memory-mb", type=_range, metavar="LO:HI",
                      help=f"sizes of a function to choose from, {SMALLEST_MB} to {LARGEST_MB} (256:3008)")  # fmt: skip
    goal.add_argument("--workers", type=_range, default=(10, 200), metavar="LO:HI", help="how many (10:200)")
    goal.add_argument("--max-probes", type=int, default=8, metavar="N", help="of memory sizes (default 8)")
    platforms.add_prices(goal)
    where = parser.add_argument_group("where")
    where.add_argument("--platform", choices=list(PLATFORMS), default="local",
                       help="where probes run (default local)")  # fmt: skip
    options.add(where, Job, ["store"])
    parser.add_argument("--plot", type=named.path, metavar="FILE", help="the curve as a picture (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.add_argument("--dry-run", action="store_true", help="say what would be probed, start nothing")
    platforms.add_options(parser)
    parser.set_defaults(budget_usd=MOST_USD)
    return parser
