"""The page of a real run, opened in a real browser: what is drawn is what the trace says."""

import json
import re
from collections import defaultdict
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from nnlite.protocol.records.keys import Keys
from nnlite.report.page import comparison, page
from nnlite.report.sections import GROUP_OF
from nnlite.report.tables import Report
from nnlite.telemetry.reading import read
from tests.report.browser import open_page, with_script
from tests.report.conftest import KILLED, SLOW

# Where every bar is on the screen, as shares of the plot; and what the tool tip says when the mouse is there.
PROBE = """
for (const area of document.querySelectorAll(".timeline .area")) {
  const box = area.getBoundingClientRect();
  for (const path of area.querySelectorAll("svg path")) {
    const at = path.getBoundingClientRect();
    path.dataset.left = (at.left - box.left) / box.width;
    path.dataset.right = (at.right - box.left) / box.width;
    path.dataset.middle = ((at.top + at.bottom) / 2 - box.top) / box.height;
    path.dataset.fill = getComputedStyle(path).fill;
  }
}
const area = document.querySelector(".plot .area"), box = area.getBoundingClientRect();
area.dispatchEvent(new MouseEvent("mousemove", { clientX: box.right, clientY: box.top + 5, bubbles: true }));
document.body.dataset.tip = document.getElementById("tip").textContent;
document.body.dataset.paper = getComputedStyle(document.body).backgroundColor;
"""


def opened(report, tmp_path, *options, html=page):
    path = tmp_path / "report.html"
    path.write_text(with_script(html(report), PROBE))
    return open_page(path, *options)


@pytest.fixture(scope="module")
def dom(disturbed, tmp_path_factory):
    found = opened(Report(read(disturbed, "small")), tmp_path_factory.mktemp("page"))
    assert found.console == []
    return found.dom


def traced(store):
    """worker -> group -> [(begin_s, seconds)], straight from the files, on wall clocks from the first."""
    files = sorted(Path(unquote(urlsplit(store.url).path)).rglob("*.jsonl"))
    lines = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    first_s = min(batch[0]["began_unix_s"] for batch in lines)
    spans = defaultdict(lambda: defaultdict(list))
    for header, *rest in lines:
        for line in rest:
            if "span" in line:
                begin_s = header["began_unix_s"] - first_s + line["begin_s"]
                spans[header["worker"]][GROUP_OF[line["span"]]].append((begin_s, line["seconds"]))
    return spans


def paths(dom):
    """The attributes of every path."""
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<path [^>]*>", dom)]


def test_bars_are_the_spans(disturbed, dom):
    unit_s = float(re.search(r'data-unit-s="([^"]+)"', dom)[1])
    drawn = defaultdict(dict)
    for attributes in paths(dom):
        if "data-group" in attributes and attributes["data-group"] != "silence":
            pieces = re.findall(r"M(\d+) \d+h(\d+)", attributes["d"])
            drawn[int(attributes["data-row"])][attributes["data-group"]] = [
                (int(begin) * unit_s, int(width) * unit_s) for begin, width in pieces
            ]
    wanted = traced(disturbed)
    assert drawn.keys() == wanted.keys() == {0, 1, 2, 3}
    for worker, groups in wanted.items():
        for group, spans in groups.items():
            seen = sorted(span for span in spans if round((span[0] + span[1]) / unit_s) > round(span[0] / unit_s))
            there = sorted(drawn[worker].get(group, []))
            assert len(there) == len(seen), (worker, group)
            for (begin_s, width_s), (span_begin_s, span_s) in zip(there, seen, strict=True):
                assert begin_s == pytest.approx(span_begin_s, abs=unit_s)
                assert width_s == pytest.approx(span_s, abs=2 * unit_s)


def test_bars_are_on_the_screen_where_they_belong(disturbed, dom):
    """In pixels, by the browser's own measure."""
    wanted = traced(disturbed)
    end_s = max(begin + seconds for groups in wanted.values() for spans in groups.values() for begin, seconds in spans)
    measured = 0
    for attributes in paths(dom):
        if attributes.get("data-group") in ("train", "wait"):
            worker = int(attributes["data-row"])
            spans = wanted[worker][attributes["data-group"]]
            assert float(attributes["data-left"]) * end_s == pytest.approx(min(b for b, _ in spans), abs=0.05)
            assert float(attributes["data-right"]) * end_s == pytest.approx(max(b + s for b, s in spans), abs=0.05)
            assert float(attributes["data-middle"]) == pytest.approx((worker + 0.5) / 4, abs=0.01)
            assert attributes["data-fill"].startswith("rgb")
            measured += 1
    there = sum(bool(wanted[worker][group]) for worker in range(4) for group in ("train", "wait"))
    assert measured == there >= 7  # the slow one may never have waited


