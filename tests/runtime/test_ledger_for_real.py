"""Real processes, real servers, real signals: what comes out is exact to the last integer."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nnlite.invoker import local
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Model
from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.keys import Keys
from nnlite.runs import lifecycle
from nnlite.runtime.workers import open_durable
from nnlite.store import open_store
from tests.protocol import toy
from tests.protocol.test_downpour import expected
from tests.servers import BUCKET, Memcached, need_memcached

NUM_WORKERS = 8
NUM_STEPS = 60
FAULTS = "fault_rate=0.05&fault_seed={}"
OPTIONS = {"lease_ttl_s": 8.0, "straggler_timeout_s": 1.5, "beat_s": 0.5, "max_poll_s": 0.1, "max_attempts": 200}


class Trouble(threading.Thread):
    """Kills a random worker process every so often, and does `once` after a while."""

    def __init__(self, platform, every_s, once=None, after_s=2.0):
        super().__init__(daemon=True)
        self.platform, self.every_s, self.once, self.after_s = platform, every_s, once, after_s
        self.num_killed, self.over = 0, threading.Event()

    def run(self):
        rng, began_s = random.Random(5), time.monotonic()
        while not self.over.wait(self.every_s):
            if self.once and time.monotonic() - began_s > self.after_s:
                self.once()
                self.once = None
            if pids := self.platform.pids():
                os.kill(rng.choice(pids), signal.SIGKILL)
                self.num_killed += 1


@pytest.fixture(autouse=True)
def toy_processes(monkeypatch):
    """Worker processes of the toy, and toys that take longer."""
    monkeypatch.setattr(local, "MODULE", "tests.runtime.toy_process")
    monkeypatch.setattr(toy, "STEPS", NUM_STEPS)
    monkeypatch.setenv("NNLITE_TOY_STEPS", str(NUM_STEPS))


def begin(store, spec):
    """What `runs.begin` does, for a run without data."""
    key = Keys(spec.run).checkpoint(0)
    first = contribution.encode(Model(np.arange(toy.SIZE, dtype=np.float32), toy.SHAPES), Tally(), key)
    for one in filter(None, (open_durable(spec), store)):
        one.put(key, first)
        one.put(Keys(spec.run).head, Head().to_json(Keys(spec.run).head))
    store.put(Keys(spec.run).spec, spec.to_json())


def run(url, spec, once=None):
    """Drive a run through trouble. -> its last head, its final vector, how many were killed"""
    with open_store(url) as store:
        begin(store, spec)
        platform = LocalInvoker(spec.run, url, spec.num_workers)
        trouble = Trouble(platform, 0.4, once)
        trouble.start()
        last = lifecycle.Driver(store, spec, platform).drive(dict.fromkeys(range(spec.num_workers), 1))
        trouble.over.set()
        trouble.join()
        assert last.status == DONE, last
        where = Keys(spec.run).checkpoint(last.result)
        data = lifecycle.checkpoint(store, spec, where)
        return last, contribution.decode(data, where)[0].vector, trouble.num_killed


def downpour(**more):
    return toy.spec(NUM_WORKERS, 1, protocol="downpour", push_every=3, pull_every=5, eval_every=0, **OPTIONS, **more)


def averaging(**more):
    return toy.spec(NUM_WORKERS, 12, (1, 2, NUM_WORKERS), **OPTIONS, **more)


def check_downpour(last, vector):
    assert last.steps == (NUM_STEPS,) * NUM_WORKERS  # each divided by eight, which is exact
    assert np.array_equal(vector, expected(NUM_WORKERS, NUM_STEPS, share=1 / NUM_WORKERS))


def test_downpour_on_memcached_that_is_restarted(tmp_path: Path):
    need_memcached()
    with Memcached() as server:
        spec = downpour(checkpoint_store=f"file://{tmp_path}", checkpoint_every=5)
        url = f"memcached://{server.address}/ledger?{FAULTS.format(3)}"
        last, vector, num_killed = run(url, spec, once=server.restart)
    check_downpour(last, vector)
    assert last.life > 0
    assert num_killed > 0


def test_averaging_on_memcached_that_is_restarted(tmp_path: Path):
    need_memcached()
    calm = toy.simulate(toy.spec(NUM_WORKERS, 12, (1, 2, NUM_WORKERS)))
    where = calm.keys.checkpoint(calm.run().result)
    wanted = calm.store[where].data
    with Memcached() as server:
        spec = averaging(checkpoint_store=f"file://{tmp_path}", checkpoint_every=2)
        last, vector, num_killed = run(f"memcached://{server.address}/a?{FAULTS.format(4)}", spec, once=server.restart)
    assert np.array_equal(vector, contribution.decode(wanted, where)[0].vector)
    assert num_killed > 0
    assert last.life > 0


def test_downpour_on_s3(s3: str):
    last, vector, num_killed = run(f"s3://{BUCKET}/ledger?endpoint={s3}&{FAULTS.format(5)}", downpour())
    check_downpour(last, vector)
    assert num_killed > 0
