"""Sections of the page: each a piece of HTML made from one or more reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape

from nnlite.quantities import duration, size
from nnlite.report import axes
from nnlite.report.markup import Html, html, table
from nnlite.report.plots import Bar, Flag, PlotLine, line_plot, timeline
from nnlite.report.tables import IDLE, Point, Report
from nnlite.telemetry import format

GROUPS = {  # kinds that share a colour: few colours can be told apart
    "start": ("starting", (format.INIT, format.READ_SHARD)),
    "train": ("training", (format.TRAIN,)),
    "evaluate": ("evaluating", (format.EVALUATE,)),
    "weights": ("reading and writing weights", (format.PULL, format.PUSH)),
    "merge": ("merging", (format.MERGE,)),
    "coordinate": ("coordinating", (format.COORDINATE, format.HAND_OVER)),
    "wait": ("waiting", (format.WAIT,)),
    "idle": ("idle: another worker's turn", (IDLE,)),
}
GROUP_OF = {kind: group for group, (_, kinds) in GROUPS.items() for kind in kinds}
MOST_ROWS = 400  # of the timeline
MOST_NAMED = 12  # workers in a table that is open at once


# ---- learning


Curve = list[tuple[float | None, int, float]]


def accuracies(report: Report) -> Curve:
    """(seconds, samples, test accuracy) of every checkpoint that was scored."""
    return [(p.end_s, p.samples, p.accuracy) for p in report.points if p.accuracy is not None]


def losses(report: Report) -> Curve:
    """(seconds, samples, mean training loss) of every round."""
    return [(p.end_s, p.samples, p.loss) for p in report.points if p.loss is not None]


def curves(reports: Sequence[Report]) -> str:
    """Accuracy and loss, against time and against samples."""
    plots = []
    for title, note, take in (
        ("Test accuracy", "share of the test images that are right", accuracies),
        ("Training loss", "mean since the last point", losses),
    ):
        for x_name, kind in (("time", "s"), ("samples trained on", "samples")):
            plots.append(_curve(reports, title, note, take, x_name, kind))
    shown = [plot for plot in plots if plot]
    return f'<h2>Learning</h2><div class="plots">{"".join(shown)}</div>' if shown else ""


def _curve(
    reports: Sequence[Report], title: str, note: str, take: Callable[[Report], Curve], x_name: str, kind: str
) -> str:
    lines = []
    for colour, report in enumerate(reports):
        found = [(at_s if kind == "s" else float(samples), value) for at_s, samples, value in take(report)]
        points = [(x, y) for x, y in found if x is not None]
        if points:
            label = report.spec.run if len(reports) > 1 else f"{points[-1][1]:.4g}"
            lines.append(PlotLine(report.spec.run, points, label, colour))
    if not lines:
        return ""
    high = max(x for line in lines for x, _ in line.points)
    x = axes.seconds(high) if kind == "s" else axes.exact(high)
    values = [y for line in lines for _, y in line.points]
    is_share = take is accuracies
    y = axes.linear([*values, 0.0, 1.0] if is_share and len(set(values)) == 1 else values)
    name = f"{x_name}, {x.unit}" if x.unit else x_name
    both = "share" if is_share else "number"
    return line_plot(f"{title} against {x_name.split(maxsplit=1)[0]}", note, x, y, lines, name, f"{kind} {both}")


def staleness(report: Report) -> str:
    """Downpour: how old updates were when they were applied."""
    stale = [(p.checkpoint, *p.staleness) for p in report.points if p.staleness is not None]
    if not stale:
        return ""
    updates = sum(p.updates for p in report.points)
    mean = sum(p.staleness[0] * p.updates for p in report.points if p.staleness) / max(1, updates)
    means = PlotLine("mean", [(version, value) for version, value, _ in stale], "mean", 0)
    most = PlotLine("highest", [(version, value) for version, _, value in stale], "highest", 1)
    y = axes.linear([value for line in (means, most) for _, value in line.points], zero=True)
    x = axes.exact(stale[-1][0])
    note = "checkpoints made between the one an update was computed from and the one it went into"
    plot = line_plot("Staleness of updates", note, x, y, [means, most], "checkpoint", "checkpoint number")
    said = (
        f"{updates:,} updates, folded into {len(stale):,} checkpoints; {mean:.2f} checkpoints old on average, "
        f"{max(value for _, _, value in stale)} at most."
    )
    return f'<h2>Staleness</h2><p>{said}</p><div class="plots">{plot}</div>'


# ---- workers


def workers_timeline(report: Report) -> str:
    """A row a worker: what it did when, where attempts begin, who died."""
    if not report.lanes:
        return ""
    rows = _rows(report)
    bars = [
        Bar(rows[lane.invocation.worker], lane.at(span.begin_s), lane.at(span.end_s), GROUP_OF[span.kind])
        for lane in report.lanes
        if lane.invocation.worker in rows
        for span in lane.invocation.spans
        if span.kind in GROUP_OF
    ]
    x = axes.seconds(report.seconds)
    flags = [Flag(row, at_s, "cut", "") for at_s in report.cuts for row in rows.values()] + _flags(report, rows)
    used = {bar.group for bar in bars}
    bars += _silences(report, rows)
    key = "".join(f'<span><i class="i-{g}"></i>{GROUPS[g][0]}</span>' for g in GROUPS if g in used)
    notes = ["Drag to look closer, double-click to see all."]
    if len(rows) < report.spec.num_workers:
        notes.append(f"{len(rows)} of {report.spec.num_workers:,} workers, first those that were started again.")
    if any(lane.is_dead for lane in report.lanes):
        notes.append("✕: the last word of an invocation that died; what it did until the next began was lost with it.")
    if report.cuts:
        notes.append("Dashed: the run was interrupted here, and the pause is not drawn.")
    names = [str(worker) for worker in rows]
    drawn = timeline(bars, flags, names, x).replace("<div ", f'<div data-names="{",".join(names)}" ', 1)
    return f'<h2>Workers</h2><p class="soft">{" ".join(notes)}</p><div class="key">{key}</div>{drawn}'


def _silences(report: Report, rows: dict[int, int]) -> list[Bar]:
    """Between the last word of an invocation that died and the beginning of the next attempt."""
    return [
        Bar(rows[lane.invocation.worker], lane.end_s, following.begin_s, "silence")
        for lane, following in zip(report.lanes, report.lanes[1:], strict=False)
        if lane.is_dead and lane.invocation.worker == following.invocation.worker and lane.invocation.worker in rows
    ]


def _rows(report: Report) -> dict[int, int]:
    """worker -> row; of very many workers those that were started again, and the first others."""
    workers = [row.worker for row in report.workers]
    if len(workers) > MOST_ROWS:
        workers.sort(key=lambda worker: (report.record.attempts[worker] == 1, worker))
        workers = sorted(workers[:MOST_ROWS])
    return {worker: row for row, worker in enumerate(workers)}


def _flags(report: Report, rows: dict[int, int]) -> list[Flag]:
    flags = []
    for lane in report.lanes:
        one = lane.invocation
        if one.worker in rows and one.attempt > 1:
            flags.append(Flag(rows[one.worker], lane.begin_s, "begins", f"attempt {one.attempt}"))
        if one.worker in rows and lane.is_dead:
            flags.append(Flag(rows[one.worker], lane.end_s, "died", "✕"))
    return flags


def workers_table(report: Report) -> str:
    """Numbers of every worker."""
    if not report.lanes or report.spec.num_workers < 2:
        return ""
    names = ["worker", "attempts", "died", "training", "samples/s while training", "waiting", "merging", "starting"]
    names += ["last to arrive", "others waited for it"] if report.spec.rules.has_rounds else []
    rows = []
    for row in report.workers:
        train_s = row.seconds.get(format.TRAIN, 0.0)
        starting_s = row.seconds.get(format.INIT, 0.0) + row.seconds.get(format.READ_SHARD, 0.0)
        rows.append(
            [
                str(row.worker),
                str(row.attempts),
                Html(f'<span class="trouble">{row.deaths}</span>') if row.deaths else "0",
                duration(train_s),
                f"{row.samples / train_s:,.0f}" if train_s else "",
                duration(row.seconds.get(format.WAIT, 0.0)),
                duration(row.seconds.get(format.MERGE, 0.0)),
                duration(starting_s),
                _rounds(row.rounds_last) if row.rounds_last else "",
                duration(row.held_up_s) if row.held_up_s else "",
            ][: len(names)]
        )
    made = table(names, rows)
    if len(rows) <= MOST_NAMED:
        return made
    return f"<details><summary>every worker in numbers</summary>{made}</details>"


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


# ---- time


def time_spent(report: Report) -> str:
    """All workers' time by what they did."""
    total = sum(report.kinds.values())
    if not total:
        return ""
    shares = {group: sum(report.kinds.get(kind, 0.0) for kind in kinds) / total for group, (_, kinds) in GROUPS.items()}
    pieces = "".join(
        f'<div class="i-{group}{"" if share >= 0.09 else " thin"}" style="width:{share * 100:.3f}%" '
        f'title="{escape(GROUPS[group][0])} {share:.1%}">{_inside(group, share)}</div>'
        for group, share in shares.items()
        if share > 0
    )
    used = report.record.account.used
    rows = [
        [Html(f'<i class="i-{GROUP_OF[kind]}"></i>{html(kind)}'), duration(seconds), f"{seconds / total:.1%}"]
        for kind, seconds in sorted(report.kinds.items(), key=lambda item: -item[1])
    ]
    said = (
        f"{duration(total)} of {report.spec.num_workers:,} workers. The store was asked {used.num_reads:,} times to "
        f"read ({size(used.read_bytes)}) and {used.num_writes:,} times to write "
        f"({size(used.written_bytes)}), which took {used.store_s / total:.1%} of their time."
    )
    shown = table(("all workers together", "time", "share"), rows)
    return f'<h2>Where the time went</h2><p>{said}</p><div class="bar">{pieces}</div>{shown}'


