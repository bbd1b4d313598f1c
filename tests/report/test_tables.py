"""Reading and tables: nothing of a trace gets lost on the way, whatever state the run is in."""

import json
import re
import time
from dataclasses import asdict
from html import escape
from itertools import pairwise

import pytest

from nnlite.cost import prices
from nnlite.errors import RunError
from nnlite.protocol.records.head import FAILED, RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.usage import Usage
from nnlite.quantities import dollars
from nnlite.report import chrome
from nnlite.report.findings import caveats, findings
from nnlite.report.markup import Html, table
from nnlite.report.page import comparison, page
from nnlite.report.tables import IDLE, Report
from nnlite.store.memory import MemoryStore
from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from nnlite.telemetry.reading import read
from tests.report.made import made, put
from tests.runtime import small

KEYS = Keys("small")


def report_of(store) -> Report:
    return Report(read(store, "small"))


def test_big_runs_are_quick_and_small():
    store, _ = made(200, 50)
    began_s = time.process_time()
    report = report_of(store)
    html = page(report)
    assert time.process_time() - began_s < 20
    assert len(html) < 5_000_000
    assert len(report.lanes) == 200
    assert len(re.findall(r"M\d+ \d+h\d+v", html)) == 200 * (1 + 50 * 5 + 4)
    assert len(chrome.trace(report)) > 200 * 50 * 5 * 100


def test_spans_come_back_as_they_were_written():
    spans = [Span(format.TRAIN, 0.25, 1.5, 3, 800, 1, 2, 300, 400, 0.125), Span(format.WAIT, 1.75, 0.000004)]
    mark = {"mark": format.CLOSED, "at_s": 1.0, "round": 3}
    found = format.decode(format.encode({"began_unix_s": 5.0, "worker": 1}, [spans[0], mark, spans[1]]))
    assert found.spans == spans
    assert found.marks == [mark]
    assert found.header == {"trace": 1, "began_unix_s": 5.0, "worker": 1}
    assert found.num_skipped == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"span": "tra',
        b"[]",
        b"7",
        b'"span"',
        b"\xff\xfe",
        b'{"span": "wait"}',
        b'{"span": "wait", "begin_s": "a", "seconds": 1}',
        b'{"span": "wait", "begin_s": -1, "seconds": 1}',
        b'{"span": "wait", "begin_s": 1, "seconds": NaN}',
        b'{"span": "wait", "begin_s": 1, "seconds": Infinity}',
        b'{"span": "wait", "begin_s": 1, "seconds": 1, "reads": []}',
        b'{"span": "sing", "begin_s": 1, "seconds": 1}',
        b'{"span": [], "begin_s": 1, "seconds": 1}',
        b'{"trace": 99, "began_unix_s": 1}',
        b'{"trace": 1, "began_unix_s": Infinity}',
        b'{"mark": "end"}',
        b'{"mark": "closed", "at_s": NaN, "round": 1}',
    ],
)
def test_lines_that_cannot_be_read_are_counted(line):
    store, _ = made(2, 3)
    whole = report_of(store)
    key = KEYS.trace(1, 1, 1)
    store.put(key, store.get(key).data + line)
    report = report_of(store)
    assert report.record.num_skipped == 1
    assert report.kinds == whole.kinds
    assert any("1 line of the trace cannot be read" in said for said in caveats(report))


def test_a_batch_that_was_cut_anywhere_loses_one_line_at_most():
    store, _ = made(1, 2)
    data = store.get(KEYS.trace(0, 1, 0)).data
    lines = data.split(b"\n")
    for length in range(0, len(data), 7):
        found = format.decode(data[:length])
        whole = data[:length].count(b"\n")
        assert found.num_skipped <= 1
        assert len(found.spans) + (found.header is not None) + len(found.marks) >= min(whole, len(lines) - 1)


def test_a_run_that_goes_on_is_partial():
    store, _ = made(2, 3)
    whole = report_of(store)
    assert caveats(whole) == []
    store.put(KEYS.head, Head(2).to_json(KEYS.head))
    report = report_of(store)
    assert report.record.is_partial
    assert any("running: the report is partial" in said for said in caveats(report))
    assert len(report.points) == 3  # rounds up to the head's
    assert "partial" in page(report)


