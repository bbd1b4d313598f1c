"""Single plots as PNG files, by matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nnlite.errors import NnliteError, UsageError, words
from nnlite.report import axes, picture
from nnlite.report.sections import GROUP_OF, GROUPS, Curve, accuracies, losses
from nnlite.report.tables import Report

COLOURS = {
    "train": "#0072b2", "evaluate": "#56b4e9", "weights": "#009e73", "merge": "#e69f00", "start": "#cc79a7",
    "coordinate": "#6b7280", "wait": "#d9dde3", "idle": "#ffffff",
}  # fmt: skip
LINES = ("#0072b2", "#d98200")


def draw(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Write the plots of one run, or of two beside each other. -> the files, sorted.

    Raises NnliteError when matplotlib is not installed, or the folder cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NnliteError(
            f"plots need matplotlib ({words(error)}): pip install matplotlib, or leave --png out"
        ) from None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder")
    figures: dict[str, Any] = {}
    for name, title, take in (("accuracy", "test accuracy", accuracies), ("loss", "training loss", losses)):
        for kind in ("time", "samples"):
            _curve(figures, f"{name}-{kind}", title, take, kind, reports, Figure)
    for report in reports:
        if report.lanes:
            name = "workers" if len(reports) == 1 else f"workers-{report.spec.run}"
            figures[name] = _timeline(report, Figure)
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in sorted(figures.items()):
            paths.append(folder / f"{name}.png")
            picture.write(figure, paths[-1])
    except OSError as error:
        raise NnliteError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    return paths


def _curve(
    figures: dict[str, Any],
    name: str,
    title: str,
    take: Callable[[Report], Curve],
    kind: str,
    reports: Sequence[Report],
    new: Any,
) -> None:
    figure = new(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    plot, is_empty = figure.add_subplot(), True
    unit = axes.seconds(max(report.seconds for report in reports)).unit
    factor = {"s": 1.0, "min": 60.0, "h": 3600.0}[unit]
    for colour, report in zip(LINES, reports, strict=False):
        found = [(at_s / factor if at_s is not None else None, n, value) for at_s, n, value in take(report)]
        points = [(a if kind == "time" else n, value) for a, n, value in found if kind != "time" or a is not None]
        if points:
            is_empty = False
            marker = "o" if len(points) < 60 else ""
            plot.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=3, label=report.spec.run)
    plot.set(xlabel=f"time, {unit}" if kind == "time" else "samples trained on", ylabel=title)
    plot.grid(axis="y", color="#e3e7ec")
    plot.spines[["top", "right", "left"]].set_visible(False)
    if len(reports) > 1:
        plot.legend(frameon=False)
    if not is_empty:
        figures[name] = figure


def _timeline(report: Report, new: Any) -> Any:
    workers = [row.worker for row in report.workers]
    figure = new(figsize=(9.6, min(20.0, 1.4 + 0.28 * len(workers))), dpi=150, layout="constrained")
    plot = figure.add_subplot()
    rows = {worker: row for row, worker in enumerate(workers)}
    drawn: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for lane in report.lanes:
        for span in lane.invocation.spans:
            place = GROUP_OF.get(span.kind, "idle"), rows[lane.invocation.worker]
            drawn.setdefault(place, []).append((lane.at(span.begin_s), span.seconds))
        if lane.is_dead:
            plot.plot(lane.end_s, rows[lane.invocation.worker], marker="x", color="#c2410c", clip_on=False)
    named: set[str] = set()
    for (group, row), pieces in drawn.items():
        label = None if group in named else GROUPS[group][0]
        named.add(group)
        plot.broken_barh(pieces, (row - 0.4, 0.8), color=COLOURS[group], label=label, linewidth=0)
    plot.set(xlabel="time since the first worker began, s", ylabel="worker", xlim=(0, report.seconds or 1.0))
    plot.invert_yaxis()
    plot.yaxis.get_major_locator().set_params(integer=True)
    plot.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure
