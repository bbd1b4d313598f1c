"""What a process uses, and for what; and holding it to a share of the processor."""

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import pytest

from nnlite.protocol import effects as fx
from nnlite.protocol.records.spec import Rates
from nnlite.runs import lifecycle
from nnlite.runtime.performer import Performer
from nnlite.runtime.workers import Workers
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from nnlite.telemetry.reading import read_account
from nnlite.telemetry.recorder import Spans
from nnlite.telemetry.throttle import Throttle
from nnlite.telemetry.usage_meter import Gauge
from tests.runtime import small


@dataclass
class Clock:
    """A clock that others move."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


ANY = small.spec(small.dataset(), 1, 1)


class Told:
    """A process with one worker, whose recorder is fed by hand."""

    def __init__(self):
        self.clock = Clock()
        self.gauge = Gauge(97.0, clock=self.clock)
        self.meter = self.gauge.open()
        self.spans = Spans(ANY, 0, None, 100.0, self.meter, self.clock)
        self.gauge.begin()

    def do(self, effect, answer, seconds, thought_s=0.0):
        began_s = self.clock.now_s
        self.clock.now_s += thought_s + seconds
        self.spans.performed(effect, answer, began_s, began_s + thought_s)


def test_each_second_is_counted_once_and_where_it_belongs():
    told = Told()
    told.spans.add("init", 97.0, 100.0)
    told.spans.reads(100.5, 101.5, 7)  # a shard
    told.do(fx.Train(1.0), fx.TrainingSums(True, 1, 0.0), 5.0)
    told.do(fx.Score(1.0), fx.TrainingSums(True, 1, 0.0), 2.0)
    told.do(fx.Get("a"), None, 1.0, thought_s=0.25)  # merging
    told.do(fx.Collect(), None, 0.5)
    told.do(fx.Create("b", b"12345"), True, 0.0)
    told.do(fx.DeleteMany(("a", "b")), None, 0.0)
    told.spans.sleeps(told.clock.now_s)
    told.clock.now_s += 10.0
    told.do(fx.Now(), 0.0, 0.0)
    told.spans.close("over")
    used = told.meter.usage()
    assert used.seconds == used.age_s == pytest.approx(3 + 5 + 2 + 0.25 + 1 + 0.5 + 10)
    assert (used.init_s, used.compute_s, used.merge_s) == (3.0, pytest.approx(6.0), pytest.approx(0.75))
    assert used.waiting_s == pytest.approx(12.0)  # two looks into the store, and the sleep
    assert used.store_s == pytest.approx(2.0)
    assert (used.num_reads, used.num_writes, used.num_deletes) == (3, 1, 2)  # the specification was read as well
    assert (used.read_bytes, used.written_bytes) == (7, 5)


def test_the_bill_is_the_account_at_the_run_s_rates():
    told = Told()
    told.do(fx.GetMany(("a", "b")), [None, None], 0.0)
    told.do(fx.Get("a"), None, 0.5)
    told.do(fx.Create("b", b""), True, 0.0)
    told.do(fx.Delete("b"), None, 0.0)
    rates = Rates(worker_second_usd=1.0, invocation_usd=10.0, read_usd=100.0, write_usd=1000.0)
    assert rates.usd(told.meter.usage()) == 10 + 3.5 + (3 + 1) * 100 + 1000
    assert Rates().usd(told.meter.usage()) == 0.0


def test_the_time_of_a_process_is_shared_out_among_those_that_are_in_it():
    """Start-up, and then who is there, one, two, or three at a time: the accounts add up to what the clock says."""
    clock = Clock()
    gauge = Gauge(98.0, clock=clock)
    first, second = gauge.open(), gauge.open()
    gauge.begin()
    clock.now_s += 4.0
    third = gauge.open()
    clock.now_s += 3.0
    second.close()
    clock.now_s += 2.0
    third.close()
    clock.now_s += 1.0
    used = [meter.usage() for meter in (first, second, third)]
    assert [one.seconds for one in used] == [2 + 2 + 1 + 1 + 1, 2 + 1, 1 + 1]
    assert sum(one.seconds for one in used) == clock.now_s - 98.0
    assert [one.age_s for one in used] == [12.0, 9.0, 5.0]  # the longest they can have been at it
    assert [one.init_s for one in used] == [2.0, 0.0, 0.0]
    assert [one.num_invocations for one in used] == [1, 0, 0]  # one process
    second.close()
    assert second.usage() == used[1]


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_what_is_counted_is_what_the_store_was_asked_for(protocol):
    """Two workers, shards and traces included. Only the specification is read before anybody counts."""
    rows, store = small.dataset(), MemoryStore()
    of = small.spec(rows, 2, 3, protocol=protocol, push_every=2, pull_every=2)
    lifecycle.begin(store, store, of, rows)
    asked = Traced(store)
    workers = Workers(asked, of.run)
    for worker in range(2):
        workers.add(worker, 1)
    workers.scheduler.run()
    used, totals = workers.used(), asked.totals
    assert used.num_reads == totals["get"].num_keys + totals["get_many"].num_keys
    assert used.num_writes == totals["put"].num_keys
    assert 0.999 * totals["put"].num_bytes < used.written_bytes
    assert used.written_bytes < 1.1 * totals["put"].num_bytes  # more where a swap was lost: that was sent, too
    assert used.num_deletes == totals["delete"].num_keys + totals["delete_many"].num_keys
    told = read_account(store, of).used  # before the write with which it was told was over
    assert told.asked() == pytest.approx(used.asked(), abs=0.5)
    assert (told.num_reads, told.num_writes) == (used.num_reads, used.num_writes)


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_the_account_of_a_real_run(processes, tmp_path):
    rows = small.dataset()
    spec = small.spec(rows, num_workers=2, num_rounds=4)
    store = FileStore(tmp_path / "store")
    lifecycle.begin(store, store, spec, rows)
    platform = small.LocalInvoker(spec.run, store.url, processes) if processes else None
    lifecycle.Driver(store, spec, platform).drive({0: 1, 1: 1})
    account = read_account(store, spec)
    used = account.used
    assert account.going == []
    assert used.num_invocations == max(1, processes)
    assert used.compute_s > 0
    assert used.merge_s > 0
    assert used.init_s + used.compute_s + used.merge_s < used.seconds
    least = 4 * (2 + 1 + 1)  # contributions, roots and checkpoints of four rounds
    assert used.num_writes >= least
    assert used.num_reads >= 4 * 2
    assert used.written_bytes > 4 * 4 * small.mlp().layout.size * 4
    assert 10 < used.peak_mb < 2000


def test_a_throttle_holds_the_processor_time_to_its_share():
    """Whatever a process does, between two waits it gets no more than its share; and waiting is not saved up."""
    clock, cpu = Clock(), Clock(0.0)

    def sleep(seconds):
        clock.now_s += seconds

    throttle = Throttle(0.25, clock, cpu, sleep)
    began_s = clock.now_s
    for work_s in (0.001, 0.0003, 0.1, 0.02, 1.0):
        cpu.now_s += work_s
        clock.now_s += work_s
        throttle.settle()
    assert cpu.now_s / (clock.now_s - began_s) == pytest.approx(0.25, rel=0.01)
    clock.now_s += 100.0  # waits for others
    throttle.settle()
    before_s = clock.now_s
    cpu.now_s += 1.0
    clock.now_s += 1.0
    throttle.settle()
    assert clock.now_s - before_s == pytest.approx(4.0)


def test_a_throttle_is_asked_after_every_piece_of_work(monkeypatch):
    """What a worker thinks, and what it has done."""
    performed, settled, perform = [], [], Performer.perform

    def counted(performer, effect):
        performed.append(len(settled))
        return perform(performer, effect)

    monkeypatch.setattr(Performer, "perform", counted)
    rows, store = small.dataset(), MemoryStore()
    of = small.spec(rows, 2, 2)
    lifecycle.begin(store, store, of, rows)
    workers = Workers(store, of.run, gauge=Gauge(throttle=SimpleNamespace(settle=lambda: settled.append(0))))
    for worker in range(2):
        workers.add(worker, 1)
    workers.scheduler.run()
    assert len(performed) > 20
    assert all(after - before >= 2 for before, after in pairwise(performed))


def test_start_up_is_held_to_the_share_too():
    clock, cpu = Clock(), Clock(0.5)
    slept = []
    Throttle(0.5, clock, cpu, slept.append).settle()
    assert slept == [pytest.approx(0.5)]
