"""Workers killed with SIGKILL at random moments change nothing but the time a run takes."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset(1200)
OF = small.spec(ROWS, 3, 6, batch_size=1, slice_s=0.02, max_attempts=100, network=small.mlp(hidden=64))


class Killer(threading.Thread):
    """Kills a random worker process now and then, `times` times, as long as there are any."""

    def __init__(self, seed: int, times: int):
        super().__init__(daemon=True)
        self.rng, self.times = np.random.default_rng(seed), times
        self.platform = None
        self.killed: list[int] = []
        self.over = threading.Event()

    def begin(self, platform) -> None:
        """What `small.train` calls."""
        self.platform = platform
        self.start()

    def run(self) -> None:
        while len(self.killed) < self.times and not self.over.wait(self.rng.uniform(0.05, 0.6)):
            pids = [pid for pid in self.platform.pids() if pid not in self.killed]
            if pids:
                victim = int(self.rng.choice(pids))
                os.kill(victim, signal.SIGKILL)
                self.killed.append(victim)


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    store = MemoryStore()
    return small.final(store, OF, small.train(store, OF, ROWS))


@pytest.mark.parametrize(("seed", "num_processes"), [(0, 3), (1, 3), (2, 1)])
def test_killed_workers_are_replaced_and_the_bytes_are_the_same(seed, num_processes, tmp_path, undisturbed):
    store, story, killer = FileStore(tmp_path), small.Story(), Killer(seed, times=4)
    last = small.train(store, OF, ROWS, num_processes, tell=story, started=killer.begin)
    killer.over.set()
    killer.join()
    told = f"seed {seed}: killed {killer.killed}, replaced {story.all('replaced')}"
    assert killer.killed, told
    assert story.all("replaced"), told
    assert small.final(store, OF, last) == undisturbed, told
    assert all(values["num_samples"] in (0, 1200) for values in story.all("round")), told


def test_also_where_a_round_ends_with_more_than_the_mean(tmp_path):
    of, calm = replace(OF, slow_momentum=0.5, average_last=3), MemoryStore()
    store, killer = FileStore(tmp_path), Killer(3, times=4)
    last = small.train(store, of, ROWS, 2, started=killer.begin)
    killer.over.set()
    killer.join()
    assert killer.killed
    assert small.final(store, of, last) == small.final(calm, of, small.train(calm, of, ROWS))


def test_a_worker_killed_in_the_middle_of_its_round(tmp_path, undisturbed):
    """Not at random: after it has begun, and long before its round can be over."""
    of = small.spec(ROWS, 2, 1, batch_size=1, network=small.mlp(hidden=300), slice_s=0.01, steps_per_round=4000)
    store, story, platforms = FileStore(tmp_path), small.Story(), []

    def tell(event, values):
        story(event, values)
        if event == "began" and values["worker"] == 1 and values["attempt"] == 1:
            (pid,) = platforms[0].pids()[1:]
            os.kill(pid, signal.SIGKILL)
            assert not small.exists(store, "runs/small/rounds/000000/1/00001")

    last = small.train(store, of, ROWS, 2, tell=tell, started=platforms.append)
    assert [(v["worker"], v["attempt"]) for v in story.all("replaced")] == [(1, 2)]
    calm = MemoryStore()
    assert small.final(store, of, last) == small.final(calm, of, small.train(calm, of, ROWS))


def test_a_worker_that_always_dies_ends_the_run_with_its_number(tmp_path):
    of = small.spec(ROWS, 2, 3, batch_size=1, max_attempts=3, slice_s=0.02, network=small.mlp(hidden=300))
    store, killed, over = FileStore(tmp_path), [], threading.Event()

    def hunt(platform):
        while not over.wait(0.02):
            for pid in platform.pids():
                if pid not in killed:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    began_s = time.monotonic()
    last = small.train(store, of, ROWS, 2, started=lambda p: threading.Thread(target=hunt, args=(p,)).start())
    over.set()
    assert last.status == "failed"
    assert "died 3 times; the run allows 3 attempts" in last.reason
    assert time.monotonic() - began_s < 30
