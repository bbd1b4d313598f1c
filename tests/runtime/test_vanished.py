"""What a store forgets while its maker lives and waits is made again; a store that forgets too much ends the run with a
line. On real stores, with real weights."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from nnlite.errors import NnliteError
from nnlite.protocol.records.keys import Keys
from nnlite.runs import lifecycle
from nnlite.store import open_store
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from nnlite.store.wrapper import Wrapper
from tests.runtime import small
from tests.servers import Memcached, need_memcached

ROWS = small.dataset(96)
SOON = {"straggler_timeout_s": 0.2, "lease_ttl_s": 60.0}
KINDS = {
    "averaging": small.spec(ROWS, 3, 3, (1, 3), **SOON),
    "downpour": small.spec(ROWS, 2, 2, protocol="downpour", push_every=2, pull_every=2, eval_every=0, **SOON),
}


class Forgetting(Wrapper):
    """`inner`, which loses what matches `pattern` as soon as it is written: all of it, or the first such key once."""

    def __init__(self, inner, pattern, all_of_it=False):
        super().__init__(inner)
        self.pattern, self.all_of_it = re.compile(pattern), all_of_it
        self.lost, self.written = [], Counter()

    def put(self, key, data, *, if_version=None):
        self.inner.put(key, data, if_version=if_version)
        self.written[key] += 1
        if self.pattern.search(key) and (self.all_of_it or not self.lost):
            self.inner.delete(key)
            self.lost.append(key)


@pytest.mark.parametrize("what", ["/rounds/000001/1/", "/rounds/000003/1/", "/rounds/000001/0/", "/ckpt/00000002"])
def test_a_contribution_of_a_waiting_worker_that_goes_is_made_again(what, tmp_path):
    """The first of a round, which waits for the others; and a merged node, and a checkpoint."""
    of, calm = KINDS["averaging"], MemoryStore()
    wanted = small.final(calm, of, small.train(calm, of, ROWS))
    store = Forgetting(FileStore(tmp_path), what)
    last = small.train(store, of, ROWS)
    assert small.final(store, of, last) == wanted
    assert len(store.lost) == 1
    assert "/0/" in what or store.written[store.lost[0]] == 2


def test_a_share_of_the_final_scoring_of_downpour_that_goes_is_made_again(tmp_path):
    of = KINDS["downpour"]
    store = Forgetting(FileStore(tmp_path), r"/rounds/\d+/1/")
    last = small.train(store, of, ROWS)
    assert [store.written[key] for key in store.lost] == [2]
    assert last.status == "done"
    assert last.accuracy is not None


@pytest.mark.parametrize("protocol", KINDS)
def test_a_store_that_forgets_all_of_a_round_ends_the_run_and_says_what_to_do(protocol, tmp_path):
    store = Forgetting(FileStore(tmp_path), r"/rounds/\d+/1/", all_of_it=True)
    last = small.train(store, KINDS[protocol], ROWS)
    assert last.status == "failed"
    assert re.search(r"forgotten what worker \d contributed to round \d+ 5 times: .*\(-m\)", last.reason)
    assert "\n" not in last.reason
    assert len(store.lost) < 20


def test_a_result_that_is_gone_is_said_in_a_line(tmp_path):
    of = replace(KINDS["downpour"], num_workers=1, tree_widths=(1,))
    store = FileStore(tmp_path)
    last = small.train(store, of, ROWS)
    store.delete(Keys(of.run).checkpoint(last.result))
    with pytest.raises(NnliteError, match=r"the checkpoint runs/small/ckpt/\d+ of run small is not in .*\(-m\)"):
        lifecycle.result(store, of, last)


@pytest.mark.parametrize("megabytes", ["10", "3"])
def test_a_memcached_that_is_too_small_makes_no_run_wait_for_ever(megabytes, tmp_path):
    """Six contributions of 0.7 MB, what is merged of them, and two checkpoints: about ten MB at a time."""
    need_memcached()
    of = small.spec(ROWS, 6, 2, (1, 2, 6), small.mlp(hidden=2_900), straggler_timeout_s=1.0, lease_ttl_s=60.0)
    calm = FileStore(tmp_path)
    wanted = small.final(calm, of, small.train(calm, of, ROWS, num_processes=2))
    with Memcached("-m", megabytes) as server, open_store(f"memcached://{server.address}/small") as store:
        found, reason = trained_or_why_not(store, of)
        evictions = server.evictions()
    assert found == wanted or "(-m" in reason, reason
    assert evictions > 0 or reason


def trained_or_why_not(store, of):
    """The weights, or what is said instead."""
    try:
        last = small.train(store, of, ROWS, num_processes=2)
    except NnliteError as error:
        return None, str(error)
    return (small.final(store, of, last), "") if last.status == "done" else (None, last.reason)