def _inside(group: str, share: float) -> str:
    return f"{escape(GROUPS[group][0].split(':')[0].split()[0])} {share:.0%}" if share >= 0.09 else ""


# ---- what it was


def rounds_table(report: Report) -> str:
    """What came out of every round, in numbers."""
    several = not report.spec.rules.has_rounds  # checkpoints a round

    def row(point: Point) -> list[str]:
        end = duration(point.end_s) if point.end_s is not None else ""
        loss = f"{point.loss:.4f}" if point.loss is not None else ""
        accuracy = f"{point.accuracy:.4f}" if point.accuracy is not None else ""
        return [
            str(point.number),
            *([str(point.checkpoint)] if several else []),
            end,
            f"{point.samples - point.samples_before:,}",
            loss,
            accuracy,
        ]

    if not report.points or len(report.points) > 1000:
        return ""
    head = (
        "round",
        *(["checkpoint"] if several else []),
        "closed at",
        "samples",
        "training loss",
        "test accuracy after it",
    )
    return f"<details><summary>every round in numbers</summary>{table(head, map(row, report.points))}</details>"


def specification(report: Report) -> str:
    """The whole specification."""
    text = json.dumps(asdict(report.spec), indent=1, sort_keys=True)
    return f"<h2>Specification</h2><details><summary>all of it, as JSON</summary><pre>{escape(text)}</pre></details>"


def environments(report: Report) -> str:
    """On what the invocations ran; those that are alike in one row."""
    alike: dict[str, int] = {}
    for one in report.record.invocations:
        if one.header and isinstance(one.header.get("environment"), dict):
            alike[json.dumps(one.header["environment"], sort_keys=True)] = (
                alike.get(json.dumps(one.header["environment"], sort_keys=True), 0) + 1
            )
    if not alike:
        return ""
    names = sorted({name for text in alike for name in json.loads(text)})
    rows = [
        [f"{count:,}", *(str(json.loads(text).get(name, "")) for name in names)]
        for text, count in sorted(alike.items(), key=lambda item: -item[1])
    ]
    return f"<h2>Environment</h2>{table(['invocations', *names], rows)}"