def test_who_is_dead_while_a_run_goes_on():
    """The newest attempt may be at work; one that was replaced without a last word is not."""
    store, _ = made(2, 3)
    store.put(KEYS.head, Head(2).to_json(KEYS.head))
    for worker in range(2):
        put(store, KEYS, worker, 1, [[Span(format.TRAIN, 0.0, 2.0)], []], 1e9)
    store.put(KEYS.lease(1), Lease(2, "x").to_json(KEYS.lease(1)))
    put(store, KEYS, 1, 2, [[Span(format.TRAIN, 0.0, 2.0)]], 1e9 + 5)
    assert [lane.is_dead for lane in report_of(store).lanes] == [False, True, False]
    store.put(KEYS.head, Head(3, "done", "all rounds done", 3).to_json(KEYS.head))
    assert [lane.is_dead for lane in report_of(store).lanes] == [True, True, True]


def test_a_run_that_has_hardly_begun():
    bare = MemoryStore()
    bare.put(KEYS.spec, made(2, 3)[1].to_json())
    for status in (None, RUNNING):
        if status:
            bare.put(KEYS.head, Head().to_json(KEYS.head))
        report = report_of(bare)
        assert report.record.is_partial
        assert "No trace is there yet" in " ".join(caveats(report))
        assert "<h2>Specification</h2>" in page(report)
        assert json.loads(chrome.trace(report))["traceEvents"]


def test_an_unknown_run_names_those_there_are():
    store = made(1, 1)[0]
    with pytest.raises(RunError, match=r"no run 'smal' in memory://; there are small"):
        read(store, "smal")
    with pytest.raises(RunError, match="there are no runs in it"):
        read(MemoryStore(), "smal")


def test_who_kept_others_waiting_is_found_without_clocks():
    """Worker 1 is always late; its clock is an hour ahead, which must not matter."""
    store, _ = made(3, 4)
    for worker in range(3):
        lines, at_s = [], 0.0
        for round in range(4):
            train_s = 5.0 if worker == 1 else 1.0
            wait_s = 0.0 if worker == 1 else 4.0
            lines += [Span(format.TRAIN, at_s, train_s, round), Span(format.WAIT, at_s + train_s, wait_s, round)]
            at_s += 5.0
        put(store, KEYS, worker, 1, [[], []], 0.0)
        put(store, KEYS, worker, 1, [lines, []], 1e9 + 3600 * (worker == 1))
    rows = report_of(store).workers
    assert [(row.rounds_last, row.held_up_s) for row in rows] == [(0, 0.0), (4, 32.0), (0, 0.0)]


def test_the_closing_evaluation_is_no_round():
    """It has spans and waits as a round has, is closed as one, and is told of nowhere as one."""
    store, _ = made(3, 4)
    report = report_of(store)
    assert report.closing == {4}
    assert [point.number for point in report.points] == [1, 2, 3, 4]
    assert sum(row.rounds_last for row in report.workers) == 4


def test_an_interruption_is_not_drawn():
    store, _ = made(2, 3)
    before_s = report_of(store).seconds
    for worker in range(2):
        store.put(KEYS.lease(worker), Lease(2, "x").to_json(KEYS.lease(worker)))
        put(store, KEYS, worker, 2, [[Span(format.TRAIN, 0.0, 2.0)]], 1e9 + 86_400)
    report = report_of(store)
    assert report.seconds == pytest.approx(before_s + 2.0)
    assert report.cuts == [pytest.approx(before_s)]


def test_attempts_without_a_trace_are_said():
    store, _ = made(2, 3)
    store.put(KEYS.lease(1), Lease(3, "x").to_json(KEYS.lease(1)))
    said = " ".join(findings(report_of(store)))
    assert "No trace of attempt 2 of worker 1, attempt 3 of worker 1" in said


def test_all_time_is_accounted_for(report):
    for lane in report.lanes:
        spans = sorted(lane.invocation.spans, key=lambda span: span.begin_s)
        for one, following in pairwise(spans):
            assert following.begin_s >= one.end_s - 1e-5  # nothing is counted twice
    for row in report.workers:
        lanes = [lane for lane in report.lanes if lane.invocation.worker == row.worker]
        assert row.total_s == pytest.approx(sum(lane.invocation.seconds for lane in lanes), abs=1e-3)
        assert row.seconds[IDLE] < 0.1 * row.total_s
    assert report.samples == 10 * 1600


