"""A worker that hands over in the middle of an epoch ends with the same bytes: nothing it carries is left behind."""

import itertools
from collections import deque

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError, WeightsError
from nnlite.protocol.records import cursor
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import lifecycle
from nnlite.runtime.invocation import Payload, carry_out
from nnlite.runtime.trainer import Trainer
from nnlite.store.file import FileStore
from tests.runtime import small

ROWS = small.dataset(240)
OPTIMIZERS = [nn.SGD(0.05), nn.Momentum(0.05), nn.Adam(0.01)]


def in_short_invocations(store: FileStore, of: RunSpec) -> list[Payload]:
    """Run to the end one invocation after the other, each of which has time for three slices. -> what was invoked"""
    lifecycle.begin(store, store, of, ROWS)
    waiting, begun = deque(Payload(of.run, store.url, w, 1, of.sha256) for w in range(of.num_workers)), []
    while waiting:
        payload = waiting.popleft()
        begun.append(payload)
        left = itertools.chain([100.0, 100.0], itertools.repeat(0.0))

        def invoke(worker: int, attempt: int) -> None:
            waiting.append(Payload(of.run, store.url, worker, attempt, of.sha256))

        carry_out(payload, invoke, remaining_s=lambda left=left: next(left))
    return begun


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_the_same_bytes_as_in_one_go(optimizer, tmp_path):
    network = small.mlp(nn.Dropout(0.3))
    of = small.spec(ROWS, 2, 2, network=network, optimizer=optimizer, slice_s=1e-6)
    store, calm = FileStore(tmp_path / "a"), FileStore(tmp_path / "b")
    begun = in_short_invocations(store, of)
    assert max(p.attempt for p in begun) > 8  # so there were hand-overs in every epoch
    last = lifecycle.standing(store, of)
    assert small.final(store, of, last) == small.final(calm, of, small.train(calm, of, ROWS))


def test_a_cursor_of_another_network_is_refused(tmp_path):
    of = small.spec(ROWS)
    other = small.spec(ROWS, network=small.mlp(hidden=9))
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, of, ROWS)
    standing = Trainer(other, 0, store).suspend()
    read, base = cursor.decode(cursor.encode(standing, 3, "cursor"), "cursor")
    assert base == 3
    with pytest.raises(StructureError, match=r"runs/small/cursors.*the network wants"):
        Trainer(of, 0, store).resume(read, "runs/small/cursors/00000/0001", 3)


@pytest.mark.parametrize("scale", [1.0, 0.25, 1 / 3])
@pytest.mark.parametrize("wire", ["float32", "float16", "topk:5%"])
def test_updates_that_are_scaled_come_to_the_scaled_sum_of_all_that_was_trained(wire, scale, tmp_path):
    """Whatever the wire leaves is scaled once, when it travels; also by the invocation that took over."""
    of = small.spec(ROWS, protocol="downpour", wire=wire)
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, of, ROWS)
    first, where = small.checkpoint(store, of, 0), Keys(of.run).checkpoint(0)
    one, two = (Trainer(of, 0, store) for _ in range(2))
    sent, trained = [], np.zeros(one.state.weights.size)

    def train(trainer, until, whole=False):
        before = trainer.state.weights.astype(np.float64)
        trainer.train(100.0, until)
        trained[:] += trainer.state.weights - before
        sent.append(trainer.take_update(scale, whole).vector.astype(np.float64))

    one.join(first, where, 0, ())
    train(one, 3)
    train(one, 5)
    standing, _ = cursor.decode(cursor.encode(one.suspend(), 0, "cursor"), "cursor")
    two.join(first, where, 5, sent)
    two.resume(standing, "cursor", None)
    train(two, 7)
    train(two, 9, whole=True)
    assert np.allclose(sum(sent), scale * trained, atol=1e-6)
    assert np.abs(trained).max() > 0.01


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[:200] + b"x" + d[201:], lambda d: b""])
def test_a_damaged_cursor_is_refused(damage, tmp_path):
    store = FileStore(tmp_path)
    of = small.spec(ROWS)
    lifecycle.begin(store, store, of, ROWS)
    data = cursor.encode(Trainer(of, 0, store).suspend(), 3, "the cursor")
    with pytest.raises(WeightsError, match="the cursor"):
        cursor.decode(damage(data), "the cursor")
    with pytest.raises(WeightsError, match="is not a cursor"):
        cursor.decode(small.checkpoint(store, of, 0), Keys(of.run).checkpoint(0))


@pytest.mark.parametrize("wire", ["float32", "float16", "topk:5%"])
def test_what_did_not_travel_goes_over_with_the_cursor(wire, tmp_path):
    """All updates together are all that was changed, whoever made them."""
    of = small.spec(ROWS, protocol="downpour", wire=wire)
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, of, ROWS)
    first, where = small.checkpoint(store, of, 0), Keys(of.run).checkpoint(0)
    one, two, alone = (Trainer(of, 0, store) for _ in range(3))
    for trainer in (one, alone):
        trainer.join(first, where, 0, ())
    one.train(100.0, 4)
    sent = [one.take_update().vector]
    standing, _ = cursor.decode(cursor.encode(one.suspend(), 0, "cursor"), "cursor")
    two.join(first, where, 4, sent)
    two.resume(standing, "cursor", None)
    two.train(100.0, 7)
    sent += [two.take_update().vector, two.take_update(whole=True).vector]
    alone.train(100.0, 7)
    changed = alone.state.weights - small.vector(store, of, 0)[: alone.state.weights.size]
    assert np.allclose(sum(sent), changed, atol=1e-6)
    assert np.allclose(two.state.slots, alone.state.slots, atol=1e-6)


def test_an_evaluation_in_pieces_is_the_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr("nnlite.runtime.trainer.SCORE_ROWS", 7)
    of = small.spec(ROWS, protocol="downpour")
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, of, ROWS)
    data, where, trainer = small.checkpoint(store, of, 0), Keys(of.run).checkpoint(0), Trainer(of, 0, store)
    whole = trainer.evaluate(data, where, 0, 100.0)
    assert whole.finished
    pieces = []
    while not (pieces and pieces[-1].finished):
        pieces.append(trainer.evaluate(data, where, 0, 0.0, sum(piece.num_samples for piece in pieces)))
    assert len(pieces) == -(-whole.num_samples // 7) > 2
    assert sum(piece.num_correct for piece in pieces) == whole.num_correct
    assert sum(piece.loss_sum for piece in pieces) == pytest.approx(whole.loss_sum)
