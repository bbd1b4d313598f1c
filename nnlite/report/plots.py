"""Plots as HTML: an SVG that stretches with the window, and labels around it that do not.

What is drawn can be read back: a line plot's SVG says in `data-x0 data-x1 data-y0 data-y1` which values its edges
stand for, and the coordinates of a timeline are counts of `data-unit-s` seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nnlite.report.axes import Axis

SIDE = 1000  # of a line plot's coordinates
MOST_POINTS = 200  # of one line; more are averaged
LABEL = 0.09  # height of a label, as a share of the plot's
SHORT = 7  # characters of a label that the margin has room for


@dataclass(frozen=True)
class PlotLine:
    """Points (x, y) in the order of x, drawn in colour `c<colour>`, with a label at its end."""

    name: str
    points: Sequence[tuple[float, float]]
    label: str
    colour: int = 0
    only_dots: bool = False


def line_plot(title: str, note: str, x: Axis, y: Axis, lines: Sequence[PlotLine], x_name: str, kinds: str = "") -> str:
    """A figure with lines. `kinds`: two words that say how to write x and y: "s", "samples", "share", "number"."""
    drawn = [(line, [(x.share(a), 1 - y.share(b)) for a, b in thinned(line.points)]) for line in lines]
    paths = "".join(_path(line, points) for line, points in drawn)
    grid = "".join(f"M0 {_at(1 - y.share(tick))}H{SIDE}" for tick, _ in y.ticks)
    edges = f'data-x0="{x.low!r}" data-x1="{x.high!r}" data-y0="{y.low!r}" data-y1="{y.high!r}"'
    edges += " data-log" if x.is_log else ""
    svg = (
        f'<svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none" {edges} data-kinds="{escape(kinds)}">'
        f'<path class="grid" d="{grid}"/>{paths}</svg>'
    )
    return (
        f'<figure class="plot"><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption><div class="frame">'
        f'<div class="ys">{_ticks(y, "bottom")}</div><div class="area">{svg}{_end_labels(drawn)}</div>'
        f'<div class="xs">{_ticks(x, "left")}</div><div class="xname">{escape(x_name)}</div></div></figure>'
    )


@dataclass(frozen=True)
class Dots:
    """Points (x, y, what to say of it), drawn in colour `c<colour>`."""

    name: str
    colour: int
    points: Sequence[tuple[float, float, str]]


def scatter_plot(title: str, note: str, x: Axis, y: Axis, groups: Sequence[Dots]) -> str:
    """A figure with dots, each with something to say."""
    paths = []
    for dots in groups:
        spots = "".join(f"M{_at(x.share(a))} {_at(1 - y.share(b))}z" for a, b, _ in dots.points)
        said = escape("|".join(text.replace("|", "/") for _, _, text in dots.points))
        paths.append(f'<path class="dots big c{dots.colour}" data-says="{said}" d="{spots}"/>')
    grid = "".join(f"M0 {_at(1 - y.share(tick))}H{SIDE}" for tick, _ in y.ticks)
    svg = (
        f'<svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none"><path class="grid" d="{grid}"/>'
        f"{''.join(paths)}</svg>"
    )
    return (
        f'<figure class="scatter"><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption><div class="frame">'
        f'<div class="ys">{_ticks(y, "bottom")}</div><div class="area">{svg}</div>'
        f'<div class="xs">{_ticks(x, "left")}</div></div></figure>'
    )


def thinned(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> Sequence[tuple[float, float]]:
    """At most so many points: the means of neighbours."""
    if len(points) <= most:
        return points
    size = -(-len(points) // most)
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    return [(sum(a for a, _ in group) / len(group), sum(b for _, b in group) / len(group)) for group in groups]


def _path(line: PlotLine, points: Sequence[tuple[float, float]]) -> str:
    name, colour = escape(line.name), f"c{line.colour}"
    spots = [f"{_at(a)} {_at(b)}" for a, b in points]
    if line.only_dots:
        return f'<path class="dots big {colour}" data-name="{name}" d="{"".join(f"M{s}z" for s in spots)}"/>'
    path = (
        f'<path class="line {colour}" data-name="{name}" d="{"".join("ML"[i > 0] + s for i, s in enumerate(spots))}"/>'
    )
    if len(points) > 60:
        return path
    return path + f'<path class="dots {colour}" d="{"".join(f"M{s}z" for s in spots)}"/>'


def _end_labels(drawn: Sequence[tuple[PlotLine, Sequence[tuple[float, float]]]]) -> str:
    """The name or value of each line at its last point; labels that would meet are moved apart.

    A short one stands behind the line's end, in the margin; a long one above the line, or below it where it falls.
    """
    ends = sorted(((points, line) for line, points in drawn if points and line.label), key=lambda end: end[0][-1][1])
    labels, above = [], -1.0
    for points, line in ends:
        a, b = points[-1]
        above = max(b, above + LABEL)
        falls = len(points) > 1 and points[-2][1] < b
        place = "after" if len(line.label) <= SHORT and a > 0.9 else "left" if a < 0.3 else "right"
        if place != "after" and (b < 1.5 * LABEL or (falls and b < 1 - 1.5 * LABEL)):
            place += " under"
        style = f"left:{_percent(a)};top:{_percent(above)}"
        labels.append(f'<span class="end {place} c{line.colour}" style="{style}">{escape(line.label)}</span>')
    return "".join(labels)


def _ticks(axis: Axis, side: str) -> str:
    return "".join(f'<i style="{side}:{_percent(axis.share(tick))}">{escape(label)}</i>' for tick, label in axis.ticks)


def _at(share: float) -> str:
    return f"{share * SIDE:.2f}".rstrip("0").rstrip(".")


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


# ---- timelines


@dataclass(frozen=True)
class Bar:
    """A stretch of time in a row, coloured as `group`."""

    row: int
    begin_s: float
    end_s: float
    group: str


@dataclass(frozen=True)
class Flag:
    """A mark in a row: "died", or "begins" with an attempt's number as text."""

    row: int
    at_s: float
    kind: str
    text: str