def test_curves_are_the_summaries(disturbed, dom):
    keys = Keys("small")
    summaries = [json.loads(disturbed.get(keys.summary(round)).data) for round in range(11)]
    wanted = {
        "Test accuracy": [s["accuracy"] for s in summaries if s["accuracy"] is not None],
        "Training loss": [s["loss"] for s in summaries if s["loss"] is not None],
    }
    figures = re.findall(r"<figcaption><b>(.*?) against (\w+)</b>.*?(<svg .*?</svg>)", dom, re.S)
    assert [(title, by) for title, by, _ in figures] == [(t, b) for t in wanted for b in ("time", "samples")]
    for title, by, svg in figures:
        edge = {name: float(value) for name, value in re.findall(r'data-([xy][01])="([^"]+)"', svg)}
        points = re.findall(r"[ML]([\d.]+) ([\d.]+)", re.search(r'class="line[^"]*"[^>]* d="([^"]+)"', svg)[1])
        y = [edge["y1"] - float(b) / 1000 * (edge["y1"] - edge["y0"]) for _, b in points]
        x = [edge["x0"] + float(a) / 1000 * (edge["x1"] - edge["x0"]) for a, _ in points]
        assert y == pytest.approx(wanted[title], rel=1e-3)
        assert x == sorted(x)
        if by == "samples":
            assert x == pytest.approx([1600 * n for n in range(1, 11)], rel=1e-4)


def test_the_killed_and_the_slow_worker_are_plain(dom, report):
    assert f"Worker {KILLED} died: attempt 1 wrote its last word at" in dom
    assert f"Worker {SLOW} was the last to arrive in" in dom
    assert dom.count('class="died') == 1
    assert dom.count('class="begins') == 1
    assert '<path class="g-silence" data-row="1"' in dom
    rows = {row.worker: row for row in report.workers}
    assert [row.deaths for row in rows.values()] == [0, 1, 0, 0]
    assert [row.attempts for row in rows.values()] == [1, 2, 1, 1]
    assert max(rows.values(), key=lambda row: row.held_up_s).worker == SLOW


def test_the_tool_tip_says_what_is_drawn(dom, report):
    tip = re.search(r'data-tip="([^"]*)"', dom)[1]
    assert tip.startswith(f"{report.accuracy:.4f} at "), tip


def test_no_window_is_too_narrow(report, tmp_path):
    """Nothing sticks out to the right, at the widths of telephones and of screens."""
    probe = "onload = () => parent.document.body.append('beyond ' + (document.documentElement.scrollWidth -"
    inner = escape(with_script(page(report), f"{probe} innerWidth) + ';')"))
    frames = [f'<iframe srcdoc="{inner}" style="width:{width}px;height:600px"></iframe>' for width in (320, 480, 1400)]
    path = tmp_path / "frames.html"
    path.write_text(f"<!DOCTYPE html><html><body>{''.join(frames)}</body></html>")
    found = open_page(path)
    assert found.console == []
    beyond = [int(n) for n in re.findall(r"beyond (-?\d+);", found.dom.split("</iframe>")[-1])]
    assert len(beyond) == 3
    assert max(beyond) <= 0


def test_dark_where_it_is_dark(report, tmp_path):
    papers = [
        re.search(r'data-paper="rgb\((\d+)', opened(report, tmp_path, option).dom)[1]
        for option in ("--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1")
    ]
    assert int(papers[0]) < 60 < 200 < int(papers[1])


def test_an_error_on_the_page_would_be_seen(tmp_path):
    path = tmp_path / "broken.html"
    path.write_text("<!DOCTYPE html><html><body><script>nobody.knows()</script></body></html>")
    assert "nobody is not defined" in str(open_page(path).console)


def test_two_runs_beside_each_other(report, tmp_path):
    found = opened([report, report], tmp_path, html=comparison)
    assert found.console == []
    assert "Nothing but the name" in found.dom
    assert len(re.findall(r'class="line c1"', found.dom)) == 4


def test_the_page_runs_its_own_script_and_no_other(report, tmp_path):
    """Even if something of a run came into it as markup: by its policy, and not by what is escaped alone."""
    evil = (
        '<script>document.body.dataset.evil = "1"</script><img src="data:," onerror="document.body.dataset.evil = 2">'
        '<base href="https://example.org/"><iframe src="https://example.org/"></iframe>'
    )
    path = tmp_path / "page.html"
    path.write_text(page(report).replace("</main>", f"{evil}</main>"))
    found = open_page(path)
    assert "data-evil" not in found.dom
    assert '<div id="tip"' in found.dom  # which the page's own script has made
    said = " ".join(found.console)
    for what in ("inline script", "inline event handler", "base", "example.org"):
        assert what in said, what
    assert "Content Security Policy" in said


def test_it_needs_no_network(report):
    html = page(report)
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|https?://|fetch\(|XMLHttpRequest", html)