def test_the_bill_is_what_was_used_at_list_prices():
    tariff = prices.tariff("eu-west-1", "arm64")
    store, _ = made(3, 4, rates=tariff.rates(2048), tariff=asdict(tariff))
    report = report_of(store)
    seconds = sum(one.seconds for one in report.record.invocations)
    found = report.record.account.cost
    assert found.total_gb_s == pytest.approx(2 * seconds)
    requests_usd = 3 * (4 * 5 * tariff.read_usd + 2 * tariff.write_usd + tariff.invocation_usd)
    storage_usd = found.usd["storage"]
    assert 0 < storage_usd < 1e-9
    assert found.total_usd == pytest.approx(2 * seconds * tariff.gb_s_usd + requests_usd + storage_usd)
    shown = page(report)
    assert dollars(found.total_usd) in shown
    assert f"list prices of {tariff.date} (eu-west-1, arm64)" in shown
    assert "Nobody sends a bill" not in shown


def test_a_bill_says_what_was_not_seen_of_the_dead():
    store, _ = made(2, 2)
    assert "unseen" not in page(report_of(store))
    store.put(KEYS.lease(0), Lease(3, "x", before=Usage(3.0), unseen_s=12.0).to_json(KEYS.lease(0)))
    assert "Those that died may have run for up to 12.0 s more, unseen." in page(report_of(store))


def test_without_prices_a_bill_has_seconds_only():
    store, _ = made(1, 1)
    assert "The run names no list of prices." in page(report_of(store))


EVIL = "<evil>&amp;"


def test_nothing_of_a_run_is_markup():
    """Names, the reason of its end, the machines of its workers, and the list of its prices."""
    tariff = {**asdict(prices.tariff("eu-west-1")), "date": EVIL, "region": EVIL}
    store, of = made(2, 2, case=EVIL, tariff=tariff, optimizer=small.nn.SGD(0.1))
    store.put(KEYS.head, Head(2, FAILED, EVIL, counter=3).to_json(KEYS.head))
    environment = {"cpu": EVIL, EVIL: 1, "python": [EVIL]}
    for worker in range(2):
        told = {"run": KEYS.run, "worker": worker, "attempt": 1, "began_unix_s": 1e9, "environment": environment}
        store.put(KEYS.trace(worker, 1, 0), format.encode(told, [Span(format.INIT, 0.0, 0.5)]))
    report = report_of(store)
    other = made(2, 2, optimizer=small.nn.SGD(0.1), run=of.run)[0]
    for shown in (page(report), comparison([report, report_of(other)])):
        assert "<evil" not in shown
    shown = page(report)
    said = escape(EVIL)
    assert f"case {said} on" in shown
    assert f"failed: {said}." in shown
    assert f"<th>{said}</th>" in shown
    assert f"<td>{said}</td>" in shown
    assert f"list prices of {said} ({said}, x86_64)" in shown


def test_only_what_is_marked_as_html_is_markup_in_a_table():
    made_of = table(["<i>", Html("<b>x</b>")], [["<script>", Html("<i></i>")], [escape("&"), ""]])
    assert "<th>&lt;i&gt;</th><th><b>x</b></th>" in made_of
    assert "<td>&lt;script&gt;</td><td><i></i></td>" in made_of
    assert "<td>&amp;amp;</td>" in made_of


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 5000, b'{"trace": 1, "began_unix_s": ' + b"9" * 400 + b"}", b'{"trace": 1, "began_unix_s": Infinity}',
        b'{"span": "train", "begin_s": 1.0, "seconds": 1e999}', b'{"mark": "end", "at_s": "soon"}', b"{}", b"\xff\xfe",
        b'{"span": "train", "begin_s": 0.0, "seconds": 1.0, "samples": -3}', b'{"span": "train", "begin_s": 0.0, "sec',
    ],
)  # fmt: skip
def test_a_damaged_line_of_a_trace_is_left_out_and_counted(line):
    store, _ = made(1, 2)
    before = report_of(store)
    sound = store.get(KEYS.trace(0, 1, 1)).data
    store.put(KEYS.trace(0, 1, 1), line + b"\n" + sound)
    after = report_of(store)
    assert after.record.num_skipped == before.record.num_skipped + 1
    assert (after.kinds, after.seconds, after.samples) == (before.kinds, before.seconds, before.samples)
    assert "1 line of the trace cannot be read and is left out" in page(after)
