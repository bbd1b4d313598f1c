"""One real run of four workers, of which one is killed and one is slow; shared by all tests of reports."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.records.keys import Keys
from nnlite.report.tables import Report
from nnlite.runs import lifecycle
from nnlite.store.file import FileStore
from nnlite.telemetry.reading import read
from tests.runtime import small

KILLED, SLOW = 1, 3


@dataclass
class Disturber(threading.Thread):
    """Kills one worker process once it has written something, and keeps stopping another."""

    platform: LocalInvoker
    store: FileStore
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while len(self.platform.pids()) < 4:
            time.sleep(0.005)
        pids = self.platform.pids()
        while not small.exists(self.store, Keys("small").trace(KILLED, 1, 0)):
            time.sleep(0.02)
        os.kill(pids[KILLED], signal.SIGKILL)
        while not self.over.is_set():
            try:
                os.kill(pids[SLOW], signal.SIGSTOP)
                time.sleep(0.1)
                os.kill(pids[SLOW], signal.SIGCONT)
                time.sleep(0.02)
            except ProcessLookupError:
                return


@pytest.fixture(scope="session")
def disturbed(tmp_path_factory) -> FileStore:
    """The store in which that run, `small`, is done."""
    store = FileStore(tmp_path_factory.mktemp("disturbed"))
    rows = small.dataset(1600)
    of = small.spec(rows, 4, 10, batch_size=1, network=small.mlp(hidden=2000), slice_s=0.05, max_poll_s=0.03)
    lifecycle.begin(store, store, of, rows)
    platform = LocalInvoker(of.run, store.url, 4)
    disturber = Disturber(platform, store)
    disturber.start()
    try:
        last = lifecycle.Driver(store, of, platform).drive(dict.fromkeys(range(4), 1))
    finally:
        disturber.over.set()
        disturber.join()
    assert last.status == "done"
    return store


@pytest.fixture
def report(disturbed) -> Report:
    """Its report."""
    return Report(read(disturbed, "small"))