ROW = 10  # height of a row in coordinates; a bar leaves one above and below
MOST_BARS = 100_000


def timeline(bars: Sequence[Bar], flags: Sequence[Flag], names: Sequence[str], x: Axis) -> str:
    """Rows of bars. Bars too short to be seen are left out, and only those."""
    unit_s = _unit_s(bars, x.high)
    width = max(1, round(x.high / unit_s))
    paths: dict[tuple[str, int], list[str]] = {}
    for bar in bars:
        begin, end = round(bar.begin_s / unit_s), round(bar.end_s / unit_s)
        if end > begin:
            piece = f"M{begin} {bar.row * ROW + 1}h{end - begin}v{ROW - 2}h{begin - end}z"
            paths.setdefault((bar.group, bar.row), []).append(piece)
    drawn = "".join(
        f'<path class="g-{group}" data-row="{row}" data-group="{group}" d="{"".join(pieces)}"/>'
        for (group, row), pieces in sorted(paths.items(), key=lambda item: (item[0][1], item[0][0]))
    )
    height = len(names) * ROW
    row_px = 22 if len(names) <= 16 else 12 if len(names) <= 60 else 6
    every = 1 if row_px >= 12 else 10
    labels = "".join(
        f'<i style="top:{_percent((row + 0.5) / len(names))}">{escape(name)}</i>'
        for row, name in enumerate(names)
        if row % every == 0
    )
    return (
        f'<div class="frame timeline rows{row_px}" style="--height:{len(names) * row_px}px">'
        f'<div class="ys">{labels}</div><div class="area">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" data-unit-s="{unit_s!r}">{drawn}</svg>'
        f'<div class="flags">{_flags(flags, len(names), x)}</div></div><div class="xs">{_ticks(x, "left")}</div>'
        f'<div class="xname">time since the first worker began, {escape(x.unit)}</div></div>'
    )


def _unit_s(bars: Sequence[Bar], high_s: float) -> float:
    """What one coordinate stands for: a power of ten of a second, finer than anybody can see."""
    unit_s = 1e-6
    while high_s / unit_s > 50_000 or sum(bar.end_s - bar.begin_s >= unit_s for bar in bars) > MOST_BARS:
        unit_s *= 10
    return round(unit_s, 6) if unit_s < 1 else float(round(unit_s))


def _flags(flags: Sequence[Flag], num_rows: int, x: Axis) -> str:
    return "".join(
        f'<b class="{flag.kind}{" flip" if x.share(flag.at_s) > 0.85 else ""}" '
        f'style="left:{_percent(x.share(flag.at_s))};'
        f'top:{_percent(flag.row / num_rows)};height:{_percent(1 / num_rows)}">'
        f"<u>{_short_of(flag.text)}</u></b>"
        for flag in flags
    )


def _short_of(text: str) -> str:
    """The text, whose first word is left out where there is little room."""
    first, _, rest = text.partition(" ")
    return f"<s>{escape(first)} </s>{escape(rest)}" if rest else escape(text)
