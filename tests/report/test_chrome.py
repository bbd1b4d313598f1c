"""The file for trace viewers: valid by the format's rules, one track a worker, nothing lost."""

import json
from collections import defaultdict

import pytest

from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.report import chrome
from nnlite.report.tables import Report
from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from nnlite.telemetry.reading import read
from tests.report.made import CLOSING_S, made, put


def tracks(data: bytes):
    """worker -> [(begin_us, end_us, name)]; fails where an end is missing, crossed, or out of order."""
    events = json.loads(data)["traceEvents"]
    open_, closed, last = {}, defaultdict(list), defaultdict(int)
    for event in events:
        if event["ph"] in "BE":
            assert isinstance(event["ts"], int)
            assert event["ts"] >= last[event["tid"]], "time goes back"
            last[event["tid"]] = event["ts"]
        if event["ph"] == "B":
            assert event["tid"] not in open_, "a begin before the end of another"
            open_[event["tid"]] = event
        elif event["ph"] == "E":
            begin = open_.pop(event["tid"])
            assert begin["name"] == event["name"]
            closed[event["tid"]].append((begin["ts"], event["ts"], event["name"]))
    assert not open_, "a begin without an end"
    named = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert named == {worker: f"worker {worker}" for worker in named}
    assert closed.keys() <= named.keys()
    return closed


def test_a_real_run(report):
    closed = tracks(chrome.trace(report))
    assert closed.keys() == {0, 1, 2, 3}
    for row in report.workers:
        seconds = defaultdict(float)
        for begin_us, end_us, name in closed[row.worker]:
            seconds[name] += (end_us - begin_us) / 1e6
        for kind, wanted in seconds.items():
            assert wanted == pytest.approx(row.seconds[kind], abs=0.002)


def test_a_zombie_does_not_cross_its_successor():
    store, _ = made(1, 1)
    keys = Keys("small")
    store.put(keys.lease(0), Lease(2, "x").to_json(keys.lease(0)))
    put(store, keys, 0, 1, [[Span(format.TRAIN, 0.0, 10.0), Span(format.WAIT, 10.0, 5.0)], []], 1e9)
    put(store, keys, 0, 2, [[Span(format.TRAIN, 0.0, 2.0)]], 1e9 + 4)
    closed = tracks(chrome.trace(Report(read(store, "small"))))
    assert closed[0] == [(0, 4_000_000, "train"), (4_000_000, 6_000_000, "train")]


def test_rounds_are_those_that_people_count():
    """Each is closed once, and the spans of the closing evaluation belong to none."""
    store, _ = made(2, 4)
    events = json.loads(chrome.trace(Report(read(store, "small"))))["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "i"] == [f"round {n} closed" for n in (1, 2, 3, 4)]
    spans = [event for event in events if event["ph"] == "B"]
    assert {span["args"]["round"] for span in spans if "round" in span["args"]} == {1, 2, 3, 4}
    without = [span["name"] for span in spans if "round" not in span["args"]]
    assert sorted(without) == sorted(2 * [kind for kind, _ in CLOSING_S])


@pytest.mark.parametrize(
    "events", [[("B", 0)], [("B", 0), ("B", 1), ("E", 2)], [("B", 5), ("E", 3)]], ids=["open", "crossed", "backwards"]
)
def test_a_bad_file_would_be_found(events):
    bad = [{"ph": ph, "ts": ts, "tid": 0, "name": "x"} for ph, ts in events]
    with pytest.raises((AssertionError, KeyError)):
        tracks(json.dumps({"traceEvents": bad}).encode())
