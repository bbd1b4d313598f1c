"""What a process uses, and for what; and holding it to a share of the processor."""

import json
from dataclasses import dataclass

import pytest

from nnlite.cost.usage import Usage
from nnlite.errors import NotFound
from nnlite.protocol import effects as fx
from nnlite.runtime import runs
from nnlite.runtime.account import Account
from nnlite.runtime.gauge import Gauge, GaugedPerformer, gauged
from nnlite.runtime.throttle import Throttle
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from tests.runtime import small


@dataclass
class Clock:
    """A clock that others move."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


class Slow(MemoryStore):
    """Every request takes a second."""

    clock: Clock

    def get(self, key):
        self.clock.now_s += 1.0
        return super().get(key)


class Worker:
    """A trainer whose training takes 5 s, of which 1 s is a look into the store, and whose scoring takes 2 s."""

    def __init__(self, clock, store):
        self.clock, self.store = clock, store

    def train(self, seconds, until_step):
        with pytest.raises(NotFound):
            self.store.get("shard")
        self.clock.now_s += 4.0
        return fx.Progress(True, 1, 0.0)

    def score(self, seconds):
        self.clock.now_s += 2.0
        return fx.Progress(True, 1, 0.0)

    def collect(self):
        self.clock.now_s += 0.5


def test_each_second_is_counted_once_and_where_it_belongs():
    clock, told = Clock(), []
    inner = Slow()
    inner.clock = clock
    gauge = Gauge(began_s=97.0, tell=lambda event, values: told.append((event, values)), clock=clock)
    store = Traced(inner, clock=clock)
    gauge.watch(store)
    performer = GaugedPerformer(store, Worker(clock, store), gauge=gauge)

    def program():
        yield fx.Train(1.0)
        yield fx.Score(1.0)
        clock.now_s += 0.25  # merging
        yield fx.Get("a")
        yield fx.Collect()
        yield fx.Create("b", b"12345")
        yield fx.Sleep(1.0)
        return "over"

    def drive(running, answer=None):
        while True:
            effect = running.send(answer)
            if isinstance(effect, fx.Sleep):
                clock.now_s += 10.0
                answer = None
            else:
                answer = performer.perform(effect)

    with pytest.raises(StopIteration, match="over"):
        drive(gauged(program(), gauge))
    used = gauge.usage()
    assert used.seconds == pytest.approx(3 + 5 + 2 + 0.25 + 1 + 0.5 + 10)
    assert (used.init_s, used.compute_s, used.merge_s) == (3.0, pytest.approx(6.0), pytest.approx(0.75))
    assert used.waiting_s == pytest.approx(12.0)  # two looks into the store, and the sleep
    assert (used.num_reads, used.num_writes, used.num_deletes, used.written_bytes) == (2, 1, 0, 5)
    assert [values["phase"] for _, values in told if values["phase"]] == ["train", "score"]
    assert Usage.from_values(told[-1][1]) == Usage.from_values({**told[-1][1], "seconds": used.seconds})


def test_of_a_process_the_last_account_counts_and_processes_are_added():
    account, passed_on = Account(), []
    tell = account.listening(lambda event, values: passed_on.append(event))
    for process, seconds, phase in ((1, 1.0, "train"), (2, 5.0, ""), (1, 3.0, "score")):
        tell("usage", {"process": process, "phase": phase, **vars(Usage(seconds))})
    tell("round", {})
    assert account.total().seconds == 8.0
    assert account.total().num_invocations == 2
    assert [phase for phase, _ in account.phases[1]] == ["train", "score"]
    assert passed_on == ["round"]


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_the_account_of_a_real_run(processes, tmp_path):
    rows = small.dataset()
    spec = small.spec(rows, num_workers=2, num_rounds=4)
    store = FileStore(tmp_path / "store")
    runs.begin(store, store, spec, rows)
    account = Account()
    platform = small.LocalPlatform(spec.run, store.url, processes) if processes else None
    runs.Driver(store, spec, platform, tell=account.listening(lambda *_: None)).drive({0: 1, 1: 1})
    account.finish(platform)
    used = account.total()
    assert used.num_invocations == max(1, processes)
    assert used.compute_s > 0
    assert used.merge_s > 0
    assert used.init_s + used.compute_s + used.merge_s < used.seconds
    least = 4 * (2 + 1 + 1)  # contributions, roots and checkpoints of four rounds
    assert used.num_writes >= least
    assert used.num_reads >= 4 * 2
    assert used.written_bytes > 4 * 4 * small.mlp().layout.size * 4
    assert 10 < used.peak_mb < 2000
    json.dumps(vars(used))


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


def test_start_up_is_held_to_the_share_too():
    clock, cpu = Clock(), Clock(0.5)
    slept = []
    Throttle(0.5, clock, cpu, slept.append).settle()
    assert slept == [pytest.approx(0.5)]
