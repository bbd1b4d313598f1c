"""Searches: what one has left in its store, as tables and a page: leaderboard, scatter, curves by rung."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, TypeVar

from nnlite.errors import StoreError
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.search.result import Result, Timing
from nnlite.protocol.search.spec import Drawn, SearchKeys, SearchSpec
from nnlite.protocol.search.watcher import Outcome
from nnlite.quantities import dollars, duration
from nnlite.report import axes
from nnlite.report.axes import Axis
from nnlite.report.markup import Html, html, table
from nnlite.report.plots import Dots, PlotLine, line_plot, scatter_plot
from nnlite.store import Store

T = TypeVar("T")

MOST_ROWS = 200  # of the leaderboard
MOST_NAMES = 12  # hyper-parameters that get a plot
LOG_RATIO = 30.0  # from the least to the most of a number that is then drawn on a logarithmic axis
BEST, TOP, OTHER = 1, 0, 2  # colours


@dataclass
class TrialLine:
    """A configuration, and what came of it, rung by rung."""

    number: int
    configuration: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)  #: by rung
    seconds: float = 0.0
    usd: float = 0.0

    @property
    def last(self) -> dict[str, Any] | None:
        """The result at its highest rung."""
        return self.results[-1] if self.results else None

    @property
    def accuracy(self) -> float | None:
        """On the validation split, at its highest rung; None for what diverged or failed."""
        return self.last.get("accuracy") if self.last and self.last.get("status") == "ok" else None


@dataclass
class SearchReport:
    """A search as its store shows it."""

    name: str
    spec: dict[str, Any]
    head: Head | None
    trials: list[TrialLine]
    outcome: dict[str, Any] | None
    num_skipped: int  #: objects that cannot be read

    @property
    def is_partial(self) -> bool:
        """Whether it may still go on."""
        return self.head is None or self.head.status == RUNNING

    @property
    def rungs(self) -> list[int]:
        """Rounds behind a trial once it is through with each rung."""
        return [int(rounds) for rounds in self.spec["ladder"]["rounds"]]

    @property
    def ranking(self) -> list[TrialLine]:
        """Trials with a result, best first; what diverged or failed comes last."""

        def rank(trial: TrialLine) -> tuple[bool, float, float, int]:
            loss = (trial.last or {}).get("loss")
            known = trial.accuracy is not None
            return not known, -(trial.accuracy or 0.0), loss if loss is not None else 0.0, trial.number

        return sorted((trial for trial in self.trials if trial.last), key=rank)


def read_search(store: Store, name: str) -> SearchReport | None:
    """Read a search; None when the store has none of this name."""
    keys, reading = SearchKeys(name), _Reading(store)
    (found,) = store.get_many([keys.spec])
    if found is None:
        return None
    spec = SearchSpec.of_search(name, found.data, keys.spec)
    numbers = range(spec.num_trials)
    drawn = reading.all([keys.configuration(n) for n in numbers], Drawn.from_json)
    trials = [TrialLine(n, found.configuration if found else {}) for n, found in zip(numbers, drawn, strict=True)]
    for rung in range(len(spec.ladder.rounds)):
        results = reading.all([keys.result((n, rung)) for n in numbers], Result.from_json)
        timings = reading.all([keys.timing((n, rung)) for n in numbers], Timing.from_json)
        for trial, result, timing in zip(trials, results, timings, strict=True):
            trial.results += [asdict(result)] if result is not None else []
            trial.seconds += timing.seconds if timing is not None else 0.0
            trial.usd += timing.usd if timing is not None else 0.0
    (outcome,) = reading.all([keys.outcome], Outcome.from_json)
    (head,) = store.get_many([Keys(name).head])
    stands = Head.from_json(head.data, Keys(name).head) if head is not None else None
    return SearchReport(name, asdict(spec), stands, trials, asdict(outcome) if outcome else None, reading.num_skipped)


class _Reading:
    """Reads objects, and counts those that cannot be read."""

    def __init__(self, store: Store) -> None:
        self.store, self.num_skipped = store, 0

    def all(self, keys: list[str], read: Callable[[bytes, str], T]) -> list[T | None]:
        """What lies under the keys; None where nothing does, or nothing that can be read."""
        made: list[T | None] = []
        for found, key in zip(self.store.get_many(keys), keys, strict=True):
            try:
                made.append(read(found.data, key) if found is not None else None)
            except StoreError:
                self.num_skipped += 1
                made.append(None)
        return made


# ---- the page


def tiles(search: SearchReport) -> list[tuple[str, str]]:
    """(what, value) of the numbers that one looks for first."""
    ranking, outcome = search.ranking, search.outcome or {}
    best = ranking[0].accuracy if ranking else None
    usd = sum(trial.usd for trial in search.trials)
    rounds = sum(int(trial.last["rounds"]) for trial in ranking if trial.last)
    whole = len(search.trials) * search.rungs[-1]
    return [
        ("best validation accuracy", f"{best:.4f}" if best is not None else "none yet"),
        ("its test accuracy", f"{outcome['test_accuracy']:.4f}" if outcome else "not looked at"),
        (f"trials, of {len(search.trials)}", str(len(ranking))),
        (f"rounds trained, of {whole:,}", f"{rounds:,}"),
        ("training and scoring, all workers", duration(sum(trial.seconds for trial in search.trials))),
        *([("at list prices", dollars(usd))] if usd else []),
    ]


def sections(search: SearchReport) -> list[str]:
    """The pieces of the page, as HTML."""
    return [_scatters(search), _by_rung(search), _leaderboard(search), _space(search)]


def caveats(search: SearchReport) -> list[str]:
    """What a reader must know to trust the numbers."""
    said = []
    if search.is_partial:
        status = search.head.status if search.head else "not begun"
        said.append(f"This search is {status}: the report is partial, and shows the results so far.")
    if search.num_skipped:
        said.append(f"{search.num_skipped} objects of the search cannot be read and are left out.")
    return said


def _names(search: SearchReport) -> list[str]:
    return list(dict.fromkeys(name for trial in search.trials for name in trial.configuration))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _groups(search: SearchReport) -> list[tuple[str, int, list[TrialLine]]]:
    """Trials that have an accuracy, in three colours; the best is drawn last, on top."""
    scored = [trial for trial in search.ranking if trial.accuracy is not None]
    top = len(search.rungs)
    return [
        ("ended at a lower rung", OTHER, [t for t in scored[1:] if len(t.results) < top]),
        ("trained to the end", TOP, [t for t in scored[1:] if len(t.results) >= top]),
        ("the best", BEST, scored[:1]),
    ]


def _scatters(search: SearchReport) -> str:
    """Validation accuracy against every hyper-parameter."""
    groups = [group for group in _groups(search) if group[2]]
    scored = [trial for _, _, trials in groups for trial in trials]
    if not scored:
        return ""
    y = axes.linear([trial.accuracy for trial in scored if trial.accuracy is not None] + [0.0] * (len(scored) == 1))
    plots = []
    for name, title, take in _dimensions(search)[:MOST_NAMES]:
        x, place = _axis([take(trial.configuration.get(name)) for trial in scored])
        dots = [
            Dots(said, colour, list(_points(trials, name, lambda value, p=place, t=take: p(t(value)))))
            for said, colour, trials in groups
        ]
        plots.append(scatter_plot(title, "", x, y, dots))
    key = "".join(f'<span><i class="d{colour}"></i>{said}</span>' for said, colour, _ in groups)
    text = "Validation accuracy of every trial at its highest rung, against what was drawn for it."
    return (
        f'<h2>What made a difference</h2><p class="soft">{text}</p><div class="key">{key}</div>'
        f'<div class="plots">{"".join(plots)}</div>'
    )


def _dimensions(search: SearchReport) -> list[tuple[str, str, Callable[[Any], Any]]]:
    """(name, title, what of its value) of every plot: of a list of numbers how many there are, and their sum."""
    dimensions: list[tuple[str, str, Callable[[Any], Any]]] = []
    for name in _names(search):
        values = [trial.configuration.get(name) for trial in search.trials]
        if all(isinstance(value, list) and all(map(_is_number, value)) for value in values):
            dimensions += [(name, f"{name}, how many", len), (name, f"{name}, sum", sum)]
        else:
            dimensions.append((name, name, lambda value: value))
    return dimensions


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _points(trials: list[TrialLine], name: str, place: Any) -> Iterator[tuple[float, float, str]]:
    for trial in trials:
        value = trial.configuration.get(name)
        if trial.accuracy is not None:
            said = f"trial {trial.number}: {name} {_shown(value)}, validation accuracy {trial.accuracy:.4f}"
            yield place(value), trial.accuracy, said


def _axis(values: list[Any]) -> tuple[Axis, Any]:
    """An axis for these values, and where on it each lies; what is no number gets a place of its own."""
    numbers = [value for value in values if _is_number(value)]
    if len(numbers) == len(values):
        if len(set(numbers)) <= 8 and all(isinstance(value, int) for value in numbers):
            span = max(numbers) - min(numbers) or 1
            ticks = tuple((float(value), str(value)) for value in sorted(set(numbers)))
            return Axis(min(numbers) - 0.1 * span, max(numbers) + 0.1 * span, ticks), float
        if min(numbers) > 0 and max(numbers) >= LOG_RATIO * min(numbers):
            return axes.logarithmic(numbers), float
        return axes.linear(numbers), float
    names = sorted({_shown(value) for value in values})
    ticks = tuple((float(place), name if len(names) <= 8 else "") for place, name in enumerate(names))
    return Axis(-0.5, len(names) - 0.5, ticks), lambda value: float(names.index(_shown(value)))


def _by_rung(search: SearchReport) -> str:
    if len(search.rungs) < 2:
        return ""
    lines = []
    for said, colour, trials in _groups(search):
        for trial in trials:
            points = [
                (float(r["rounds"]), float(r["accuracy"])) for r in trial.results if r.get("accuracy") is not None
            ]
            label = f"trial {trial.number}" if colour == BEST else ""
            lines.append(PlotLine(f"trial {trial.number}, {said}", points, label, colour))
    if not lines:
        return ""
    y = axes.linear([value for line in lines for _, value in line.points])
    x = axes.exact(float(search.rungs[-1]))
    note = f"at the rungs of {', '.join(map(str, search.rungs))} rounds"
    return (
        '<h2>Rung by rung</h2><div class="plots">'
        + line_plot("Validation accuracy of every trial", note, x, y, lines, "rounds", "number share")
        + "</div>"
    )


def _leaderboard(search: SearchReport) -> str:
    names, ranking = _names(search), search.ranking
    rows = []
    for place, trial in enumerate(ranking[:MOST_ROWS], 1):
        last = trial.last or {}
        good = trial.accuracy is not None
        accuracy = (
            f"{trial.accuracy:.4f}" if good else Html(f'<span class="trouble">{html(str(last.get("status")))}</span>')
        )
        loss = f"{last['loss']:.4f}" if good and last.get("loss") is not None else ""
        drawn = [_shown(trial.configuration.get(name, "")) for name in names]
        rows.append(
            [str(place), str(trial.number), accuracy, loss, str(last.get("rounds")), duration(trial.seconds), *drawn]
        )
    if not rows:
        return ""
    head = ["", "trial", "validation accuracy", "validation loss", "rounds", "time", *names]
    more = f"<p>and {len(ranking) - MOST_ROWS} more</p>" if len(ranking) > MOST_ROWS else ""
    return f"<h2>Leaderboard</h2>{table(head, rows)}{more}"


def _space(search: SearchReport) -> str:
    text = json.dumps(search.spec, indent=1, sort_keys=True)
    rows = [[str(name), str(domain)] for name, domain in search.spec.get("space", {}).items()]
    listed = table(["name", "drawn from"], rows) if rows else ""
    return (
        f"<h2>Space</h2>{listed}<details><summary>the whole specification, as JSON</summary>"
        f"<pre>{escape(text)}</pre></details>"
    )
