"""The page: one HTML file that needs nothing else, of one run or of two beside each other."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from nnlite.protocol.records.head import FAILED
from nnlite.quantities import duration
from nnlite.report import bill, optimum, searches, sections
from nnlite.report.findings import caveats, findings
from nnlite.report.markup import Html, html, table
from nnlite.report.optimum import Optimization
from nnlite.report.searches import SearchReport
from nnlite.report.tables import Report

BRIEF = 48  # characters of a value in a table of differences


def page(report: Report) -> str:
    """The page of one run."""
    parts = [
        f'<p class="soft">nnlite run</p><h1>{escape(report.spec.run)}</h1><p>{escape(_subtitle(report))}</p>',
        _banners(report),
        f'<div class="tiles">{"".join(_tile(*tile) for tile in tiles(report))}</div>',
        _sentences(findings(report)),
        sections.curves([report]),
        sections.rounds_table(report),
        sections.workers_timeline(report),
        sections.workers_table(report),
        sections.staleness(report),
        sections.time_spent(report),
        bill.section(report),
        sections.specification(report),
        sections.environments(report),
    ]
    return _document(f"{report.spec.run} · nnlite", parts)


def search_page(search: SearchReport, report: Report | None) -> str:
    """The page of a search; with the timeline of its workers, if their report is given."""
    found = search.spec
    about = f"{found.get('sampler')} search on {report.spec.data.name}" if report else f"{found.get('sampler')} search"
    status = search.head.status if search.head else "not begun"
    parts = [
        f'<p class="soft">nnlite search</p><h1>{escape(search.name)}</h1><p>{escape(f"{about}; {status}")}</p>',
        "".join(f'<p class="banner">{escape(text)}</p>' for text in searches.caveats(search)),
        f'<div class="tiles">{"".join(_tile(*tile) for tile in searches.tiles(search))}</div>',
        *searches.sections(search),
        *([sections.workers_timeline(report), sections.time_spent(report), bill.section(report)] if report else []),
    ]
    return _document(f"{search.name} · nnlite", parts)


def optimization_page(found: Optimization, name: str) -> str:
    """The page of an optimization."""
    parts = [
        f'<p class="soft">nnlite optimization</p><h1>{escape(name)}</h1>',
        "".join(f'<p class="banner">{escape(text)}</p>' for text in optimum.caveats(found)),
        f'<div class="tiles">{"".join(_tile(*tile) for tile in optimum.tiles(found))}</div>',
        *optimum.sections(found),
    ]
    return _document(f"{name} · nnlite", parts)


def comparison(reports: Sequence[Report]) -> str:
    """The page of two runs."""
    names = [escape(report.spec.run) for report in reports]
    heads = [Html(f'<span class="c{i}"><b>{name}</b></span>') for i, name in enumerate(names)]
    rows = [[label, *both] for label, both in _side_by_side([tiles(r) for r in reports])]
    differing = _differences([asdict(report.spec) for report in reports])
    parts = [
        f'<p class="soft">two nnlite runs</p><h1>{" and ".join(names)}</h1>',
        *(_banners(report) for report in reports),
        f"<h2>In numbers</h2>{table(['', *heads], rows)}",
        sections.curves(reports),
        "<h2>Where the time went</h2>" + table(["all workers together", *heads], _kinds(reports)),
        "<h2>What differs in their specifications</h2>"
        + (table(["", *heads], differing) if differing else "<p>Nothing but the name.</p>"),
    ]
    return _document(f"{' and '.join(report.spec.run for report in reports)} · nnlite", parts)


def tiles(report: Report) -> list[tuple[str, str]]:
    """(what, value) of the numbers that one looks for first."""
    spec, accuracy, used = report.spec, report.accuracy, report.record.account.used
    attempts = sum(report.record.attempts.values())
    rounds = report.points[-1].number if report.points else 0
    checkpoints = [] if spec.rules.has_rounds else [("checkpoints made", f"{len(report.points):,}")]
    return [
        ("test accuracy", f"{accuracy:.4f}" if accuracy is not None else "not measured"),
        ("time", duration(report.seconds)),
        ("images a second", f"{report.images_per_s:,.0f}" if report.images_per_s else "unknown"),
        (f"rounds, of {spec.num_rounds}", f"{rounds:,}"),
        *checkpoints,
        ("samples trained on", f"{report.samples:,}"),
        ("workers" if attempts == spec.num_workers else f"workers, {attempts:,} attempts", f"{spec.num_workers:,}"),
        ("requests to the store", f"{used.num_reads + used.num_writes:,}"),
        *bill.tile(report),
    ]


def _subtitle(report: Report) -> str:
    spec = report.spec
    what = f"case {spec.case} on {spec.data.name}, {spec.protocol}, batch size {spec.batch_size}, seed {spec.seed}"
    return f"{what}; {report.status}"


def _banners(report: Report) -> str:
    bad = " bad" if report.status == FAILED else ""
    return "".join(f'<p class="banner{bad}">{escape(text)}</p>' for text in caveats(report))


def _tile(what: str, value: str) -> str:
    return f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>"


def _sentences(said: list[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
    return f'<ul class="findings">{items}</ul>' if items else ""


def _side_by_side(columns: list[list[tuple[str, str]]]) -> list[tuple[str, list[str]]]:
    found = [{name.split(",")[0]: value for name, value in column} for column in columns]
    names = dict.fromkeys(name for column in found for name in column)
    return [(name, [column.get(name, "") for column in found]) for name in names]


def _kinds(reports: Sequence[Report]) -> list[list[str]]:
    kinds = list(dict.fromkeys(kind for report in reports for kind in report.kinds))
    return [[kind, *(duration(report.kinds.get(kind, 0.0)) for report in reports)] for kind in kinds]


def _differences(specs: list[dict[str, Any]]) -> list[list[str]]:
    flat = [_flat(spec) for spec in specs]
    names = [name for name in dict.fromkeys(name for one in flat for name in one) if name != "run"]
    rows = [[name, *(one.get(name, "") for one in flat)] for name in names]
    return [[_brief(cell) for cell in row] for row in rows if len(set(row[1:])) > 1]


def _brief(text: str) -> Html:
    """A cell; of a long text, like that of a network, the beginning, and the rest when the mouse is there."""
    if len(text) <= BRIEF:
        return html(text)
    return Html(f'<span title="{escape(text)}">{escape(text[:BRIEF])}…</span>')


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = json.dumps(value)
    return flat


def _document(title: str, parts: list[str]) -> str:
    style, script = _asset("page.css"), _asset("page.js")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{_policy(script)}<title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{style}</style></head>\n<body><main>\n{chr(10).join(part for part in parts if part)}\n</main>"
        f"<script>{script}</script></body></html>\n"
    )


def _policy(script: str) -> str:
    """What a browser lets the page do: run this one script, and show itself. It loads and sends nothing, and runs no
    other script, whatever a run's names and reasons may hold."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'


def _asset(name: str) -> str:
    return (files("nnlite.report") / name).read_text(encoding="utf-8")
