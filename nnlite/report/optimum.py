"""An optimization: the curve with its probes, from the lines that `tools.optimize --json` printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from nnlite import records
from nnlite.errors import UsageError
from nnlite.quantities import dollars, duration
from nnlite.records import Amount, Count, Range, Share, Unsound, fit
from nnlite.report import axes
from nnlite.report.markup import Html, table
from nnlite.report.plots import PlotLine, line_plot

Size = Annotated[float, Range(1, 1e9)]


@dataclass(frozen=True)
class ProbeLine:
    """What must be true of the line of a probe, whatever else it says."""

    memory_mb: Size
    seconds: Amount | None
    workers: Count


@dataclass(frozen=True)
class CurveLine:
    """A size of the curve."""

    memory_mb: Size
    fitted_s: Amount
    measured_s: tuple[Amount, ...]
    gb_s: Amount
    against_choice: Amount
    chosen: bool = False


@dataclass(frozen=True)
class Planned:
    """The run that was planned for."""

    workers: Count
    seconds: Amount
    usd: Amount


@dataclass(frozen=True)
class ChosenLine:
    """What must be true of the line with the choice."""

    memory_mb: Size
    within: Amount
    certainty: Share
    objective: str
    saving: float
    run: Planned
    curve: tuple[CurveLine, ...]
    not_confirmed: str | None = None


@dataclass
class Optimization:
    """The probes that were made, and what was chosen in the end; None while it goes on."""

    probes: list[dict[str, Any]] = field(default_factory=list)
    choice: dict[str, Any] | None = None
    num_skipped: int = 0


def parse(text: str, where: str) -> Optimization:
    """Read the lines. Raises UsageError when there is no probe among them."""
    found = Optimization()
    for line in text.splitlines():
        try:
            _take(found, records.parse(line))
        except Unsound:
            found.num_skipped += bool(line.strip())
    if not found.probes:
        raise UsageError(f"{where} holds no probes: expected what `python -m tools.optimize --json` printed")
    return found


def _take(found: Optimization, values: Any) -> None:
    event = values.get("event") if isinstance(values, dict) else None
    if event == "probe":
        fit(ProbeLine, values, partial=True, others=True)
        found.probes.append(values)
    elif event == "choice":
        fit(ChosenLine, values, partial=True, others=True)
        found.choice = values
    elif not isinstance(event, str):
        raise Unsound("expected an event")


def tiles(found: Optimization) -> list[tuple[str, str]]:
    """(what, value) of the numbers that one looks for first."""
    choice = found.choice
    if choice is None:
        return [("probes so far", str(len(found.probes)))]
    run = choice["run"]
    return [
        ("chosen memory", f"{choice['memory_mb']:,.0f} MB"),
        (f"sure to be within {choice['within']:.0%} of the best", f"{choice['certainty']:.0%}"),
        ("workers", f"{run['workers']:,}"),
        ("a run, by the model", duration(run["seconds"])),
        ("a run, at list prices", dollars(run["usd"])),
        (f"saving of {choice['objective']} against the default", f"{choice['saving']:.0%}"),
        ("probes", str(len(found.probes))),
    ]


def sections(found: Optimization) -> list[str]:
    """The pieces of the page, as HTML."""
    measured = [(p["memory_mb"], p["seconds"]) for p in found.probes if p["seconds"] is not None and p["workers"] == 1]
    curve = found.choice["curve"] if found.choice else []
    fitted = [(row["memory_mb"], row["fitted_s"]) for row in curve]
    plots = []
    sizes = [size for size, _ in (*measured, *fitted)]
    if sizes:
        x = axes.logarithmic(sizes)
        seconds = axes.linear([value for _, value in (*measured, *fitted)], zero=True)
        lines = [
            PlotLine("fitted", fitted, "fitted", 0),
            PlotLine("probe", sorted(measured), "probes", 1, only_dots=True),
        ]
        note = "measured by probes, and the curve through them"
        plots.append(line_plot("Seconds a round", note, x, seconds, lines, "memory of the function, MB", "mb number"))
    if curve and found.choice:
        objective = str(found.choice["objective"])
        against = [(row["memory_mb"], float(row["against_choice"])) for row in curve]
        line = PlotLine(objective, against, "", 0)
        y = axes.linear([value for _, value in against], zero=True)
        note = "as a multiple of what was chosen; less is better"
        plots.append(line_plot(objective, note, x, y, [line], "memory of the function, MB", "mb number"))
    rows = [
        [
            Html(f"{row['memory_mb']:,.0f} MB" + (" <b>chosen</b>" if row.get("chosen") else "")),
            ", ".join(f"{float(value):.3f}" for value in row["measured_s"]),
            f"{row['fitted_s']:.3f}",
            f"{float(row['gb_s']):.3f}",
            f"{float(row['against_choice']):.2f}",
        ]
        for row in curve
    ]
    head = ["memory", "s a round, measured", "by the curve", "GB-seconds", "against the choice"]
    return [
        '<h2>Curve and probes</h2><div class="plots">' + "".join(plots) + "</div>",
        table(head, rows) if rows else "",
    ]


def caveats(found: Optimization) -> list[str]:
    """What a reader must know to trust the numbers."""
    said = []
    if found.choice is None:
        said.append("This optimization has not come to its end: the report is partial.")
    elif found.choice.get("not_confirmed"):
        said.append(f"The choice was not confirmed by a probe: {found.choice['not_confirmed']}")
    if found.num_skipped:
        said.append(f"{found.num_skipped} lines cannot be read and are left out.")
    too_small = [f"{p['memory_mb']:,.0f} MB" for p in found.probes if p["seconds"] is None]
    if too_small:
        said.append(f"Too small for this network: {', '.join(too_small)}.")
    return said
