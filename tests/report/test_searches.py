"""The page of a search: what is drawn and listed is what lies in the store."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import DataSpec
from nnlite.protocol.search.asha import Ladder
from nnlite.protocol.search.result import Result, Timing, leaderboard
from nnlite.protocol.search.spec import Drawn, SearchSpec
from nnlite.protocol.search.watcher import Outcome
from nnlite.report.page import search_page
from nnlite.report.searches import LOG_RATIO, read_search
from nnlite.store.memory import MemoryStore
from tests.report.browser import open_page

RUNGS = (1, 3, 9)
CONFIGURATIONS = [
    {"rate": 0.001 * 2**n, "width": 10 + n, "kind": ("sgd", "adam")[n % 2], "hidden": [n + 1] * (1 + n % 3)}
    for n in range(9)
]


def accuracy(trial: int, rung: int) -> float:
    return round(0.5 + 0.03 * trial + 0.01 * rung, 4)


@pytest.fixture
def store():
    """Trials 0 to 8: 8 goes through all rungs, 6 and 7 through two, 0 diverged."""
    store = MemoryStore()
    test = DataSpec("bits", "0" * 16, 100, 100, (0.0,), (1.0,))
    search = SearchSpec("s", "asha", 9, 1, 16, Ladder(RUNGS), test, space={"rate": "0.001 to 1, log"})
    store.put("searches/s/spec.json", search.to_json())
    store.put(Keys("s").head, Head(11, DONE, "all trials done", 11).to_json(Keys("s").head))
    for trial, configuration in enumerate(CONFIGURATIONS):
        folder = f"searches/s/trials/{trial:05d}"
        key = f"{folder}/configuration.json"
        store.put(key, Drawn.of(configuration).to_json(key))
        for rung in range({8: 3, 7: 2, 6: 2}.get(trial, 1)):
            result = Result(trial, rung, RUNGS[rung], status="ok" if trial else "diverged")
            if trial:
                result = replace(result, accuracy=accuracy(trial, rung), loss=1.0)
            for name, record in (("result", result), ("timing", Timing(0, 1, 2.0, 0.25))):
                key = f"{folder}/{rung}/{name}.json"
                store.put(key, record.to_json(key))
    key = "searches/s/outcome.json"
    store.put(key, Outcome(8, 2, 9, 0.75, 1.0, 0.7125, 100).to_json(key))
    return store


def test_the_leaderboard_and_the_dots(store, tmp_path):
    search = read_search(store, "s")
    assert [trial.number for trial in search.ranking] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    path = tmp_path / "search.html"
    path.write_text(search_page(search, None))
    found = open_page(path)
    assert found.console == []
    rows = re.findall(r"<tr><td>(\d+)</td><td>(\d+)</td><td>(?:<span[^>]*>)?([^<]+)", found.dom)
    wanted = [(str(place), str(trial), f"{accuracy(trial, {8: 2, 7: 1, 6: 1}.get(trial, 0)):.4f}")
              for place, trial in enumerate(range(8, 0, -1), 1)]  # fmt: skip
    assert rows == [*wanted, ("9", "0", "diverged")]
    for said in ("0.7125", "$3.25", "26 s", "<b>21</b>"):  # test accuracy; 13 stretches; 9 + 3 + 3 + 6 rounds
        assert said in found.dom, said
    figures = dict(re.findall(r'<figure class="scatter"><figcaption><b>(.*?)</b>.*?(<svg .*?</svg>)', found.dom, re.S))
    assert list(figures) == ["rate", "width", "kind", "hidden, how many", "hidden, sum"]
    for title, svg in figures.items():
        dots = {}
        for says, d in re.findall(r'data-says="([^"]*)" d="([^"]*)"', svg):
            spots = [(float(a), float(b)) for a, b in re.findall(r"M([\d.]+) ([\d.]+)z", d)]
            numbers = [int(text.split(":")[0].removeprefix("trial ")) for text in says.split("|")]
            dots.update(zip(numbers, spots, strict=True))
        assert sorted(dots) == list(range(1, 9)), title
        heights = [dots[trial][1] for trial in range(1, 9)]
        assert heights == sorted(heights, reverse=True)  # the better, the higher
        if title in ("rate", "width"):
            xs = [dots[trial][0] for trial in range(1, 9)]
            gaps = [b - a for a, b in pairwise(xs)]
            assert gaps == pytest.approx([gaps[0]] * 7, abs=0.1), title  # even on a logarithmic, or linear, axis
    assert CONFIGURATIONS[8]["rate"] / CONFIGURATIONS[1]["rate"] > LOG_RATIO


def test_a_search_that_goes_on(store):
    store.put(Keys("s").head, Head(4).to_json(Keys("s").head))
    store.delete("searches/s/outcome.json")
    store.delete("searches/s/trials/00008/2/result.json")
    store.put("searches/s/trials/00007/1/result.json", b"{half")
    html = search_page(read_search(store, "s"), None)
    assert "This search is running" in html
    assert "not looked at" in html
    assert "1 objects of the search cannot be read" in html


def test_a_search_without_results_and_none_at_all(store):
    bare = MemoryStore()
    assert read_search(bare, "s") is None
    bare.put("searches/s/spec.json", store.get("searches/s/spec.json").data)
    html = search_page(read_search(bare, "s"), None)
    assert "none yet" in html
    assert "not begun" in html


def test_names_from_the_store_are_no_html(store):
    evil = {"<b>rate": "<script>x</script>", "width": 1}
    for trial in range(9):
        key = f"searches/s/trials/{trial:05d}/configuration.json"
        store.put(key, Drawn.of(evil).to_json(key))
    html = search_page(read_search(store, "s"), None)
    assert "<script>x" not in html
    assert "<b>rate" not in html


def test_nothing_of_a_search_is_markup(store):
    key = "searches/s/trials/00003/configuration.json"
    store.put(key, Drawn.of({"<evil>": "<evil>", "kind": "<evil>"}).to_json(key))
    search = SearchSpec.from_json(store.get("searches/s/spec.json").data, "x")
    store.put("searches/s/spec.json", replace(search, space={"<evil>": "<evil>"}).to_json())
    shown = search_page(read_search(store, "s"), None)
    assert "<evil" not in shown
    assert "<td>&lt;evil&gt;</td>" in shown


def test_equals_stand_by_their_loss_and_then_by_their_number(store):
    """So a leaderboard is the same every time, and on every platform."""
    for trial, loss in ((2, 0.5), (4, 0.25), (5, 0.25), (3, 0.75)):
        result = Result(trial, 0, RUNGS[0], accuracy=0.99, loss=loss)
        key = f"searches/s/trials/{trial:05d}/0/result.json"
        store.put(key, result.to_json(key))
    ranking = [trial.number for trial in read_search(store, "s").ranking]
    assert ranking[:4] == [4, 5, 2, 3]
    found = [Result(t, 0, 1, accuracy=0.99, loss=loss) for t, loss in ((3, 0.75), (5, 0.25), (2, 0.5), (4, 0.25))]
    assert [result.trial for result in leaderboard({r.key: r for r in found})] == [4, 5, 2, 3]
