"""A worker that hands over in the middle of an epoch ends with the same bytes: nothing it carries is left behind."""

import itertools
from collections import deque

import pytest

from nnlite import nn
from nnlite.errors import StructureError, WeightsError
from nnlite.protocol import cursor
from nnlite.protocol.spec import RunSpec
from nnlite.runtime import runs
from nnlite.runtime.invocation import Payload, carry_out
from nnlite.runtime.trainer import Trainer
from nnlite.store.file import FileStore
from tests.runtime import small

ROWS = small.dataset(240)
OPTIMIZERS = [nn.SGD(0.05), nn.Momentum(0.05), nn.Adam(0.01)]


def in_short_invocations(store: FileStore, of: RunSpec) -> list[Payload]:
    """Run to the end one invocation after the other, each of which has time for three slices. -> what was invoked"""
    runs.begin(store, store, of, ROWS)
    waiting, begun = deque(Payload(of.run, store.url, w, 1) for w in range(of.num_workers)), []
    while waiting:
        payload = waiting.popleft()
        begun.append(payload)
        left = itertools.chain([100.0, 100.0], itertools.repeat(0.0))

        def invoke(worker: int, attempt: int) -> None:
            waiting.append(Payload(of.run, store.url, worker, attempt))

        carry_out(payload, invoke, remaining_s=lambda left=left: next(left))
    return begun


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_the_same_bytes_as_in_one_go(optimizer, tmp_path):
    network = small.mlp(nn.Dropout(0.3))
    of = small.spec(ROWS, 2, 2, network=network, optimizer=optimizer, slice_s=1e-6)
    store, calm = FileStore(tmp_path / "a"), FileStore(tmp_path / "b")
    begun = in_short_invocations(store, of)
    assert max(p.attempt for p in begun) > 8  # so there were hand-overs in every epoch
    last = runs.standing(store, of)
    assert small.final(store, of, last) == small.final(calm, of, small.train(calm, of, ROWS))


def test_a_cursor_of_another_network_is_refused(tmp_path):
    of = small.spec(ROWS)
    other = small.spec(ROWS, network=small.mlp(hidden=9))
    store = FileStore(tmp_path)
    runs.begin(store, store, of, ROWS)
    standing = Trainer(other, 0, store).suspend()
    read, base = cursor.decode(cursor.encode(standing, 3), "cursor")
    assert base == 3
    with pytest.raises(StructureError, match=r"runs/small/cursors.*the network wants"):
        Trainer(of, 0, store).resume(read, "runs/small/cursors/00000/0001", 3)


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[:200] + b"x" + d[201:], lambda d: b""])
def test_a_damaged_cursor_is_refused(damage, tmp_path):
    store = FileStore(tmp_path)
    of = small.spec(ROWS)
    runs.begin(store, store, of, ROWS)
    data = cursor.encode(Trainer(of, 0, store).suspend(), 3)
    with pytest.raises(WeightsError, match="the cursor"):
        cursor.decode(damage(data), "the cursor")
    with pytest.raises(WeightsError, match="no cursor"):
        cursor.decode(small.checkpoint(store, of, 0), "a checkpoint")
