"""The page of an optimization: probes and curve are where their numbers say."""

import json
import math
import re

import pytest

from nnlite.errors import UsageError
from nnlite.report.optimum import caveats, parse
from nnlite.report.page import optimization_page
from tests.report.browser import open_page

PROBES = [(256, 1.3), (700, 0.6), (3008, 0.55)]
LINES = [{"event": "probe", "memory_mb": mb, "workers": 1, "seconds": s} for mb, s in PROBES]
CURVE = [
    {"memory_mb": mb, "measured_s": [s], "fitted_s": s + 0.01, "gb_s": 1.0, "against_choice": 1.0, "chosen": mb == 256}
    for mb, s in PROBES
]
CHOICE = {
    "event": "choice", "objective": "cost", "memory_mb": 256, "within": 0.03, "certainty": 0.9, "curve": CURVE,
    "run": {"workers": 2, "seconds": 4.0, "usd": 0.0000341}, "saving": 0.64, "not_confirmed": None,
}  # fmt: skip


def text(*lines: object) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_the_curve_goes_through_the_numbers(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(optimization_page(parse(text(*LINES, CHOICE), "x"), "opt"))
    found = open_page(path)
    assert found.console == []
    first = re.search(r'<figure class="plot">.*?(<svg .*?</svg>)', found.dom, re.S)[1]
    edge = {name: float(value) for name, value in re.findall(r'data-([xy][01])="([^"]+)"', first)}
    drawn = dict(re.findall(r'data-name="(\w+)" d="([^"]+)"', first))
    assert "data-log" in first
    for name, shift in (("probe", 0.0), ("fitted", 0.01)):
        points = re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn[name])
        for (a, b), (mb, seconds) in zip(points, PROBES, strict=True):
            share = math.log(mb / edge["x0"]) / math.log(edge["x1"] / edge["x0"])
            assert float(a) / 1000 == pytest.approx(share, abs=1e-4)
            assert edge["y1"] - float(b) / 1000 * (edge["y1"] - edge["y0"]) == pytest.approx(seconds + shift, abs=1e-3)
    for said in ("<b>chosen</b>", "$0.000034", "64%"):
        assert said in found.dom, said


def test_one_that_goes_on_or_was_damaged():
    found = parse(text(*LINES, {"event": "probe", "memory_mb": 128, "workers": 1, "seconds": None}) + '{"event"', "x")
    said = " ".join(caveats(found))
    assert "is partial" in said
    assert "1 lines cannot be read" in said
    assert "Too small for this network: 128 MB" in said
    assert "probes so far" in optimization_page(found, "opt")
    with pytest.raises(UsageError, match="x holds no probes"):
        parse("nothing\n", "x")


def test_a_choice_that_no_probe_has_confirmed_says_why():
    found = parse(text(*LINES, {**CHOICE, "not_confirmed": "only 2 cores"}), "x")
    (said,) = caveats(found)
    assert said == "The choice was not confirmed by a probe: only 2 cores"
    assert said in optimization_page(found, "opt")
    assert caveats(parse(text(*LINES, CHOICE), "x")) == []
