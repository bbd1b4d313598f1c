"""The recorder: what effects become, and that a trace never hurts the run it is of."""

import threading
from collections import Counter
from itertools import pairwise

import pytest

from nnlite.errors import StoreUnavailable
from nnlite.protocol import effects as fx
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.store import Version, Versioned
from nnlite.store.memory import MemoryStore
from nnlite.telemetry import format
from nnlite.telemetry import writer as trace_writer
from nnlite.telemetry.reading import read
from nnlite.telemetry.recorder import Spans
from nnlite.telemetry.usage_meter import Gauge
from nnlite.telemetry.writer import TraceWriter
from tests.runtime import small

ROWS = small.dataset()
OF = small.spec(ROWS, 4, 3)
KEYS = Keys("small")


class Clock:
    """Goes on when told to."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Told:
    """A recorder of worker 2, fed by hand: `do(effect, answer, seconds)`."""

    def __init__(self, store=None):
        self.clock, self.store = Clock(), store if store is not None else MemoryStore()
        writer = TraceWriter(self.store, "small", 2, 1, 1e9, True)
        meter = Gauge(100.0, clock=self.clock).open()
        self.spans = Spans(OF, 2, writer, 100.0, meter, self.clock)
        self.do(fx.Note("began", {}), None, 0.0)

    def do(self, effect, answer, seconds, before_s=0.0):
        began_s = self.clock.now_s
        self.clock.now_s += before_s
        asked_s = self.clock.now_s
        self.clock.now_s += seconds
        self.spans.performed(effect, answer, began_s, asked_s)

    def sleep(self, seconds):
        self.spans.sleeps(self.clock.now_s)
        self.clock.now_s += seconds

    def batches(self):
        self.spans.close("done")
        found = [one.data for one in self.store.get_many(KEYS.trace(2, 1, n) for n in range(1000)) if one]
        return [format.decode(data) for data in found]

    def lines(self):
        return [(s.kind, round(s.begin_s, 6), round(s.seconds, 6)) for b in self.batches() for s in b.spans]


def found(data):
    return Versioned(data, Version("1"))


def progress(samples, finished=False):
    return fx.TrainingSums(finished, samples, 0.0)


def test_a_round_becomes_a_handful_of_spans():
    told = Told()
    told.do(fx.Get(KEYS.checkpoint(1)), found(b"x" * 70), 0.2)
    told.do(fx.Adopt(1, b"", ""), None, 0.1)
    told.do(fx.Score(0.5), progress(40, True), 0.3)
    for n in range(1, 5):  # slices, with beats and looks at the head in between
        told.do(fx.Train(0.5), progress(100 * n, n == 4), 0.5)
        told.do(fx.Now(), 0.0, 0.0)
        told.do(fx.Get(KEYS.head), found(b"head"), 0.01)
    told.do(fx.Collect(), None, 0.0)
    told.do(fx.Create(KEYS.node(1, 1, 2), b"y" * 80), True, 0.2, before_s=0.1)  # encoded before it was put
    told.do(fx.GetMany((KEYS.node(1, 1, 3),)), [None], 0.0005)
    for _ in range(3):
        told.sleep(0.5)
        told.do(fx.Get(KEYS.head), found(b"head"), 0.01)
    told.do(fx.Get(KEYS.checkpoint(2)), found(b"x" * 70), 0.2)
    batches = told.batches()
    spans = [span for batch in batches for span in batch.spans]
    seconds = Counter()
    for span in spans:
        seconds[span.kind] += span.seconds
    assert seconds["pull"] == pytest.approx(0.5)
    assert seconds["evaluate"] == pytest.approx(0.3)
    assert seconds["train"] + seconds["coordinate"] == pytest.approx(2.04)
    assert 0.01 <= seconds["coordinate"] < 0.03  # the last look at the head, and one where a batch was cut
    assert seconds["push"] == pytest.approx(0.3005)
    assert seconds["wait"] == pytest.approx(1.53)
    assert sum(span.samples for span in spans if span.kind == "train") == 400
    assert sum(span.reads for span in spans) == 1 + 4 + 1 + 3 + 1
    assert (sum(s.bytes_in for s in spans), sum(s.bytes_out for s in spans)) == (2 * 70 + 7 * 4, 80)
    assert sum(span.store_s for span in spans) == pytest.approx(0.2 + 0.04 + 0.2 + 0.0005 + 0.03 + 0.2)
    assert {span.round for span in spans if span.kind == "train"} == {1}
    assert len(spans) <= 10
    assert batches[-1].marks[-1]["reason"] == "done"


def test_merging_and_closing():
    told = Told()
    told.do(fx.GetMany((KEYS.node(0, 1, 0), KEYS.node(0, 1, 1))), [found(b"a"), found(b"b")], 0.1)
    told.do(fx.Create(KEYS.node(0, 0, 0), b"ab"), True, 0.1, before_s=0.5)
    told.do(fx.Create(KEYS.checkpoint(1), b"ab"), True, 0.1)
    told.do(fx.Create(KEYS.summary(0), b"{}"), True, 0.1)
    told.do(fx.Swap(KEYS.head, b"", None), True, 0.1)
    batches = told.batches()
    (merge, swap) = batches[0].spans
    assert (merge.kind, round(merge.seconds, 6), merge.reads, merge.writes) == ("merge", 0.9, 2, 3)
    assert swap.kind == "coordinate"
    assert [(m["mark"], m.get("round")) for m in batches[0].marks] == [("closed", 0), ("end", None)]
    assert batches[0].marks[0]["at_s"] == pytest.approx(0.9)


def test_folding_updates_is_merging():
    told = Told()
    free, mine = (found(Lease(*of).to_json(KEYS.combine)) for of in ((6, "other"), (7, "me")))
    told.do(fx.Get(KEYS.combine), free, 0.1)
    told.do(fx.Swap(KEYS.combine, mine.data, free), True, 0.1)
    told.do(fx.Get(KEYS.checkpoint(7)), found(b"x"), 0.1)
    told.do(fx.GetMany((KEYS.update(1, 3),)), [None], 0.1)
    told.do(fx.Create(KEYS.checkpoint(8), b"x"), True, 0.1)
    told.do(fx.Get(KEYS.combine), mine, 0.1)
    told.do(fx.Swap(KEYS.combine, Lease(7, OPEN).to_json(KEYS.combine), mine), True, 0.1)
    told.do(fx.Get(KEYS.checkpoint(8)), found(b"x"), 0.1)
    told.do(fx.Swap(KEYS.combine, mine.data, free), True, 0.1)
    told.do(fx.Create(KEYS.checkpoint(9), b"x"), True, 0.1)  # and it is not given back
    told.do(fx.Rebase(b"", "", ()), None, 0.1)
    told.do(fx.Get(KEYS.checkpoint(9)), found(b"x"), 0.1)
    assert told.lines() == [
        ("coordinate", 0.0, 0.2), ("merge", 0.2, 0.3), ("coordinate", 0.5, 0.2), ("pull", 0.7, 0.1),
        ("coordinate", 0.8, 0.1), ("merge", 0.9, 0.1), ("pull", 1.0, 0.1), ("pull", 1.1, 0.1),
    ]  # fmt: skip


def test_reading_a_shard_is_taken_out_of_the_step_it_happens_in():
    told = Told()
    told.clock.now_s += 0.2
    told.spans.reads(100.2, 100.7, 5000)
    told.clock.now_s += 1.3
    told.spans.performed(fx.Train(0.5), progress(10), 100.0, 100.0)
    assert told.lines() == [("train", 0.0, 0.2), ("read shard", 0.2, 0.5), ("train", 0.7, 0.8)]


def test_another_worker_s_turn_is_not_training():
    told = Told()
    told.do(fx.Train(0.5), progress(10), 0.5)
    told.clock.now_s += 0.5
    told.do(fx.Train(0.5), progress(20), 0.5)
    assert told.lines() == [("train", 0.0, 0.5), ("train", 1.0, 0.5)]


def test_batches_are_few_and_come_early():
    """One after a second, then one every five, later every tenth of the age."""
    told = Told()
    ages = []
    for n in range(1, 10_001):
        told.do(fx.Train(0.5), progress(n), 0.1)
        thread = told.spans.writer._thread
        if thread:
            thread.join()
        if small.exists(told.store, KEYS.trace(2, 1, len(ages))):
            ages.append(n / 10)
    assert ages[0] == pytest.approx(1.0, abs=0.11)
    assert all(later - earlier >= 5.0 - 1e-6 for earlier, later in pairwise(ages))
    assert len(ages) < 50  # in 1,000 seconds
    assert 1000 - ages[-1] < 0.1 * 1000 + 1
    spans = [span for batch in told.batches() for span in batch.spans]
    assert sum(span.seconds for span in spans) == pytest.approx(1000.0)
    assert sum(span.samples for span in spans) == 10_000


def test_a_duplicate_writes_nothing():
    store = MemoryStore()
    spans = Spans(OF, 2, TraceWriter(store, "small", 2, 1, 1e9, False), 100.0, Gauge().open(), Clock())
    spans.add(format.INIT, 100.0, 100.5)
    spans.close("another invocation is this worker")
    assert store.folders("runs/") == []


class Moody(MemoryStore):
    """Fails `times` writes of traces: before they take effect, or after."""

    def __init__(self, times, after):
        super().__init__()
        self.times, self.after = times, after

    def put(self, key, data, *, if_version=None):
        if "/traces/" in key and self.times:
            self.times -= 1
            if self.after:
                super().put(key, data, if_version=if_version)
            raise StoreUnavailable("no answer")
        super().put(key, data, if_version=if_version)


@pytest.mark.parametrize("after", [False, True])
def test_what_could_not_be_put_comes_with_the_next_batch(after):
    told = Told(Moody(2, after))
    for n in range(1, 101):
        told.do(fx.Train(0.5), progress(n), 0.2)
        if told.spans.writer._thread:
            told.spans.writer._thread.join()
    distinct = {(s.begin_s, s.kind): s for batch in told.batches() for s in batch.spans}
    assert sum(span.samples for span in distinct.values()) == 100
    if not after:
        assert sum(len(batch.spans) for batch in told.batches()) == len(distinct)


def test_a_store_that_never_answers_costs_a_bounded_memory(monkeypatch):
    monkeypatch.setattr(trace_writer, "MAX_LINES", 10)
    writer = TraceWriter(Moody(10**9, False), "small", 2, 1, 1e9, False)
    for n in range(100):
        assert writer.offer(lambda n=n: [format.Span(format.TRAIN, n, 1.0)])
        writer._thread.join()
    assert len(writer._kept) == 10
    assert writer._num_lost == 90


def test_a_slow_store_delays_nobody():
    """While one batch is on its way, no second is begun, and the worker goes on."""
    gate = threading.Event()

    class Slow(MemoryStore):
        def put(self, key, data, *, if_version=None):
            assert gate.wait(20)
            super().put(key, data, if_version=if_version)

    told = Told(Slow())
    for n in range(1, 101):
        told.do(fx.Train(0.5), progress(n), 0.2)
    gate.set()
    assert sum(span.samples for batch in told.batches() for span in batch.spans) == 100


def test_who_is_told_to_end_while_it_closes_writes_its_last_words_even_so(monkeypatch):
    """The signal comes while the last batch is on its way: closing again waits for that very batch."""
    gate = threading.Event()

    class Slow(MemoryStore):
        def put(self, key, data, *, if_version=None):
            assert gate.wait(20)
            super().put(key, data, if_version=if_version)

    def told_to_end(*_):
        raise SystemExit

    told = Told(Slow())
    told.do(fx.Train(0.5), progress(1), 0.2)
    with monkeypatch.context() as signal:
        signal.setattr(threading.Thread, "join", told_to_end)
        with pytest.raises(SystemExit):
            told.spans.close("the work is done")
    gate.set()
    (batch,) = told.batches()
    assert [mark["mark"] for mark in batch.marks] == ["end"]
    assert batch.marks[-1]["reason"] == "the work is done"


def test_lines_that_come_while_a_batch_is_on_its_way_are_in_the_next():
    gate, at_it = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def put(self, key, data, *, if_version=None):
            at_it.set()
            assert gate.wait(20)
            super().put(key, data, if_version=if_version)

    store = Slow()
    writer = TraceWriter(store, "small", 2, 1, 1e9, False)
    assert writer.offer(lambda: [format.Span(format.TRAIN, 0.0, 1.0)])
    assert at_it.wait(20)
    writer.keep([format.Span(format.TRAIN, 1.0, 1.0)])
    gate.set()
    writer.finish()
    batches = [format.decode(store.get(KEYS.trace(2, 1, n)).data) for n in range(2)]
    assert [[span.begin_s for span in batch.spans] for batch in batches] == [[0.0], [1.0]]


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_a_run_with_a_store_that_refuses_traces_ends_with_the_same_bytes(protocol):
    more = {"protocol": protocol, "push_every": 4, "pull_every": 4}
    one = small.spec(ROWS, 1 if protocol == "downpour" else 4, 3, **more)
    good, bad = MemoryStore(), Moody(10**9, False)
    wanted = small.final(good, one, small.train(good, one, ROWS))
    assert small.final(bad, one, small.train(bad, one, ROWS)) == wanted
    assert not any("traces" in key for key in bad._space.values)
    assert any("traces" in key for key in good._space.values)


def test_no_trace_where_none_is_wanted():
    store, of = MemoryStore(), small.spec(ROWS, 2, 2, trace=False)
    small.train(store, of, ROWS)
    assert not any("traces" in key for key in store._space.values)


def test_a_run_s_trace_has_every_round_and_sample():
    store = MemoryStore()
    small.train(store, OF, ROWS)
    record = read(store, "small")
    assert [(one.worker, one.attempt) for one in record.invocations] == [(w, 1) for w in range(4)]
    spans = [span for one in record.invocations for span in one.spans]
    assert sum(span.samples for span in spans if span.kind == "train") == 3 * 96
    assert sum(span.samples for span in spans if span.kind == "evaluate") == 3 * 40
    closed = sorted(mark["round"] for one in record.invocations for mark in one.marks if mark["mark"] == "closed")
    assert closed == [0, 1, 2, 3]
    assert all(one.end is not None and one.num_skipped == 0 for one in record.invocations)
    assert {"init", "read shard", "pull", "train", "evaluate", "push", "merge"} <= {span.kind for span in spans}


def test_handing_over_is_seen():
    told = Told()
    told.do(fx.Invoke(2, 2), None, 0.3)
    told.do(fx.Invoke(3, 2), None, 0.3)
    assert told.lines() == [("hand over", 0.0, 0.3), ("coordinate", 0.3, 0.3)]
